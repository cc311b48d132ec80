"""The actor-critic: its networks learn, its policy answers to workloads and keeps off failures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from targets.errors import FailureKind
from targets.knobs import Configuration, Knob, KnobType
from targets.metrics import Direction, Objective
from targets.space import KnobSpace
from tuner.history import History
from tuner.recommenders.actor_critic import ActorCriticRecommender, replay
from tuner.recommenders.base import (
    Limit,
    Observation,
    PastTask,
    Problem,
    suggestion_rng,
)
from tuner.sampling import sample
from tuner.space import SpaceEncoder
from tuner.surrogates.policy_gradient import ActorCritic, Replay, _squashed, _unsquashed
from tuner.surrogates.small_network import Adam, Networks

Array = NDArray[np.float64]

SPACE = KnobSpace(
    (
        Knob(name="mode", type=KnobType.CATEGORICAL, levels=tuple("abc"), default="a"),
        *(Knob(name=name, type=KnobType.REAL, low=0.0, high=1.0, default=0.1) for name in "uvwxyz"),
    )
)
COST = Objective(name="cost", direction=Direction.MINIMISE)
PROBLEM = Problem(space=SPACE, objectives=(COST,), budget=30)


def bowl(configuration: Configuration, best: float = 0.7) -> float:
    """The logarithm of the cost: 0 at the best."""
    squares = sum((float(configuration[name]) - best) ** 2 for name in "uvwxyz")
    return 0.5 * (configuration["mode"] != "c") + 2.0 * squares


def observed(
    configurations: Sequence[Configuration],
    *,
    best: float = 0.7,
    metrics: Callable[[], dict[str, float]] = dict,
) -> list[Observation]:
    return [
        Observation(
            configuration=one,
            values={"cost": (math.exp(bowl(one, best)),)},
            metrics=metrics(),
            number=number,
        )
        for number, one in enumerate(configurations)
    ]


def drawn(count: int, seed: int = 0) -> list[Configuration]:
    return list(sample(SpaceEncoder(SPACE), count, np.random.default_rng(seed)))


def lowest(seed: int) -> float:
    """The lowest cost that a session finds."""
    observations: list[Observation] = []
    state: dict[str, object] = {}
    for turn in range(PROBLEM.budget):
        [one], state = ActorCriticRecommender().suggest(
            PROBLEM, observations, (), state, suggestion_rng(seed, turn)
        )
        observations += observed([one.configuration])
    return min(bowl(one.configuration) for one in observations)


def test_it_finds_far_better_than_chance() -> None:
    learnt = np.mean([lowest(seed) for seed in range(2)])
    chance = np.mean([min(map(bowl, drawn(PROBLEM.budget, seed))) for seed in range(20)])
    assert learnt < 0.6 * chance


def slope_of(function: Callable[[], float], array: Array) -> Array:
    """By central differences, every number of an array changed in place."""
    slope = np.empty(array.shape)
    for place in np.ndindex(array.shape):
        kept, values = array[place], []
        for step in (1e-6, -1e-6):
            array[place] = kept + step
            values.append(function())
        array[place] = kept
        slope[place] = (values[0] - values[1]) / 2e-6
    return slope


def test_gradients_are_those_of_the_outputs() -> None:
    rng = np.random.default_rng(0)
    networks = Networks.drawn(2, 3, 5, 2, rng)
    inputs, wanted = rng.standard_normal((2, 4, 3)), rng.standard_normal((2, 4, 2))

    def total() -> float:
        return float((wanted * networks.forward(inputs)[0]).sum())

    gradients, to_inputs = networks.backward(inputs, networks.forward(inputs)[1], wanted)
    for gradient, weight in zip(gradients, networks.weights, strict=True):
        assert gradient == pytest.approx(slope_of(total, weight), abs=1e-6)
    assert to_inputs == pytest.approx(slope_of(total, inputs), abs=1e-6)


def test_gradients_pass_through_the_squashing() -> None:
    rng = np.random.default_rng(1)
    encoder = SpaceEncoder(SPACE)
    outputs, wanted = rng.standard_normal((2, 9)), rng.standard_normal((2, 9))
    actions = _squashed(encoder, outputs)
    assert actions[:, :3].sum(axis=1) == pytest.approx([1.0, 1.0])
    slope = slope_of(lambda: float((wanted * _squashed(encoder, outputs)).sum()), outputs)
    assert _unsquashed(encoder, actions, wanted) == pytest.approx(slope, abs=1e-6)


def test_networks_learn_a_curve() -> None:
    rng = np.random.default_rng(2)
    x = np.linspace(-2.0, 2.0, 60)[:, None]
    networks = Networks.drawn(3, 1, 16, 1, rng)
    optimiser = Adam(networks.weights, rate=0.02)
    for _ in range(400):
        outputs, hidden = networks.forward(x)
        gradients, _ = networks.backward(x, hidden, (outputs - np.sin(2.0 * x)) / len(x))
        optimiser.step(gradients)
    errors = networks.forward(x)[0] - np.sin(2.0 * x)
    assert np.abs(errors).mean(axis=(1, 2)).max() < 0.1


def fitted(observations: Sequence[Observation], seed: int = 0) -> ActorCritic:
    history = History.of(PROBLEM, observations)
    return ActorCritic.fit(history.encoder, replay(history), np.random.default_rng(seed))


def test_an_actor_does_better_than_nearly_all_it_was_taught_with() -> None:
    observations = observed(drawn(60))
    costs = sorted(bowl(one.configuration) for one in observations)
    model = fitted(observations)
    for action in model.actions:
        row = np.concatenate(([float(action[:3].argmax())], action[3:]))
        assert bowl(SpaceEncoder(SPACE).decode(row)) < costs[3]


def test_it_says_how_much_it_has_learnt() -> None:
    observations = observed(drawn(80))
    rng = np.random.default_rng(0)
    noise = [
        Observation(
            configuration=one.configuration, values={"cost": (math.exp(rng.standard_normal()),)}
        )
        for one in observations
    ]
    assert fitted(observations).learnt > 0.4
    assert fitted(noise).learnt < 0.1


def workload(kind: str) -> Callable[[], dict[str, float]]:
    middle = {"reads": (900.0, 30.0), "writes": (50.0, 700.0)}[kind]
    return lambda: {"reads": middle[0], "writes": middle[1]}


OPTIMUM = {"reads": 0.8, "writes": 0.2}
PAST = tuple(
    PastTask(
        name=name,
        space=SPACE,
        observations=tuple(observed(drawn(60, 1), best=best, metrics=workload(name))),
    )
    for name, best in OPTIMUM.items()
)


def where_it_goes(kind: str) -> float:
    """Where the first actions are, in a session that has told nothing but its workload."""
    middle = drawn(1, 7)[0] | dict.fromkeys("uvwxyz", 0.5)
    here = [
        Observation(
            configuration=middle | {"mode": mode},
            values={"cost": (1.0,)},
            metrics=workload(kind)(),
            number=number,
        )
        for number, mode in enumerate("abc")
    ]
    here += [
        Observation(configuration=one, failure=FailureKind.HARNESS_FAILED) for one in drawn(6, 3)
    ]
    problem = Problem(space=SPACE, objectives=(COST,), history=PAST)
    first = [
        ActorCriticRecommender().suggest(problem, here, (), {}, suggestion_rng(turn, 0))[0][0]
        for turn in range(4)
    ]
    return float(np.mean([[float(one.configuration[name]) for name in "uvwxyz"] for one in first]))


def test_past_tasks_count_by_how_alike_their_workloads_are() -> None:
    assert where_it_goes("writes") < 0.47
    assert where_it_goes("reads") > 0.53


def two_knobs(count: int) -> tuple[Problem, list[Configuration]]:
    knobs = [Knob(name=name, type=KnobType.REAL, low=0.0, high=1.0, default=0.1) for name in "uv"]
    limit = Limit(name="memory", direction=Direction.MINIMISE, bound=1.0)
    problem = Problem(space=KnobSpace(tuple(knobs)), objectives=(COST,), limits=(limit,))
    rng = np.random.default_rng(0)
    return problem, list(sample(SpaceEncoder(problem.space), count, rng))


def best_at(configuration: Configuration, memory: float = 0.0) -> Observation:
    off = sum((float(configuration[name]) - 0.8) ** 2 for name in "uv")
    return Observation(
        configuration=configuration,
        values={"cost": (math.exp(2.0 * off),)},
        metrics={"memory": memory},
    )


def chosen(problem: Problem, told: Sequence[Observation], name: str) -> list[float]:
    ask = ActorCriticRecommender().suggest
    answers = [ask(problem, told, (), {}, suggestion_rng(seed, 0))[0][0] for seed in range(6)]
    return [float(one.configuration[name]) for one in answers]


def test_it_keeps_off_what_fails_though_the_best_seems_to_lie_there() -> None:
    problem, tried = two_knobs(40)
    told = [
        Observation(configuration=one, failure=FailureKind.TARGET_DOWN)
        if float(one["u"]) > 0.5
        else best_at(one)
        for one in tried
    ]
    assert max(chosen(problem, told, "u")) < 0.55


def test_what_breaks_a_limit_is_no_example() -> None:
    problem, tried = two_knobs(40)
    told = [best_at(one, memory=2.0 * (float(one["v"]) > 0.5)) for one in tried]
    assert np.mean(chosen(problem, told, "v")) < 0.5
    allowed = [best_at(one) for one in tried]
    assert np.mean(chosen(problem, allowed, "v")) > 0.6


def test_the_best_examples_hold_an_actor_most_each_task_for_itself() -> None:
    here = Replay.of_task(
        np.zeros((4, 9)),
        np.array([0.2, -0.8, -0.8, 5.0]),
        good=np.array([True, True, True, False]),
        weight=1.0,
    )
    assert here.trust[3] == 0.0
    assert here.trust[0] > 10 * here.trust[1] == 10 * here.trust[2]
    past = Replay.of_task(np.zeros((2, 9)), np.array([3.0, 2.0]), good=np.ones(2, bool), weight=0.5)
    joined = Replay.joined([here, past])
    assert joined.trust[:4].sum() == pytest.approx(4.0)
    assert joined.trust[4:].sum() == pytest.approx(1.0)
