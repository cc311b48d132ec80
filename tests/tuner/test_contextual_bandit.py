"""The contextual bandit begins with what was good under similar workloads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from targets.knobs import Knob, KnobType
from targets.metrics import Direction, Objective
from targets.space import KnobSpace
from tuner.recommenders.bandit import BanditRecommender
from tuner.recommenders.base import (
    Observation,
    PastTask,
    Problem,
    Recommender,
    SuggestionKind,
    suggestion_rng,
)
from tuner.recommenders.contexts import contexts_of, shares_by_likeness, with_contexts
from tuner.recommenders.contextual_bandit import ContextualBanditRecommender
from tuner.surrogates.linear_arms import LinearArms, Means

PLANS = 8
SPACE = KnobSpace(
    (Knob(name="plan", type=KnobType.ORDINAL, levels=tuple(range(PLANS)), default=0),)
)
SPEED = Objective(name="speed", direction=Direction.MAXIMISE)
NOISE_SD = 0.1
TRIALS = 12


class World:
    """Three kinds of workload, each with costs of its own for every plan, and a level."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.costs = self.rng.normal(0.0, 0.2, size=(3, PLANS))
        self.levels = self.rng.normal(0.0, 1.0, size=3)
        self.centres = self.rng.normal(0.0, 1.0, size=(3, 6))

    def context(self, kind: int) -> dict[str, float]:
        metrics = self.centres[kind] + 0.2 * self.rng.standard_normal(6)
        return {f"m{place}": math.exp(value) for place, value in enumerate(metrics)}

    def tried(self, kind: int, plan: int, number: int) -> Observation:
        cost = self.costs[kind, plan] + NOISE_SD * self.rng.standard_normal()
        return told({"plan": plan}, math.exp(-cost - self.levels[kind]), number)

    def past(self, kind: int) -> PastTask:
        """A session of another day, with its own window of metrics and every plan tried once."""
        return PastTask(
            name=f"kind {kind}",
            space=SPACE,
            observations=tuple(self.tried(kind, plan, plan) for plan in range(PLANS)),
            context=self.context(kind),
        )

    def regret(self, recommender: Recommender, kind: int, past: Sequence[PastTask]) -> list[float]:
        """What each trial of a session loses against the best plan."""
        problem = Problem(
            space=SPACE, objectives=(SPEED,), context=self.context(kind), history=tuple(past)
        )
        observations: list[Observation] = []
        lost = []
        for turn in range(TRIALS):
            [one], _ = recommender.suggest(problem, observations, (), {}, suggestion_rng(0, turn))
            plan = int(one.configuration["plan"])
            observations.append(self.tried(kind, plan, turn))
            lost.append(float(self.costs[kind, plan] - self.costs[kind].min()))
        return lost


def told(configuration: Mapping[str, object], value: float, number: int = 0) -> Observation:
    return Observation(
        configuration=dict(configuration),  # type: ignore[arg-type]
        values={"speed": (value,)},
        number=number,
    )


def after_learning(recommender: Recommender) -> NDArray[np.float64]:
    """(seeds, trials): regret in a session, once each kind of workload was met twice."""
    lost = []
    for seed in range(6):
        world = World(seed)
        past = [world.past(kind) for kind in (0, 1, 2, 0, 1, 2)]
        lost.append(world.regret(recommender, seed % 3, past))
    return np.array(lost)


def test_it_loses_far_less_than_a_bandit_that_knows_no_workloads() -> None:
    plain = after_learning(BanditRecommender())
    for policy in ("ucb", "thompson"):
        known = after_learning(ContextualBanditRecommender({"policy": policy}))
        assert known.sum() < 0.5 * plain.sum()
        assert known[:, 0].mean() < 0.5 * plain[:, 0].mean(), "it starts right"


def past_task(name: str, context: Mapping[str, float], best: int) -> PastTask:
    observations = tuple(
        told({"plan": plan}, 100.0 - 10.0 * abs(plan - best), plan) for plan in range(PLANS)
    )
    return PastTask(name=name, space=SPACE, observations=observations, context=context)


READS = past_task("reads", {"reads": 900.0, "writes": 10.0}, best=2)
WRITES = past_task("writes", {"reads": 15.0, "writes": 800.0}, best=6)


def first_for(context: Mapping[str, float], past: Sequence[PastTask]) -> tuple[int, str]:
    problem = Problem(space=SPACE, objectives=(SPEED,), context=context, history=tuple(past))
    [one], _ = ContextualBanditRecommender().suggest(problem, (), (), {}, suggestion_rng(0, 0))
    assert one.kind in (SuggestionKind.WARM_START, SuggestionKind.EXPLORE)
    return int(one.configuration["plan"]), one.reason


def test_a_workload_like_a_known_one_starts_with_its_best() -> None:
    plan, reason = first_for({"reads": 700.0, "writes": 12.0}, [READS, WRITES])
    assert abs(plan - 2) <= 1
    assert "most like that of reads" in reason
    plan, reason = first_for({"reads": 12.0, "writes": 600.0}, [READS, WRITES])
    assert abs(plan - 6) <= 1
    assert "most like that of writes" in reason


def test_a_context_may_lack_features_or_be_empty() -> None:
    partly, _ = first_for({"writes": 12.0, "never seen before": 3.0}, [READS, WRITES])
    assert abs(partly - 2) <= 1
    nothing, reason = first_for({}, [READS, WRITES])
    assert 0 <= nothing < PLANS
    assert "most like" not in reason


def test_what_is_measured_here_overrules_what_was_good_elsewhere() -> None:
    problem = Problem(
        space=SPACE, objectives=(SPEED,), context=READS.context, history=(READS, WRITES)
    )
    here = [
        told({"plan": plan}, (50.0 + 40.0 * (plan == 7)) * (1.0 + 0.01 * again), plan)
        for again in range(4)
        for plan in range(PLANS)
    ]
    plays = [
        ContextualBanditRecommender().suggest(problem, here, (), {}, suggestion_rng(seed, 0))[0][0]
        for seed in range(5)
    ]
    assert {one.configuration["plan"] for one in plays} == {7}
    assert {one.kind for one in plays} == {SuggestionKind.RE_MEASURE}


def test_contexts_are_standardised_and_gaps_are_average() -> None:
    others = (
        PastTask(name="a", space=SPACE, observations=(), context={"x": 10.0, "y": -1.0}),
        PastTask(name="b", space=SPACE, observations=(), context={"x": 1000.0, "y": math.nan}),
        PastTask(name="c", space=SPACE, observations=(), context={"y": 3.0, "z": 1.0}),
    )
    problem = Problem(
        space=SPACE,
        objectives=(SPEED,),
        context={"x": 100.0, "y": 1.0, "same": 4.0},
        history=others,
    )
    contexts = contexts_of(problem)
    assert contexts.shape == (4, 2)  # z is not known here, and "same" differs nowhere
    assert contexts[:, 0] == pytest.approx([0.0, -1.2247, 1.2247, 0.0], abs=1e-3)  # logarithms
    assert contexts[2, 1] == 0.0
    shares = shares_by_likeness(contexts)
    assert shares.sum() == pytest.approx(1.0)
    assert shares[2] > shares[0] > 0.0
    assert shares_by_likeness(contexts[:, :0]) == pytest.approx([1 / 3] * 3)


def test_a_missing_context_is_the_baselines_metrics() -> None:
    baseline = Observation(
        configuration=SPACE.default(), values={"speed": (1.0,)}, metrics={"reads": 5.0}
    )
    later = Observation(
        configuration={"plan": 1}, values={"speed": (1.0,)}, metrics={"reads": 50.0}
    )
    past = PastTask(name="past", space=SPACE, observations=(later, baseline))
    problem = Problem(space=SPACE, objectives=(SPEED,), history=(past, READS))
    filled = with_contexts(problem, [baseline, later])
    assert filled.context == {"reads": 5.0}
    assert [task.context for task in filled.history] == [{"reads": 50.0}, READS.context]


def test_arms_are_told_apart_within_tasks_whatever_the_levels() -> None:
    """Task 1 is costly as a whole; what it says of arm 1 against arm 0 still counts."""
    means = Means(
        tasks=np.array([0, 0, 1, 1, 2]),
        arms=np.array([0, 1, 0, 1, 0]),
        costs=np.array([0.0, -0.3, 5.0, 4.7, 1.0]),
        variances=np.full(5, 1e-4),
    )
    model = LinearArms.fit(np.empty((3, 0)), means)
    mean, factor = model.predict(2, np.array([0, 1, 2]))
    assert mean[0] == pytest.approx(1.0, abs=0.05)
    assert mean[1] == pytest.approx(0.7, abs=0.1)
    sd = np.sqrt((factor**2).sum(axis=1))
    assert sd[0] < sd[1] < sd[2]
