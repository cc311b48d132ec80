"""Limits: learnt from what they bound, kept by what is named, sought first while none is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from targets.errors import FailureKind
from targets.knobs import Configuration, Knob, KnobType
from targets.metrics import Direction, Objective
from targets.space import KnobSpace
from tuner import Optimizer
from tuner.history import History
from tuner.recommenders.base import Limit, Observation, Problem, suggestion_rng
from tuner.registry import load_recommender
from tuner.sampling import sample
from tuner.space import SpaceEncoder
from tuner.surrogates.acceptability import LEAST, Acceptability
from tuner.surrogates.constraints import LARGEST_FIT, LimitModel

P99 = Limit(name="p99", direction=Direction.MINIMISE, bound=20.0)
FAST = Objective(name="throughput", direction=Direction.MAXIMISE, unit="1/s", deterministic=True)
SLO = Problem(
    space=KnobSpace(
        (
            Knob(name="load", type=KnobType.REAL, low=0.0, high=1.0, default=0.5),
            Knob(name="mode", type=KnobType.CATEGORICAL, levels=tuple("abc"), default="a"),
            Knob(name="batch", type=KnobType.INTEGER, low=1, high=64, default=4),
        )
    ),
    objectives=(FAST,),
    limits=(P99,),
)
SEARCHING = ("gp", "forest", "auto", "boosted-rank", "optuna-tpe")


def answer(configuration: Configuration) -> tuple[float, float]:
    """Throughput, which rises with the load, and p99, which does so beyond all bounds."""
    load = float(configuration["load"])
    extra = 0.2 * (configuration["mode"] != "b")
    return 100.0 * (1.0 + load), 5.0 * float(np.exp(3.0 * (load + extra)))


def observed(
    count: int, *, keep: Callable[[Configuration], bool] = lambda _: True, problem: Problem = SLO
) -> list[Observation]:
    """What random configurations gave, of those to be kept."""
    drawn = sample(SpaceEncoder(problem.space), 20 * count, np.random.default_rng(0))
    told = []
    for one in [one for one in drawn if keep(one)][:count]:
        throughput, p99 = answer(one)
        values = {"throughput": (throughput,)}
        told.append(
            Observation(configuration=one, values=values, metrics={"p99": p99}, number=len(told))
        )
    return told


def chances(told: list[Observation], problem: Problem = SLO) -> dict[float, float]:
    """Load -> the chance to be acceptable, in mode b."""
    history = History.of(problem, told)
    loads = [0.1, 0.4, 0.5, 0.7, 0.95]
    configurations = [{"load": load, "mode": "b", "batch": 4} for load in loads]
    model = Acceptability.fit(history, seed=0)
    found = model.chance(history.encoder.encode_many(configurations))
    assert ((found >= LEAST) & (found <= 1.0)).all()
    return dict(zip(loads, found.tolist(), strict=True))


class TestModel:
    def test_a_limit_is_foreseen_before_it_was_ever_broken(self) -> None:
        # In mode b the bound is met at a load of 0.46.
        known = observed(14, keep=lambda one: one["load"] < 0.4 and one["mode"] == "b")
        found = chances(known)
        assert min(found[0.1], found[0.4]) > 0.99
        assert max(found[0.5], found[0.7], found[0.95]) < 0.8

    def test_the_bound_is_found_between_what_keeps_and_what_breaks(self) -> None:
        found = chances(observed(30))
        assert found[0.4] > 0.8 and found[0.1] > 0.95
        assert found[0.5] < 0.4 and found[0.7] < 0.05

    def test_either_side_can_be_limited(self) -> None:
        least = Limit(name="rate", direction=Direction.MAXIMISE, bound=0.05)
        problem = replace(SLO, limits=(least,))
        told = [replace(one, metrics={"rate": 1.0 / one.metrics["p99"]}) for one in observed(30)]
        found = chances(told, problem)
        assert found[0.4] > 0.8 and found[0.5] < 0.4

    def test_a_dreadful_value_does_not_blunt_the_bound(self) -> None:
        told = observed(30)
        told[3] = replace(told[3], metrics={"p99": 1e12})
        found = chances(told)
        assert found[0.1] > 0.9 and found[0.7] < 0.1

    def test_an_objective_can_be_limited(self) -> None:
        limits = (Limit(name="throughput", direction=Direction.MAXIMISE, bound=150.0),)
        found = chances(observed(20), replace(SLO, limits=limits))
        assert found[0.1] < 0.1 and found[0.7] > 0.9

    def test_failures_count_beside_limits(self) -> None:
        # Below a load of 0.2 it fails; above 0.46 the limit is broken.
        told = [
            replace(one, values={}, metrics={}, failure=FailureKind.WORKLOAD_FAILED)
            if one.configuration["load"] < 0.2
            else one
            for one in observed(40)
        ]
        found = chances(told)
        assert found[0.1] < 0.4 < 0.6 < found[0.4] and found[0.7] < 0.1

    def test_only_so_many_values_are_fitted(self) -> None:
        history = History.of(SLO, observed(LARGEST_FIT + 30))
        model = LimitModel.fit(history, 0)
        assert model is not None and len(model.process.rows) == LARGEST_FIT
        nearest = np.abs(history.excess[:, 0]).argmin()
        assert (model.process.rows == history.rows[nearest]).all(axis=1).any()


class TestGaps:
    @pytest.mark.parametrize("metrics", [{}, {"p99": float("nan")}])
    def test_unknown_quantities_are_neither_kept_nor_broken(
        self, metrics: dict[str, float]
    ) -> None:
        told = [replace(one, metrics=metrics) for one in observed(10)]
        assert LimitModel.fit(History.of(SLO, told), 0) is None
        assert set(chances(told).values()) == {1.0}

    def test_a_few_known_ones_teach(self) -> None:
        told = [
            one if place % 3 == 0 else replace(one, metrics={})
            for place, one in enumerate(observed(30))
        ]
        found = chances(told)
        assert found[0.1] > 0.8 and found[0.95] < 0.3

    def test_what_has_no_finite_amount_is_learnt_as_a_failure_is(self) -> None:
        told = [
            replace(one, metrics={"p99": float("inf")}) if one.metrics["p99"] > 20.0 else one
            for one in observed(40)
        ]
        found = chances(told)
        assert found[0.1] > 0.6 and found[0.95] < 0.4

    @pytest.mark.parametrize("recommender", SEARCHING)
    @pytest.mark.parametrize("bound", [1e-9, 1e9])
    def test_limits_always_or_never_broken_end_no_session(
        self, recommender: str, bound: float
    ) -> None:
        problem = replace(SLO, limits=(replace(P99, bound=bound),))
        told = observed(9)
        [one], _ = load_recommender(recommender)().suggest(
            problem, told, (), {}, suggestion_rng(0, 9)
        )
        assert problem.space.check(one.configuration) == one.configuration


class TestSearch:
    @pytest.mark.parametrize("recommender", ["gp", "forest"])
    def test_while_nothing_keeps_a_limit_keeping_it_comes_first(self, recommender: str) -> None:
        # All that is known breaks it by far; 15 % of the space keeps it.
        optimizer = Optimizer.of(SLO, recommender, seed=2)
        for one in observed(8, keep=lambda one: one["load"] > 0.6):
            optimizer.tell(one.configuration, one.values["throughput"][0], metrics=one.metrics)
        kept = []
        for _ in range(5):
            configuration = optimizer.ask()
            reason = optimizer.last_suggestion.reason if optimizer.last_suggestion else ""
            if not any(kept) and "Drawn at random" not in reason:
                assert "nothing measured keeps the limits yet" in reason
            throughput, p99 = answer(configuration)
            optimizer.tell(configuration, throughput, metrics={"p99": p99})
            kept.append(p99 <= P99.bound)
        assert any(kept)

    def test_the_best_within_the_limit_is_approached(self) -> None:
        optimizer = Optimizer.of(SLO, "gp", seed=0)
        broken = []
        for _ in range(24):
            configuration = optimizer.ask()
            throughput, p99 = answer(configuration)
            optimizer.tell(configuration, throughput, metrics={"p99": p99})
            broken.append(p99 > P99.bound)
        named = optimizer.recommend()
        # The optimum lies on the bound, at 146.
        assert named is not None and 143.0 < named.value <= 146.3
        assert np.mean(broken[6:]) < 0.5

    def test_what_breaks_the_least_ranks_first_while_nothing_keeps_it(self) -> None:
        history = History.of(SLO, observed(12, keep=lambda one: one["load"] > 0.5))
        p99 = [one.limited[0] for one in history.measured]
        assert history.ranking.tolist() == np.argsort(p99).tolist()

    def test_nothing_that_breaks_a_limit_is_named(self) -> None:
        optimizer = Optimizer.of(SLO, "random")
        for one in observed(12, keep=lambda one: one["load"] > 0.6):
            optimizer.tell(one.configuration, one.values["throughput"][0], metrics=one.metrics)
        assert optimizer.recommend() is None
        low = {"load": 0.05, "mode": "b", "batch": 4}
        optimizer.tell(low, 105.0, metrics={"p99": 5.8})
        named = optimizer.recommend()
        assert named is not None and named.configuration == low
