"""Wide spaces are searched in part: which part, how it grows, and what is said about it."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from targets.knobs import Configuration, Knob, KnobType, Scale, Special, Value
from targets.metrics import Direction, Objective
from targets.space import Constraint, KnobSpace
from tuner import Optimizer
from tuner.history import History
from tuner.recommenders import search
from tuner.recommenders.base import Limit, Observation, Problem
from tuner.recommenders.climbing import climbed
from tuner.recommenders.subspace import FIRST, LOTS, PATIENCE, WIDE, Subspace
from tuner.sampling import sample
from tuner.space import Rows, SpaceEncoder
from tuner.surrogates.base import Vector
from tuner.surrogates.fitting import fit_gaussian_process

COST = Objective(name="cost", direction=Direction.MINIMISE, deterministic=True)
MATTER = (3, 17, 44)
"""The knobs that decide in `value`: a real one, a real one and a real one."""


def reals(count: int) -> KnobSpace:
    return KnobSpace(
        tuple(
            Knob(name=f"k{place}", type=KnobType.REAL, low=0.0, high=1.0, default=0.5)
            for place in range(count)
        )
    )


def mixed(count: int) -> KnobSpace:
    """Every kind by turns, some conditional, with rules that a quarter of random ones keep."""
    kinds: tuple[dict[str, object], ...] = (
        {"type": KnobType.REAL, "low": 0.0, "high": 1.0, "default": 0.3},
        {
            "type": KnobType.INTEGER, "low": 1, "high": 1 << 20, "scale": Scale.LOG,
            "default": 64, "special": (Special(value=0, meaning="off"),),
        },
        {"type": KnobType.BOOLEAN, "default": True},
        {"type": KnobType.CATEGORICAL, "levels": ("a", "b", "c"), "default": "a"},
        {"type": KnobType.ORDINAL, "levels": (1, 2, 4, 8), "default": 2},
    )  # fmt: skip
    knobs = [
        Knob(
            name=f"k{place}",
            active_when="k2" if place % 10 == 5 else "",
            **kinds[place % 5],  # type: ignore[arg-type]
        )
        for place in range(count)
    ]
    rules = ("k1 <= k6 or k11 == 0", "k0 + k10 <= 1.2", "k4 * k9 <= 16")
    return KnobSpace(tuple(knobs), tuple(Constraint(expression=rule) for rule in rules))


def value(configuration: Configuration) -> float:
    """Three knobs decide, all others do nothing."""
    return math.exp(sum((float(configuration[f"k{one}"]) - 0.9) ** 2 for one in MATTER))


def known(space: KnobSpace, count: int, *, seed: int = 0) -> History:
    problem = Problem(space=space, objectives=(COST,))
    drawn = sample(SpaceEncoder(space), count, np.random.default_rng(seed))
    return told(problem, [(one, value(one)) for one in drawn])


def told(problem: Problem, seen: list[tuple[dict[str, Value], float]]) -> History:
    return History.of(
        problem,
        [
            Observation(configuration=one, values={"cost": (cost,)}, number=number)
            for number, (one, cost) in enumerate(seen)
        ],
    )


class Slope:
    """A model for which every column counts as much as its place in a list says."""

    def __init__(self, weights: list[float]) -> None:
        self.weights = np.array(weights)

    def predict(self, rows: Rows) -> tuple[Vector, Vector]:
        return rows @ self.weights, np.ones(len(rows))


def rising(count: int) -> list[float]:
    return [float(place) for place in range(count)]


def stalled(count: int, *, columns: int = 100) -> History:
    """The first configuration is the best, and so many came after it."""
    space = reals(columns)
    drawn = sample(SpaceEncoder(space), count + 1, np.random.default_rng(1))
    problem = Problem(space=space, objectives=(COST,))
    return told(problem, [(one, 1.0 + number) for number, one in enumerate(drawn)])


@pytest.mark.parametrize("name", ["auto", "gp", "forest"])
def test_narrow_spaces_are_searched_as_ever(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def suggestions() -> list[str]:
        optimizer = Optimizer(reals(WIDE), name, seed=3, deterministic=True)
        found = []
        for _ in range(9):
            asked = optimizer.ask()
            found.append(repr(sorted(asked.items())))
            optimizer.tell(asked, 1.0 + sum(float(one) for one in asked.values()))
        return found

    with_subspaces = suggestions()
    monkeypatch.setattr(search.Subspace, "of", lambda *_: None)
    assert with_subspaces == suggestions()


def test_what_the_model_says_matters_is_varied_and_some_by_lot() -> None:
    subspace = Subspace.of(known(reals(100), 8), Slope(rising(100)), np.random.default_rng(0))
    assert subspace is not None
    assert subspace.columns[-FIRST:].all()
    assert subspace.columns[:-FIRST].sum() == LOTS
    assert subspace.words == (
        f"Searched {FIRST + LOTS} of 100 knobs: those that mattered most so far and {LOTS} "
        "drawn by lot. "
    )


def test_every_knob_is_drawn_in_the_end() -> None:
    history, rng = known(reals(60), 8), np.random.default_rng(0)
    met = np.zeros(60, bool)
    for _ in range(100):
        subspace = Subspace.of(history, Slope(rising(60)), rng)
        assert subspace is not None
        met |= subspace.columns
    assert met.all()


def test_a_fitted_model_finds_the_knobs_that_matter() -> None:
    history = known(reals(60), 60)
    subspace = Subspace.of(history, fit_gaussian_process(history), np.random.default_rng(0))
    assert subspace is not None
    assert subspace.columns[list(MATTER)].all()


def test_the_part_grows_while_nothing_is_gained_and_a_gain_makes_it_small() -> None:
    def varied(history: History) -> int:
        model = Slope(rising(history.encoder.n_columns))
        subspace = Subspace.of(history, model, np.random.default_rng(0))
        assert subspace is not None
        return int(subspace.columns.sum())

    waits = [0, PATIENCE - 1, PATIENCE, 2 * PATIENCE, 4 * PATIENCE, 500]
    expected = [FIRST + LOTS, FIRST + LOTS, 2 * FIRST + LOTS, 4 * FIRST + LOTS, 100, 100]
    assert [varied(stalled(wait)) for wait in waits] == expected
    long = stalled(4 * PATIENCE)
    best = sample(long.encoder, 1, np.random.default_rng(9))
    seen = [(one.configuration, one.values[0]) for one in long.outcomes]
    assert varied(told(long.problem, [*seen, (best[0], 0.5)])) == FIRST + LOTS


def test_all_knobs_are_no_part_to_speak_of() -> None:
    history = stalled(4 * PATIENCE)
    subspace = Subspace.of(history, Slope(rising(100)), np.random.default_rng(0))
    assert subspace is not None
    assert subspace.words == ""


def test_candidates_stay_in_their_part_and_are_feasible_and_new() -> None:
    history = known_mixed(100, 30)
    encoder, rng = history.encoder, np.random.default_rng(0)
    subspace = Subspace.of(history, Slope(rising(encoder.n_columns)), rng)
    assert subspace is not None
    rows = subspace.candidates(history, rng, count=300)
    assert len(rows) > 100
    assert not encoder.breaches(rows).any()
    assert not history.seen_rows.holds(rows, canonical=True).any()
    best = history.rows[history.ranking[:3]]
    outside = ~subspace.columns & ~conditional(encoder)
    strays = (rows[:, None, outside] != best[None, :, outside]).any(axis=2).all(axis=1)
    assert not strays.any()


def conditional(encoder: SpaceEncoder) -> Vector:
    return np.array([bool(encoder.space[one.knob].active_when) for one in encoder.columns])


def known_mixed(count: int, trials: int) -> History:
    space = mixed(count)
    drawn = sample(SpaceEncoder(space), trials, np.random.default_rng(0))
    return told(
        Problem(space=space, objectives=(COST,)),
        [(one, 1.0 + number % 7) for number, one in enumerate(drawn)],
    )


def test_a_climb_takes_many_steps_at_once_and_only_along_its_columns() -> None:
    history = known(reals(100), 5)
    weights = np.array([1.0] * 50 + [0.0] * 50)
    rounds = 0

    def scores(rows: Rows) -> Vector:
        nonlocal rounds
        rounds += 1
        return np.asarray(rows @ weights)

    columns = np.arange(100) < 40
    start = history.rows[0]
    end = climbed(history, scores, start, columns=columns)
    assert (end[:40] > 0.98).all()
    assert (end[40:] == start[40:]).all()
    assert rounds < 20  # one step at a time it would be more than a hundred


def test_a_climb_keeps_constraints_and_never_ends_lower() -> None:
    history = known_mixed(60, 20)
    encoder = history.encoder
    weights = np.random.default_rng(5).standard_normal(encoder.n_columns)
    for start in history.rows:
        end = climbed(history, lambda rows: rows @ weights, start, columns=np.ones(60, bool))
        assert not encoder.breaches(encoder.canonical_rows(end[None, :])).any()
        assert end @ weights >= start @ weights


@pytest.mark.parametrize("name", ["auto", "gp", "forest"])
def test_the_reason_says_how_much_was_searched(name: str) -> None:
    optimizer = Optimizer(mixed(80), name, seed=1, deterministic=True)
    reasons = []
    for number in range(12):
        asked = optimizer.ask()
        optimizer.problem.space.check(asked)
        optimizer.tell(asked, 1.0 + (number * 7) % 5)
        assert optimizer.last_suggestion is not None
        reasons.append(optimizer.last_suggestion.reason)
    said = [one for one in reasons if re.search(r"Searched \d+ of 80 knobs: those that", one)]
    assert said
    assert not any("Searched" in one for one in reasons[:6])


@pytest.mark.parametrize("name", ["auto", "gp", "forest", "sobol", "grid", "boosted-rank"])
def test_suggestions_keep_rules_and_pins_and_never_repeat(name: str) -> None:
    space = mixed(120)
    pins: dict[str, Value] = {"k0": 0.25, "k7": False}
    optimizer = Optimizer(space, name, seed=2, pins=pins, deterministic=True)
    seen = set()
    for number in range(14):
        asked = optimizer.ask()
        assert space.check(asked) == asked
        assert {knob: asked[knob] for knob in pins} == pins
        seen.add(space.key(asked))
        if number % 5 == 4:
            optimizer.tell(asked, failure="timed-out")
        else:
            optimizer.tell(asked, 1.0 + float(asked["k10"]))  # type: ignore[arg-type]
    assert len(seen) == 14


def test_a_wide_search_finds_the_few_knobs_that_decide() -> None:
    def best(name: str, seed: int) -> float:
        optimizer = Optimizer(reals(60), name, seed=seed, deterministic=True)
        for _ in range(40):
            asked = optimizer.ask()
            optimizer.tell(asked, value(asked))
        return optimizer.recommend().value

    ours = np.mean([best("gp", seed) for seed in range(3)])
    chance = np.mean([best("random", seed) for seed in range(6)])
    assert math.log(ours) < 0.75 * math.log(chance)


def test_a_wide_start_begins_at_the_default_and_a_narrow_one_does_not() -> None:
    for width, first in ((WIDE + 1, True), (WIDE, False)):
        optimizer = Optimizer(reals(width), "gp", seed=0)
        asked = optimizer.ask()
        assert (asked == optimizer.problem.space.default()) is first
        assert optimizer.last_suggestion is not None
        assert ("the default" in optimizer.last_suggestion.reason) is first


def test_a_default_that_was_measured_is_not_begun_with() -> None:
    optimizer = Optimizer(reals(60), "gp", seed=0)
    optimizer.tell(optimizer.problem.space.default(), 1.0)
    assert optimizer.ask() != optimizer.problem.space.default()


def test_where_nothing_keeps_the_limits_the_whole_space_is_searched() -> None:
    problem = Problem(
        space=reals(60),
        objectives=(COST,),
        limits=(Limit(name="memory", direction=Direction.MINIMISE, bound=0.5),),
    )
    optimizer = Optimizer.of(problem, "gp", seed=0)
    for number in range(9):
        asked = optimizer.ask()
        optimizer.tell(asked, 1.0 + number, metrics={"memory": 0.9 + 0.01 * number})
    assert optimizer.last_suggestion is not None
    assert "Searched" not in optimizer.last_suggestion.reason
