"""Several objectives: the whole front is searched, told in words, and one answer is named."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from targets.errors import FailureKind
from targets.knobs import Configuration, Knob, KnobType
from targets.metrics import Direction, Objective
from targets.space import KnobSpace
from tests.tuner.anything import sessions
from tuner import Optimizer
from tuner.aims import Aim, aimed, parts_of
from tuner.errors import InfeasibleSpace, SpaceExhausted
from tuner.history import History
from tuner.pareto import hypervolume
from tuner.recommenders.base import Limit, Observation, Problem, suggestion_rng
from tuner.registry import load_recommender
from tuner.sampling import sample
from tuner.space import SpaceEncoder

FAST = Objective(name="throughput", direction=Direction.MAXIMISE, unit="1/s", deterministic=True)
SMALL = Objective(name="memory", direction=Direction.MINIMISE, unit="MiB", deterministic=True)
SPACE = KnobSpace(
    (
        Knob(name="cache", type=KnobType.REAL, low=0.0, high=1.0, default=0.5),
        Knob(name="mode", type=KnobType.CATEGORICAL, levels=tuple("abc"), default="a"),
        Knob(name="waste", type=KnobType.REAL, low=0.0, high=1.0, default=0.5),
        Knob(name="burst", type=KnobType.INTEGER, low=1, high=64, default=4),
    )
)
BOTH = Problem(space=SPACE, objectives=(FAST, SMALL))
AIMED = ("gp", "forest", "auto")


def measure(configuration: Configuration) -> dict[str, float]:
    """A larger cache is faster and larger; the rest is wasted at all but one place."""
    waste = (float(configuration["waste"]) - 0.2) ** 2 + (configuration["mode"] != "b") * 0.3
    waste += (configuration["burst"] / 64 - 0.7) ** 2
    return {
        "throughput": 100.0 * (1.0 + float(configuration["cache"])) / (1.0 + 3.0 * waste),
        "memory": 50.0 * (1.0 + float(configuration["cache"])) ** 2 * (1.0 + 3.0 * waste),
    }


def observed(
    problem: Problem, count: int, *, seed: int = 0, without: Mapping[int, str] | None = None
) -> list[Observation]:
    """What random configurations gave; some lack an objective."""
    drawn = sample(SpaceEncoder(problem.space), count, np.random.default_rng(seed))
    told = []
    for number, one in enumerate(drawn):
        values = {name: (value,) for name, value in measure(one).items()}
        values.pop((without or {}).get(number, ""), None)
        told.append(Observation(configuration=one, values=values, number=number))
    return told


def volume(recommender: str, seed: int, trials: int = 24) -> float:
    """The hypervolume that a session measured."""
    optimizer = Optimizer.of(BOTH, recommender, seed=seed)
    found = []
    for _ in range(trials):
        configuration = optimizer.ask()
        answer = measure(configuration)
        optimizer.tell(configuration, answer)
        found.append((-answer["throughput"], answer["memory"]))
    return hypervolume(np.array(found), np.array([-60.0, 220.0]))


@pytest.mark.parametrize("recommender", AIMED)
def test_the_front_is_found_sooner_than_by_chance(recommender: str) -> None:
    ours = [volume(recommender, seed) for seed in range(3)]
    chance = [volume("random", seed) for seed in range(8)]
    assert np.mean(ours) > 1.05 * np.mean(chance)


@pytest.mark.parametrize("recommender", AIMED)
def test_the_weights_are_told_and_differ_from_turn_to_turn(recommender: str) -> None:
    suggestions, _ = load_recommender(recommender)().suggest(
        BOTH, observed(BOTH, 12), (), {}, suggestion_rng(0, 12), count=4
    )
    weights = []
    for one in suggestions:
        found = re.match(r"This turn weighs (\w+) (\d+)% and (\w+) (\d+)%\. ", one.reason)
        assert found, one.reason
        assert {found[1], found[3]} == {"throughput", "memory"}
        assert int(found[2]) + int(found[4]) in (99, 100, 101) and int(found[2]) >= int(found[4])
        weights.append(found[0])
        # It would be in no objective's unit.
        assert one.expected is None
    assert len(set(weights)) == 4


@pytest.mark.parametrize("recommender", AIMED)
def test_the_same_seed_weighs_the_same(recommender: str) -> None:
    told = observed(BOTH, 12)
    answers = [
        load_recommender(recommender)().suggest(BOTH, told, (), {}, suggestion_rng(1, 12))
        for _ in range(2)
    ]
    assert answers[0] == answers[1]


def test_one_objective_is_not_weighed() -> None:
    alone = replace(BOTH, objectives=(FAST,))
    history = History.of(alone, observed(alone, 12))
    rng = np.random.default_rng(0)
    assert aimed(history, rng) is history
    assert rng.random() == np.random.default_rng(0).random(), "a number was drawn"


@settings(max_examples=15, deadline=None, derandomize=True)
@given(session=sessions(most=5), recommender=st.sampled_from((*AIMED, "optuna-nsga2")))
def test_anything_told_of_two_objectives_is_understood(
    session: tuple[Problem, list[Observation], list[Configuration]], recommender: str
) -> None:
    problem, told, pending = session
    both = replace(problem, objectives=(*problem.objectives, replace(SMALL, name="memory")))
    try:
        suggestions, _ = load_recommender(recommender)().suggest(
            both, told, pending, {}, suggestion_rng(0, len(told)), count=2
        )
    except (SpaceExhausted, InfeasibleSpace):
        return
    for one in suggestions:
        assert both.space.check(one.configuration) == one.configuration
    optimizer = Optimizer.of(both, "random")
    optimizer.observations += told
    named, front = optimizer.recommend(), optimizer.front()
    assert (named is None) == (not front)
    if named is not None:
        assert named.configuration in [one.configuration for one in front]


class TestAim:
    COSTS = np.array([[0.0, 10.0], [1.0, 4.0], [4.0, 1.0], [10.0, 0.0], [10.0, 10.0]])

    @pytest.mark.parametrize(("weight", "best"), [(0.95, 0), (0.6, 1), (0.4, 2), (0.05, 3)])
    def test_the_heavier_objective_is_served(self, weight: float, best: int) -> None:
        drawn = Aim.drawn(("a", "b"), self.COSTS, np.random.default_rng(0))
        aim = replace(drawn, weights=np.array([weight, 1.0 - weight]))
        assert aim.costs(self.COSTS).argmin() == best

    def test_the_inside_of_a_bent_in_front_is_reached(self) -> None:
        # No weighted sum has its least there.
        costs = np.array([[0.0, 1.0], [0.7, 0.7], [1.0, 0.0]])
        drawn = Aim.drawn(("a", "b"), costs, np.random.default_rng(0))
        assert replace(drawn, weights=np.array([0.5, 0.5])).costs(costs).argmin() == 1

    def test_units_do_not_matter(self) -> None:
        scaled = self.COSTS * [1e6, 1e-6] + [5.0, -3.0]
        for seed in range(5):
            one = Aim.drawn(("a", "b"), self.COSTS, np.random.default_rng(seed))
            other = Aim.drawn(("a", "b"), scaled, np.random.default_rng(seed))
            assert one.costs(self.COSTS) == pytest.approx(other.costs(scaled))

    def test_what_is_dominated_is_never_the_best(self) -> None:
        rng = np.random.default_rng(3)
        for _ in range(20):
            costs = rng.random((12, 3))
            aim = Aim.drawn(("a", "b", "c"), costs, rng)
            best = costs[aim.costs(costs).argmin()]
            assert not ((costs <= best).all(axis=1) & (costs < best).any(axis=1)).any()

    def test_words_name_the_heaviest_first(self) -> None:
        aim = Aim(
            names=("p99", "memory", "errors"),
            weights=np.array([0.2, 0.7, 0.1]),
            best=np.zeros(3),
            extent=np.ones(3),
        )
        assert aim.words == "This turn weighs memory 70%, p99 20% and errors 10%."


class TestHistory:
    def test_what_lacks_an_objective_is_seen_but_not_learnt_from(self) -> None:
        told = observed(BOTH, 10, without={2: "memory", 5: "throughput"})
        told[7] = replace(told[7], values={}, failure=FailureKind.TIMED_OUT)
        history = History.of(BOTH, told)
        one = aimed(history, np.random.default_rng(0))
        assert (len(history.measured), len(one.measured), len(one.failed)) == (8, 7, 1)
        assert one.seen == history.seen and np.isfinite(one.costs).all()
        assert [len(part.measured) for part in parts_of(history)] == [7, 7]

    def test_an_objective_may_be_told_as_a_metric(self) -> None:
        told = [
            replace(
                one,
                values={"throughput": one.values["throughput"]},
                metrics={"memory": one.values["memory"][0]},
            )
            for one in observed(BOTH, 6)
        ]
        one, other = (
            aimed(History.of(BOTH, which), np.random.default_rng(0))
            for which in (told, observed(BOTH, 6))
        )
        assert one.costs.tolist() == other.costs.tolist()

    def test_scatter_of_windows_is_that_of_the_weighed_cost(self) -> None:
        noisy = replace(BOTH, objectives=(replace(FAST, deterministic=False), SMALL))
        told = [
            replace(one, values={name: (v[0], 1.1 * v[0]) for name, v in one.values.items()})
            for one in observed(noisy, 6)
        ]
        one = aimed(History.of(noisy, told), np.random.default_rng(0))
        assert one.counts.tolist() == [2.0] * 6
        assert one.noise.degrees == 6 and one.noise.sd > 0.0


class TestAnswer:
    def told(self, *answers: tuple[float, float], limit: float | None = None) -> Optimizer:
        limits = ()
        if limit is not None:
            limits = (Limit(name="memory", direction=Direction.MINIMISE, bound=limit),)
        optimizer = Optimizer.of(replace(BOTH, limits=limits), "random")
        drawn = sample(SpaceEncoder(SPACE), len(answers), np.random.default_rng(1))
        for one, (throughput, memory) in zip(drawn, answers, strict=True):
            optimizer.tell(one, {"throughput": throughput, "memory": memory})
        return optimizer

    ANSWERS = ((100.0, 10.0), (180.0, 14.0), (200.0, 40.0), (90.0, 20.0), (150.0, 30.0))

    def test_the_front_has_every_value_and_nothing_beaten(self) -> None:
        front = self.told(*self.ANSWERS).front()
        values = [tuple(round(one.values[name], 6) for name in one.values) for one in front]
        assert values == [(200.0, 40.0), (180.0, 14.0), (100.0, 10.0)]
        assert all("throughput" in one.reason and "memory" in one.reason for one in front)

    def test_the_balanced_one_is_named(self) -> None:
        named = self.told(*self.ANSWERS).recommend()
        assert named is not None
        assert named.values == pytest.approx({"throughput": 180.0, "memory": 14.0})
        assert named.value == pytest.approx(180.0)

    def test_what_breaks_a_limit_is_not_on_the_front(self) -> None:
        optimizer = self.told(*self.ANSWERS, limit=12.0)
        assert [one.values["memory"] for one in optimizer.front()] == pytest.approx([10.0])
        named = optimizer.recommend()
        assert named is not None and named.values["memory"] == pytest.approx(10.0)
        nothing = self.told(*self.ANSWERS, limit=1.0)
        assert nothing.recommend() is None and nothing.front() == []

    def test_with_one_objective_the_front_is_what_is_named(self) -> None:
        optimizer = Optimizer(SPACE, "random", deterministic=True)
        for place, one in enumerate(sample(SpaceEncoder(SPACE), 5, np.random.default_rng(1))):
            optimizer.tell(one, 5.0 - place)
        assert optimizer.front() == [optimizer.recommend()]
