"""Parzen estimators: densities that are densities, and a lane that goes where the good ones lie."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from targets.errors import FailureKind
from targets.knobs import Knob, KnobType
from targets.metrics import Direction, Objective
from targets.space import Constraint, KnobSpace
from tuner.history import History
from tuner.recommenders.base import Observation, Problem
from tuner.recommenders.parzen import by_density
from tuner.surrogates.parzen import Density, ParzenEstimator

ORDERED, LEVELED = 0, 4


def real(name: str) -> Knob:
    return Knob(name=name, type=KnobType.REAL, low=0.0, high=1.0, default=0.5)


def problem(*knobs: Knob, constraints: tuple[Constraint, ...] = ()) -> Problem:
    return Problem(
        space=KnobSpace(knobs, constraints),
        objectives=(Objective(name="ms", direction=Direction.MINIMISE),),
    )


def told(**values: object) -> Observation:
    cost = values.pop("cost", None)
    return Observation(
        configuration=values,
        values={} if cost is None else {"ms": (float(cost),)},  # type: ignore[arg-type]
        failure=FailureKind.TIMED_OUT if cost is None else None,
    )


@pytest.mark.parametrize("count", [0, 1, 5, 40])
def test_a_density_adds_up_to_one(count: int) -> None:
    rng = np.random.default_rng(count)
    rows = np.column_stack((rng.random(count), rng.integers(LEVELED, size=count)))
    density = Density.of(rows, np.array([ORDERED, LEVELED]))
    along = (np.arange(2_000) + 0.5) / 2_000
    grid = np.array(list(itertools.product(along, range(LEVELED))))
    total = np.exp(density.logarithm(grid)).sum() / len(along)
    assert total == pytest.approx(1.0, abs=1e-3)


def test_what_is_drawn_has_the_density_that_is_told() -> None:
    rows = np.array([[0.1, 2.0], [0.15, 2.0], [0.9, 0.0]])
    density = Density.of(rows, np.array([ORDERED, LEVELED]))
    drawn = density.draw(40_000, np.random.default_rng(1))
    assert drawn.min() >= 0.0 and drawn[:, 0].max() <= 1.0
    edges = np.linspace(0.0, 1.0, 11)
    along = (np.arange(1_000) + 0.5) / 1_000
    for level in range(LEVELED):
        chance = np.exp(density.logarithm(np.column_stack((along, np.full(1_000, level)))))
        expected = chance.reshape(10, 100).mean(axis=1) / 10
        seen, _ = np.histogram(drawn[drawn[:, 1] == level, 0], edges)
        assert seen / len(drawn) == pytest.approx(expected, abs=0.008)


def test_preference_is_for_the_good_and_against_what_failed() -> None:
    rng = np.random.default_rng(3)
    rows = rng.random((40, 2))
    costs = np.abs(rows - 0.2).sum(axis=1)
    failed = np.full((6, 2), 0.8) + 0.02 * rng.standard_normal((6, 2))
    estimator = ParzenEstimator.of(rows, costs, np.array([ORDERED, ORDERED]), bad=failed)
    near, middling, bad = estimator.preference(np.array([[0.2, 0.2], [0.5, 0.5], [0.8, 0.8]]))
    assert near > middling > bad


def test_the_lane_finds_a_valley_and_repeats_nothing() -> None:
    question = problem(
        real("x"),
        Knob(name="mode", type=KnobType.CATEGORICAL, levels=tuple("abcd"), default="a"),
    )
    rng = np.random.default_rng(0)
    seen: list[Observation] = []
    for number in range(60):
        history = History.of(question, seen)
        if number < 8:
            configuration = {"x": float(rng.random()), "mode": "abcd"[rng.integers(4)]}
        else:
            suggestion = by_density(history, rng)
            configuration = dict(suggestion.configuration)
            assert history.encoder.key(configuration) not in history.seen
            assert "Parzen" in suggestion.reason
        cost = 1.0 + abs(float(configuration["x"]) - 0.3) + (configuration["mode"] != "c")
        seen.append(told(**configuration, cost=cost))
    late = [one.configuration for one in seen[40:]]
    assert sum(one["mode"] == "c" for one in late) >= 12
    assert np.median([abs(one["x"] - 0.3) for one in late]) < 0.12


def test_the_lane_keeps_constraints_and_goes_where_it_works() -> None:
    question = problem(real("x"), real("y"), constraints=(Constraint(expression="x + y <= 1"),))
    rng = np.random.default_rng(0)
    seen: list[Observation] = []
    for place in range(50):
        x = (place % 10) / 10
        y = (1 - x) * (place // 10) / 5
        seen.append(told(x=x, y=y, cost=None if x < 0.5 else 2.0 - x))
    history = History.of(question, seen)
    chosen = [by_density(history, rng).configuration for _ in range(30)]
    assert all(one["x"] + one["y"] <= 1 for one in chosen)
    assert sum(one["x"] >= 0.45 for one in chosen) >= 27


def test_a_used_up_neighbourhood_gives_a_neighbour_or_a_random_one() -> None:
    question = problem(*(Knob(name=name, type=KnobType.BOOLEAN, default=False) for name in "abcd"))
    rng = np.random.default_rng(0)
    seen: list[Observation] = []
    for number, values in enumerate(itertools.product((False, True), repeat=4)):
        if values != (True, True, True, True):
            named = dict(zip("abcd", values, strict=True))
            seen.append(told(**named, cost=1.0 + sum(values) + number / 100))
    for _ in range(5):
        chosen = by_density(History.of(question, seen), rng).configuration
        assert all(chosen.values())
