"""Batches: several configurations to try side by side, none of which waits for another's answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from targets.knobs import Knob, KnobType
from targets.metrics import Direction, Objective
from targets.space import KnobSpace
from tuner.recommenders.base import Observation, Problem, suggestion_rng
from tuner.recommenders.optuna_study import parameters_of
from tuner.registry import load_recommender
from tuner.rehearsal import mixed
from tuner.sampling import sample
from tuner.space import SpaceEncoder

BATCHING = (
    "gp",
    "forest",
    "auto",
    "boosted-rank",
    "optuna-tpe",
    "optuna-cmaes",
    "optuna-nsga2",
)
COST = Objective(name="cost", direction=Direction.MINIMISE, deterministic=True)
SMOOTH = Problem(
    space=KnobSpace(
        tuple(
            Knob(name=name, type=KnobType.REAL, low=0.0, high=1.0, default=0.5)
            for name in ("a", "b", "c", "d")
        )
    ),
    objectives=(COST,),
)


def observed(problem: Problem, count: int, seed: int) -> list[Observation]:
    """A bowl at random configurations."""
    encoder = SpaceEncoder(problem.space)
    drawn = sample(encoder, count, np.random.default_rng(seed))
    return [
        Observation(
            configuration=one,
            values={problem.objective.name: (1.0 + float(((row - 0.3) ** 2).sum()),)},
            number=number,
        )
        for number, (one, row) in enumerate(zip(drawn, encoder.encode_many(drawn), strict=True))
    ]


@pytest.mark.parametrize("recommender", BATCHING)
def test_a_batch_is_not_one_point_and_its_neighbours(recommender: str) -> None:
    encoder = SpaceEncoder(SMOOTH.space)
    apart = []
    for seed in range(3):
        suggestions, _ = load_recommender(recommender)().suggest(
            SMOOTH, observed(SMOOTH, 16, seed), (), {}, suggestion_rng(seed, 16), count=4
        )
        rows = encoder.encode_many([one.configuration for one in suggestions])
        apart.append(float(pdist(rows).mean()))
    # Random configurations of four knobs lie 0.78 apart, what one step of one knob leads to 0.1.
    assert np.mean(apart) > 0.15


@pytest.mark.parametrize("recommender", BATCHING)
def test_a_batch_may_be_asked_for_piece_by_piece(recommender: str) -> None:
    told = observed(SMOOTH, 12, 0)
    one = load_recommender(recommender)()
    pending: list[dict[str, object]] = []
    state: dict[str, object] = {}
    for turn in range(4):
        [suggestion], state = one.suggest(
            SMOOTH, told, pending, state, suggestion_rng(0, 12 + turn)
        )
        assert suggestion.configuration not in pending
        pending.append(dict(suggestion.configuration))


@pytest.mark.parametrize("recommender", BATCHING)
def test_a_strange_level_in_flight_is_no_trouble(recommender: str) -> None:
    problem = replace(mixed(), limits=())
    pending = [
        problem.space.default() | {"page": 1234},
        problem.space.default() | {"mode": "strange"},
    ]
    told = observed(problem, 12, 0)
    [suggestion], _ = load_recommender(recommender)().suggest(
        problem, told, pending, {}, suggestion_rng(0, 12)
    )
    assert problem.space.check(suggestion.configuration) == suggestion.configuration


def test_a_sampler_is_told_the_knobs_it_can_place() -> None:
    problem = mixed()
    strange = problem.space.default() | {"mode": "strange"}
    encoder = SpaceEncoder(problem.space)
    known = parameters_of(encoder, problem.space.default())
    assert parameters_of(encoder, strange) == {
        name: place for name, place in known.items() if name != "mode"
    }
