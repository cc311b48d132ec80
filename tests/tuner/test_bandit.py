"""The bandit plays what is good again and again, under noise, and keeps off what fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from targets.errors import FailureKind
from targets.knobs import Configuration, Knob, KnobType
from targets.metrics import Direction, Objective
from targets.space import KnobSpace
from tuner.errors import SpaceExhausted
from tuner.history import History
from tuner.noise import Noise
from tuner.recommenders.arms import newcomers, playable, wants_more
from tuner.recommenders.bandit import BanditRecommender
from tuner.recommenders.base import (
    Limit,
    Observation,
    PastTask,
    Problem,
    Suggestion,
    SuggestionKind,
    suggestion_rng,
)
from tuner.recommenders.belief import THOMPSON, UCB, Belief
from tuner.rehearsal import mixed

SPEED = Objective(name="speed", direction=Direction.MAXIMISE, unit="1/s")
PLANS = KnobSpace(
    (Knob(name="plan", type=KnobType.CATEGORICAL, levels=tuple("abcdef"), default="a"),)
)
PLAY = Problem(space=PLANS, objectives=(SPEED,))
TRUTH = dict(zip("abcdef", (80.0, 90.0, 60.0, 100.0, 70.0, 50.0), strict=True))
NOISE_SD = 0.1


def told(plan: str, *values: float, number: int = 0) -> Observation:
    return Observation(configuration={"plan": plan}, values={"speed": values}, number=number)


def failed(plan: str, number: int = 0) -> Observation:
    return Observation(
        configuration={"plan": plan}, failure=FailureKind.WORKLOAD_FAILED, number=number
    )


def ask(
    observations: Sequence[Observation],
    problem: Problem = PLAY,
    *,
    turn: int = 0,
    pending: Sequence[Configuration] = (),
    **options: object,
) -> Suggestion:
    [suggestion], _ = BanditRecommender(options).suggest(
        problem, observations, pending, {}, suggestion_rng(0, turn)
    )
    return suggestion


def play(trials: int, seed: int, **options: object) -> list[Suggestion]:
    rng = np.random.default_rng(seed)
    observations: list[Observation] = []
    suggestions = []
    for turn in range(trials):
        [one], _ = BanditRecommender(options).suggest(
            PLAY, observations, (), {}, suggestion_rng(seed, turn)
        )
        plan = str(one.configuration["plan"])
        value = TRUTH[plan] * float(np.exp(NOISE_SD * rng.standard_normal()))
        observations.append(told(plan, value, number=turn))
        suggestions.append(one)
    return suggestions


@pytest.mark.parametrize("policy", [THOMPSON, UCB])
def test_each_is_tried_once_then_the_good_ones_are_played(policy: str) -> None:
    late: Counter[str] = Counter()
    for seed in range(5):
        played = play(40, seed, policy=policy)
        assert {one.configuration["plan"] for one in played[:6]} == set("abcdef")
        assert not any(one.kind is SuggestionKind.RE_MEASURE for one in played[:6])
        for one in played[6:]:
            assert one.kind is SuggestionKind.RE_MEASURE
            assert "Played again on purpose" in one.reason
            assert one.expected is not None
        late.update(str(one.configuration["plan"]) for one in played[20:])
    # Chance would give each a sixth; the best two are 11 % apart, about one standard deviation.
    assert late["d"] > 0.6 * late.total()
    assert late["d"] + late["b"] > 0.9 * late.total()


def test_the_best_of_past_tasks_come_before_anything_random() -> None:
    past = PastTask(
        name="last week", space=PLANS, observations=(told("b", 10.0), told("e", 30.0), failed("f"))
    )
    wide = Problem(space=mixed().space, objectives=(SPEED,))
    problem = Problem(space=PLANS, objectives=(SPEED,), history=(past,))
    assert ask([], problem).configuration == {"plan": "a"}
    second = ask([told("a", 1.0)], problem)
    assert second.configuration == {"plan": "e"}
    assert second.kind is SuggestionKind.WARM_START
    assert "last week" in second.reason
    assert ask([], wide).configuration == wide.space.default()


def test_what_never_worked_is_left_and_what_sometimes_fails_is_not() -> None:
    values = [told(plan, TRUTH[plan], TRUTH[plan] * 1.02) for plan in "abce"]
    dead = [*values, failed("d"), failed("f")]
    assert not {ask(dead, turn=turn).configuration["plan"] for turn in range(30)} & {"d", "f"}
    shaky = [*values, told("d", 150.0), told("d", 151.0), failed("d"), failed("f")]
    again = ask(shaky)
    assert again.configuration == {"plan": "d"}
    assert "failed 1 of 3 times" in again.reason
    hopeless = [*shaky, failed("d"), failed("d")]
    assert ask(hopeless).configuration != {"plan": "d"}


def test_what_breaks_a_limit_is_not_played() -> None:
    limit = Limit(name="memory", direction=Direction.MINIMISE, bound=1.0)
    problem = Problem(space=PLANS, objectives=(SPEED,), limits=(limit,))
    observations = [told(plan, value) for plan, value in TRUTH.items() if plan != "d"]
    greedy = Observation(
        configuration={"plan": "d"}, values={"speed": (500.0,)}, metrics={"memory": 2.0}
    )
    chosen = {ask([*observations, greedy], problem, turn=turn).configuration["plan"]
              for turn in range(20)}  # fmt: skip
    assert "d" not in chosen


def test_side_by_side_no_arm_is_played_twice() -> None:
    observations = [told(plan, value) for plan, value in TRUTH.items()]
    suggestions, _ = BanditRecommender().suggest(
        PLAY, observations, [{"plan": "d"}], {}, suggestion_rng(0, 0), count=9
    )
    plans = [one.configuration["plan"] for one in suggestions]
    assert sorted(plans) == sorted("abcef")


def test_without_noise_nothing_is_played_again() -> None:
    agreeing = [told("a", 80.0), told("a", 80.0)]
    assert ask(agreeing).configuration != {"plan": "a"}
    with pytest.raises(SpaceExhausted):
        ask([*agreeing, *(told(plan, TRUTH[plan]) for plan in "bcdef")])


def test_a_large_space_lends_arms_as_the_root_of_the_trials() -> None:
    problem = Problem(space=mixed().space, objectives=(SPEED,))
    observations: list[Observation] = []
    state: dict[str, object] = {}
    rng = np.random.default_rng(0)
    for turn in range(50):
        [one], state = BanditRecommender().suggest(
            problem, observations, (), state, suggestion_rng(0, turn)
        )
        value = 10.0 * float(np.exp(NOISE_SD * rng.standard_normal()))
        observations.append(
            Observation(configuration=one.configuration, values={"speed": (value,)}, number=turn)
        )
    history = History.of(problem, observations)
    assert len(history.outcomes) == 8  # the root of 50, rounded up
    assert not wants_more(history, 16)
    assert wants_more(History.of(problem, observations * 2), 16)
    assert not wants_more(History.of(problem, observations * 2), 8)


def test_no_more_arms_than_asked_for() -> None:
    observations = [told(plan, value, value * 1.01) for plan, value in TRUTH.items()]
    history = History.of(PLAY, observations)
    best = [history.measured[place].configuration["plan"] for place in playable(history, 2)]
    assert best == ["d", "b"]
    assert newcomers(History.of(PLAY, observations[:3]), 2) == []


def test_belief_is_a_student_t_of_the_pooled_noise() -> None:
    belief = Belief.of(np.array([0.0, 1.0]), np.diag([1.0, 0.5]), Noise(sd=0.1, degrees=3))
    drawn = belief.draw(200_000, np.random.default_rng(0))
    for share in (0.05, 0.5, 0.9):
        assert np.quantile(drawn, share, axis=0) == pytest.approx(belief.quantile(share), abs=0.03)
    # Heavier tails than the normal's 1.645, which knows the noise.
    assert belief.quantile(0.95)[0] > 1.9
    chances = belief.chance_best(np.random.default_rng(0))
    assert chances.sum() == pytest.approx(1.0)
    assert chances[0] > 0.75


def test_optimism_grows_with_the_trials() -> None:
    belief = Belief.of(np.array([0.0, 0.3]), np.diag([0.05, 0.2]), Noise(sd=0.1, degrees=20))
    rng = np.random.default_rng(0)
    assert belief.choose(UCB, 1, rng) == 0
    assert belief.choose(UCB, 200, rng) == 1
