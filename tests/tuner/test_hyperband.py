"""`hyperband` and what every part does with windows that are shorter than full ones."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from targets.errors import FailureKind
from targets.knobs import Knob, KnobType
from targets.metrics import Direction, Objective
from targets.space import KnobSpace
from tuner import Optimizer
from tuner.estimate import finalists, incumbent
from tuner.history import History
from tuner.recommenders.base import (
    Observation,
    Problem,
    Suggestion,
    SuggestionKind,
    suggestion_rng,
)
from tuner.recommenders.brackets import Ladder
from tuner.recommenders.hyperband import HyperbandRecommender
from tuner.surrogates.fitting import fit_gaussian_process
from tuner.surrogates.lengths import LengthModel

SPACE = KnobSpace(
    tuple(
        Knob(name=name, type=KnobType.REAL, low=0.0, high=1.0, default=0.5)
        for name in ("x", "y", "z")
    )
)
TIME = Objective(name="time", direction=Direction.MINIMISE, unit="s", deterministic=True)
PROBLEM = Problem(space=SPACE, objectives=(TIME,), least_fidelity=0.01)
NINTH, THIRD = 1 / 9, 1 / 3


def at(place: float) -> dict[str, float]:
    return {"x": place, "y": 0.5, "z": 0.5}


def seen(place: float, value: float, fidelity: float = 1.0) -> Observation:
    return Observation(configuration=at(place), values={"time": (value,)}, fidelity=fidelity)


def failed(place: float, fidelity: float) -> Observation:
    return Observation(configuration=at(place), failure=FailureKind.TIMED_OUT, fidelity=fidelity)


def suggest(
    told: Sequence[Observation], *pending: float, problem: Problem = PROBLEM, turn: int = 0
) -> Suggestion:
    [suggestion], _ = HyperbandRecommender({"model": False}).suggest(
        problem, told, [at(place) for place in pending], {}, suggestion_rng(1, turn)
    )
    return suggestion


def loss(configuration: dict[str, float]) -> float:
    """Best, 1, in one corner of the space."""
    return math.exp(sum((one - 0.9) ** 2 for one in configuration.values()))


# -- the rungs


@pytest.mark.parametrize(
    ("eta", "least", "rungs"),
    [
        (3, 0.11, (1 / 9, 1 / 3, 1.0)),
        (3, 1 / 9, (1 / 9, 1 / 3, 1.0)),
        (3, 0.112, (1 / 3, 1.0)),
        (2, 0.25, (0.25, 0.5, 1.0)),
        (10, 0.5, (1.0,)),
        (3, 1.0, (1.0,)),
    ],
)
def test_rungs_are_eta_times_as_long_each(eta: int, least: float, rungs: tuple[float, ...]) -> None:
    assert Ladder.of(eta, least=least).rungs == pytest.approx(rungs)


def test_no_rung_is_a_rounding_error_too_short() -> None:
    least = 0.1 / 0.9  # a little above 1 / 9
    assert Ladder.of(3, least=least).rungs[0] == least > 1 / 9


def test_brackets_begin_in_hyperbands_proportions() -> None:
    """Algorithm 1 with R = 9: 9 configurations in the shortest, 5, and 3 in full windows."""
    assert Ladder.of(3, least=1 / 9).beginning * 17 == pytest.approx([9, 5, 3])
    assert Ladder.of(3, least=1.0).beginning.tolist() == [1.0]


# -- who moves up


def test_the_best_of_eta_moves_up_a_rung() -> None:
    told = [seen(0.1, 3.0, NINTH), seen(0.2, 1.0, NINTH), seen(0.3, 2.0, NINTH)]
    moved = suggest(told)
    assert (moved.kind, moved.configuration) == (SuggestionKind.LENGTHEN, at(0.2))
    assert moved.fidelity == pytest.approx(THIRD)
    assert "Number 1 of the 3" in moved.reason and "11%" in moved.reason
    assert suggest(told[:2]).kind is not SuggestionKind.LENGTHEN


def test_who_moved_up_or_is_in_flight_does_not_again() -> None:
    told = [seen(0.1, 3.0, NINTH), seen(0.2, 1.0, NINTH), seen(0.3, 2.0, NINTH)]
    assert suggest(told, 0.2).kind is not SuggestionKind.LENGTHEN
    assert suggest([*told, seen(0.2, 9.0, THIRD)]).kind is not SuggestionKind.LENGTHEN
    more = [seen(0.4 + place / 10, 5.0 + place, NINTH) for place in range(3)]
    assert suggest([*told, seen(0.2, 9.0, THIRD), *more]).configuration == at(0.3)


def test_the_higher_rung_goes_first() -> None:
    low = [seen(0.1 * place, place, NINTH) for place in range(1, 4)]
    high = [seen(0.1 * place, place, THIRD) for place in range(5, 8)]
    moved = suggest([*low, *high])
    assert (moved.configuration["x"], moved.fidelity) == (0.5, 1.0)


def test_what_fails_at_any_length_is_out() -> None:
    told = [seen(0.1, 3.0, NINTH), seen(0.2, 1.0, NINTH), seen(0.3, 2.0, NINTH)]
    moved = suggest([*told, failed(0.2, THIRD)])
    assert (moved.kind, moved.configuration) == (SuggestionKind.LENGTHEN, at(0.3))
    for length in (NINTH, 1.0):
        history = History.of(PROBLEM, [seen(0.5, 1.0), failed(0.5, length)])
        assert history.best is None


def test_what_failed_is_not_taken_to_full_length_at_the_end() -> None:
    ending = replace(PROBLEM, budget=1)
    told = [seen(0.2, 1.0, NINTH), failed(0.2, THIRD), seen(0.6, 2.0, NINTH)]
    [moved], _ = HyperbandRecommender({"model": False}).suggest(
        ending, told, (), {"spent": 1.0}, suggestion_rng(0, 0)
    )
    assert (moved.configuration, moved.fidelity) == (at(0.6), 1.0)


@pytest.mark.parametrize("turned", [False, True])
def test_a_rung_that_ranks_the_wrong_way_round_is_not_listened_to(turned: bool) -> None:
    told = [*told_at(1.0, turned=turned), *told_at(THIRD, turned=turned)]
    asked = [
        HyperbandRecommender({}).suggest(PROBLEM, told, (), {}, suggestion_rng(7, turn))[0][0]
        for turn in range(12)
    ]
    lengths = {round(one.fidelity, 3) for one in asked}
    if turned:
        assert lengths <= {0.111, 1.0}, "nothing begins there"
        assert all(one.kind is not SuggestionKind.LENGTHEN for one in asked)
    else:
        assert {one.kind for one in asked} == {SuggestionKind.LENGTHEN}


def test_several_at_once_are_different() -> None:
    told = [seen(place / 20, place, NINTH) for place in range(1, 10)]
    suggestions, _ = HyperbandRecommender({}).suggest(
        PROBLEM, told, (), {}, suggestion_rng(0, 0), count=8
    )
    assert len({json.dumps(dict(one.configuration)) for one in suggestions}) == 8
    moved = [one for one in suggestions if one.kind is SuggestionKind.LENGTHEN]
    assert [one.configuration["x"] for one in moved] == [0.05, 0.1, 0.15]


def test_no_window_is_shorter_than_the_target_can_measure() -> None:
    problem = replace(PROBLEM, least_fidelity=0.2)
    told = [seen(place / 20, place, NINTH) for place in range(1, 10)]
    lengths = {round(suggest(told, problem=problem, turn=turn).fidelity, 3) for turn in range(20)}
    assert lengths == {0.333, 1.0}
    assert suggest([], problem=replace(PROBLEM, least_fidelity=1.0)).fidelity == 1.0


# -- through the optimizer


def test_a_value_is_told_at_the_length_it_was_asked_for() -> None:
    optimizer = Optimizer(SPACE, recommender="hyperband", seed=2)
    for configuration in optimizer.ask_many(10):
        optimizer.tell(configuration, loss(configuration))
    asked = [one.fidelity for one in optimizer.last_suggestions]
    assert [one.fidelity for one in optimizer.observations] == asked
    assert asked[0] == 1.0, "the first is measured in full, so that there is an answer"
    assert set(asked) > {1.0}
    never_asked = at(0.123)
    optimizer.tell(never_asked, 1.0)
    optimizer.tell(never_asked, 1.0, fidelity=0.5)
    assert [one.fidelity for one in optimizer.observations[-2:]] == [1.0, 0.5]
    for wrong in (0.0, 1.5, math.nan):
        with pytest.raises(ValueError, match="fidelity"):
            optimizer.tell(never_asked, 1.0, fidelity=wrong)


@pytest.mark.parametrize("model", [False, True])
def test_a_known_budget_ends_in_full_windows_of_what_promises_most(model: bool) -> None:
    optimizer = Optimizer(
        SPACE,
        recommender="hyperband",
        budget=16,
        deterministic=True,
        seed=4,
        options={"model": model},
    )
    spent, last = 0.0, []
    while spent < 16 - 1e-9:
        configuration = optimizer.ask()
        [suggestion] = optimizer.last_suggestions
        if spent >= 12:
            last.append(suggestion)
        spent += suggestion.fidelity
        optimizer.tell(configuration, loss(configuration))
    assert {one.fidelity for one in last} == {1.0}
    if not model:
        assert all(one.kind is SuggestionKind.LENGTHEN for one in last)
    named = optimizer.recommend()
    assert named is not None
    full = [one for one in optimizer.observations if one.fidelity == 1.0]
    assert named.configuration == min(full, key=lambda one: one.values["objective"]).configuration


def test_informative_short_windows_beat_full_ones_for_equal_time() -> None:
    def regret(recommender: str, seed: int) -> float:
        options = {"model": False} if recommender == "hyperband" else None
        optimizer = Optimizer(SPACE, recommender=recommender, budget=18, seed=seed, options=options)
        spent = 0.0
        while spent < 18 - 1e-9:
            configuration = optimizer.ask()
            spent += optimizer.last_suggestions[0].fidelity
            optimizer.tell(configuration, loss(configuration))
        named = optimizer.recommend()
        assert named is not None
        return math.log(loss(named.configuration))

    found = {name: [regret(name, seed) for seed in range(12)] for name in ("hyperband", "random")}
    assert np.mean(found["hyperband"]) < 0.8 * np.mean(found["random"])


# -- nobody takes a short window for a full one


FLATTERING = [seen(0.9, 0.001, NINTH), seen(0.8, 0.002, THIRD)]


def test_the_answer_rests_on_full_windows() -> None:
    assert incumbent(PROBLEM, FLATTERING) is None
    assert finalists(PROBLEM, FLATTERING, 3) == []
    named = incumbent(PROBLEM, [*FLATTERING, seen(0.9, 7.0), seen(0.1, 5.0)])
    assert named is not None
    assert (named.configuration, named.windows) == (at(0.1), 1)
    assert named.value == pytest.approx(5.0)


def test_models_of_full_windows_are_not_fooled() -> None:
    full = [seen(place / 10, 1 + (place / 10 - 0.2) ** 2) for place in range(10)]
    rows = History.of(PROBLEM, full).rows
    fooled = [*full, *(seen(place / 100, 0.001, NINTH) for place in (31, 53, 97))]
    history = History.of(PROBLEM, fooled)
    assert np.array_equal(history.costs, History.of(PROBLEM, full).costs)
    without = fit_gaussian_process(History.of(PROBLEM, full)).predict(rows)
    assert np.array_equal(fit_gaussian_process(history).predict(rows), without)
    assert len(history.seen) == 13, "what was seen in short windows is seen"


@pytest.mark.parametrize("name", ["auto", "local"])
def test_a_recommender_switched_to_repeats_nothing(name: str) -> None:
    optimizer = Optimizer(SPACE, recommender=name, seed=0)
    for one in [*FLATTERING, *(seen(place / 10, 1.0 + place) for place in range(8))]:
        optimizer.tell(dict(one.configuration), one.values["time"], fidelity=one.fidelity)
    for _ in range(3):
        configuration = optimizer.ask()
        assert configuration not in [one.configuration for one in FLATTERING]
        assert optimizer.last_suggestions[0].fidelity == 1.0
        optimizer.tell(configuration, 2.0)
    assert optimizer.observations[-1].fidelity == 1.0


def test_a_history_tells_each_length_apart() -> None:
    history = History.of(PROBLEM, [seen(0.1, 1.0), seen(0.1, 2.0, THIRD), seen(0.2, 3.0, THIRD)])
    assert [one.values for one in history.measured] == [(1.0,)]
    third = history.at(THIRD)
    assert [one.values for one in third.measured] == [(2.0,), (3.0,)]
    assert third.seen == history.seen
    assert history.at(0.5).measured == ()
    assert [one.fidelity for one in history.outcomes] == [1.0, THIRD]


# -- the model


def told_at(fidelity: float, *, turned: bool) -> list[Observation]:
    rng = np.random.default_rng(0 if fidelity == 1.0 else 1)
    told = []
    for x, y, z in rng.random((8 if fidelity == 1.0 else 30, 3)):
        value = loss({"x": x, "y": y, "z": z})
        told.append(
            Observation(
                configuration={"x": x, "y": y, "z": z},
                values={"time": (1 / value if turned and fidelity < 1.0 else value,)},
                fidelity=fidelity,
            )
        )
    return told


@pytest.mark.parametrize("turned", [False, True])
def test_the_model_is_led_by_short_windows_as_far_as_they_agree(turned: bool) -> None:
    history = History.of(PROBLEM, [*told_at(1.0, turned=turned), *told_at(THIRD, turned=turned)])
    both = LengthModel.fit({THIRD: history.at(THIRD), 1.0: history})
    alone = LengthModel.fit({1.0: history})
    rows = np.random.default_rng(5).random((200, 3))
    truth = ((rows - 0.9) ** 2).sum(axis=1)

    def agreement(model: LengthModel) -> float:
        return float(np.corrcoef(model.predict(rows)[0], truth)[0, 1])

    assert agreement(both) > (0.0 if turned else max(0.9, agreement(alone)))
