"""Learning from other tasks: what sources say, when they are heard, what it does to a search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from targets.errors import FailureKind
from targets.knobs import Configuration, Knob, KnobType
from targets.metrics import Direction, Objective
from targets.space import KnobSpace
from tuner.history import History
from tuner.optimizer import Optimizer
from tuner.recommenders.auto import AutoRecommender
from tuner.recommenders.base import (
    Observation,
    PastTask,
    Problem,
    Suggestion,
    SuggestionKind,
    suggestion_rng,
)
from tuner.sampling import sample, sample_rows
from tuner.space import SpaceEncoder
from tuner.surrogates.transfer import Sources
from tuner.surrogates.transfer_model import TransferModel, agrees

Cost = Callable[[Configuration], float]

SPACE = KnobSpace(
    (
        Knob(name="mode", type=KnobType.CATEGORICAL, levels=tuple("abcd"), default="a"),
        Knob(name="size", type=KnobType.REAL, low=0.0, high=1.0, default=0.0),
        Knob(name="inert", type=KnobType.REAL, low=0.0, high=1.0, default=0.0),
        Knob(name="page", type=KnobType.ORDINAL, levels=(1, 2, 4, 8, 16), default=1),
    )
)
TIME = Objective(name="time", direction=Direction.MINIMISE)


def seconds(configuration: Configuration) -> float:
    """Least in mode c, at size 0.8 and page 4; `inert` does nothing."""
    step = 1.0 * (configuration["mode"] != "c") + 0.2 * abs(np.log2(configuration["page"]) - 2)
    return float(np.exp(step + 4.0 * (float(configuration["size"]) - 0.8) ** 2))


def opposite(configuration: Configuration) -> float:
    return 100.0 / seconds(configuration)


def told(cost: Cost, count: int, *, seed: int, space: KnobSpace = SPACE) -> list[Observation]:
    drawn = sample(SpaceEncoder(space), count, np.random.default_rng(seed))
    return [
        Observation(configuration=one, values={"time": (cost(one),)}, number=number)
        for number, one in enumerate(drawn)
    ]


def past(name: str, cost: Cost, *, seed: int = 0) -> PastTask:
    return PastTask(name=name, space=SPACE, observations=tuple(told(cost, 60, seed=seed)))


def problem(*tasks: PastTask) -> Problem:
    return Problem(space=SPACE, objectives=(TIME,), history=tasks)


def fitted(
    given: Problem, observations: list[Observation], *, doubted: bool = False, **options: Any
) -> TransferModel | None:
    sources = Sources.of(given, {})
    return TransferModel.fit(History.of(given, observations, **options), sources, doubted=doubted)


def lanes(given: Problem, trials: int, *, cost: Cost = seconds, seed: int = 0) -> list[str]:
    return [one.lane for one in searched(given, trials, cost=cost, seed=seed)]


def searched(
    given: Problem, trials: int, *, cost: Cost = seconds, seed: int = 0
) -> list[Suggestion]:
    optimizer, asked = Optimizer.of(given, seed=seed), []
    for _ in range(trials):
        configuration = optimizer.ask()
        optimizer.tell(configuration, cost(configuration))
        assert optimizer.last_suggestion is not None
        asked.append(optimizer.last_suggestion)
    return asked


class TestKernel:
    def test_it_takes_from_the_sources_which_knobs_matter(self) -> None:
        given = problem(past("one", seconds), past("two", seconds, seed=1))
        encoder = SpaceEncoder(SPACE)
        kernel = Sources.of(given, {}).kernel(encoder)
        middle = np.array([[0.0, 0.5, 0.5, 0.5]])
        along = {
            knob: kernel.covariance(middle, middle + 0.5 * (np.arange(4) == place))[0, 0]
            for place, knob in ((1, "size"), (2, "inert"))
        }
        assert kernel.covariance(middle, middle)[0, 0] == pytest.approx(1.0, abs=0.05)
        assert 1.0 - along["inert"] < 0.1 * (1.0 - along["size"])

    def test_a_knob_that_no_source_has_matters_as_others_do(self) -> None:
        space = KnobSpace((*SPACE, replace(SPACE["size"], name="new")))
        given = replace(problem(past("one", seconds)), space=space)
        kernel = Sources.of(given, {}).kernel(SpaceEncoder(space))
        assert np.isfinite(kernel.parameters).all()
        known = np.log(kernel.weights[:-1])
        assert np.log(kernel.weights[-1]) == pytest.approx(np.median(known))

    def test_a_source_that_shares_no_knob_is_none(self) -> None:
        other = KnobSpace((replace(SPACE["size"], name="elsewhere"),))
        observations = told(lambda one: 1.0 + float(one["elsewhere"]), 20, seed=0, space=other)
        stranger = PastTask(name="stranger", space=other, observations=tuple(observations))
        assert not Sources.of(problem(stranger), {})


class TestModel:
    def test_it_ranks_what_was_never_tried_here(self) -> None:
        """Although here all takes a hundred times as long, and the best size is another."""

        def here(configuration: Configuration) -> float:
            moved = {**configuration, "size": float(configuration["size"]) + 0.1}
            return 100.0 * seconds(moved)

        model = fitted(problem(past("one", seconds)), told(here, 6, seed=3))
        assert model is not None
        encoder = SpaceEncoder(SPACE)
        rows = sample_rows(encoder, 200, np.random.default_rng(9))
        true = np.log([here(one) for one in encoder.decode_many(rows)])
        mean, sd = model.predict(rows)
        assert np.corrcoef(mean, true)[0, 1] > 0.9
        assert np.mean(np.abs(mean - true) < 2.0 * sd) > 0.85

    def test_a_source_on_another_axis_is_put_to_scale(self) -> None:
        """Values of both signs are no ratios, and do not say how far those here differ."""
        given = problem(past("one", lambda one: 1e6 * (seconds(one) - 1.5)))
        model = fitted(given, told(seconds, 8, seed=3))
        assert model is not None
        rows = sample_rows(SpaceEncoder(SPACE), 50, np.random.default_rng(9))
        mean, sd = model.predict(rows)
        assert np.abs(mean).max() < 10.0 and sd.max() < 10.0

    def test_what_is_in_flight_is_not_new(self) -> None:
        given, observations = problem(past("one", seconds)), told(seconds, 5, seed=3)
        [[place]] = [sample(SpaceEncoder(SPACE), 1, np.random.default_rng(9))]
        row = SpaceEncoder(SPACE).encode_many([place])
        alone, beside = fitted(given, observations), fitted(given, observations, pending=[place])
        assert alone is not None and beside is not None
        [mean], [sd] = alone.predict(row)
        [believed], [left] = beside.predict(row)
        assert believed == pytest.approx(mean, abs=1e-6)
        assert left < 0.6 * sd

    def test_nothing_measured_yet_is_what_the_sources_say(self) -> None:
        model = fitted(problem(past("one", seconds)), [])
        assert model is not None
        good = {"mode": "c", "size": 0.8, "inert": 0.5, "page": 4}
        bad = {"mode": "a", "size": 0.0, "inert": 0.5, "page": 16}
        rows = SpaceEncoder(SPACE).encode_many([good, bad])
        mean, _ = model.predict(rows)
        assert mean[0] < mean[1] - 1.0


class TestHearing:
    def test_a_source_that_contradicts_is_left_out(self) -> None:
        given = problem(past("right", seconds), past("wrong", opposite))
        model = fitted(given, told(seconds, 8, seed=3))
        assert model is not None
        assert [source.name for source in model.weightiest] == ["right"]
        assert fitted(problem(past("wrong", opposite)), told(seconds, 8, seed=3)) is None

    def test_the_better_source_weighs_more(self) -> None:
        def similar(configuration: Configuration) -> float:
            return seconds({**configuration, "mode": "b"}) + 0.5 * (configuration["mode"] != "d")

        given = problem(past("similar", similar), past("same", seconds))
        model = fitted(given, told(seconds, 20, seed=3))
        assert model is not None
        assert model.weightiest[0].name == "same"

    def test_the_benefit_of_the_doubt(self) -> None:
        """Six alike say little either way: it counts for a source, or, once doubted, against it."""
        expected = np.arange(6.0)
        weak = np.array([1.0, 0.0, 4.0, 2.0, 5.0, 3.0])
        assert agrees(expected, weak, doubted=False)
        assert not agrees(expected, weak, doubted=True)
        assert agrees(expected, expected, doubted=True)
        assert not agrees(expected, -weak, doubted=False)

    def test_with_two_there_is_nothing_to_compare(self) -> None:
        two = np.array([1.0, 2.0])
        assert agrees(two, -two, doubted=False)
        assert not agrees(two, two, doubted=True)


class TestSearch:
    def test_sources_and_start_take_turns_at_first(self) -> None:
        first = searched(problem(past("one", seconds), past("two", seconds, seed=1)), 6)
        order = [one.lane for one in first]
        assert order == ["transfer", "transfer", "start", "transfer", "start", "transfer"]
        warm = [one for one in first if one.kind is SuggestionKind.WARM_START]
        names = [one.reason.removeprefix("Among the best in ") for one in warm]
        assert names == ["one.", "two.", "one.", "two."]

    def test_after_a_contradiction_it_begins_as_without_sources(self) -> None:
        order = lanes(problem(past("wrong", opposite)), 7)
        assert order == ["transfer", "transfer", *["start"] * 5]

    def test_a_better_start_takes_the_benefit_of_the_doubt_away(self) -> None:
        """Of three trials, rankings of a source that knows nothing may agree by chance."""
        stranger = problem(past("stranger", lambda one: 1.0 + float(one["inert"])))
        after = set()
        for seed in range(8):
            *first, fourth = searched(stranger, 4, seed=seed)
            *best_elsewhere, start = [seconds(one.configuration) for one in first]
            if start < min(best_elsewhere):
                after.add(fourth.lane)
        assert after == {"start"}

    def test_a_similar_source_helps_and_a_wrong_one_does_little_harm(self) -> None:
        def best(given: Problem) -> float:
            runs = [
                min(seconds(one.configuration) for one in searched(given, 12, seed=seed))
                for seed in range(6)
            ]
            return float(np.mean(np.log(runs)))

        cold = best(problem())
        assert best(problem(past("one", lambda one: 7.0 * seconds(one)))) < 0.6 * cold
        assert best(problem(past("wrong", opposite))) < cold + 0.15

    def test_it_goes_on_while_everything_fails(self) -> None:
        optimizer = Optimizer.of(problem(past("one", seconds)), seed=0)
        for _ in range(25):
            optimizer.tell(optimizer.ask(), failure=FailureKind.WORKLOAD_FAILED)
        assert len(optimizer.observations) == 25

    def test_a_recommender_that_is_asked_again_says_what_a_new_one_would(self) -> None:
        given = problem(past("one", seconds), past("two", opposite))
        kept, state, observations = AutoRecommender(), dict[str, Any](), list[Observation]()
        for number in range(9):
            answers = [
                recommender.suggest(
                    given, observations, [], state, suggestion_rng(4, number), count=1
                )
                for recommender in (kept, AutoRecommender())
            ]
            assert answers[0] == answers[1]
            [suggestion], state = answers[0]
            value = seconds(suggestion.configuration)
            observations.append(
                Observation(
                    configuration=suggestion.configuration, values={"time": (value,)}, number=number
                )
            )

    def test_another_problem_is_not_taken_for_the_last(self) -> None:
        recommender = AutoRecommender()
        for task in (past("one", seconds), past("other", opposite)):
            [suggestion], _ = recommender.suggest(
                problem(task), [], [], {}, suggestion_rng(0, 0), count=1
            )
            assert suggestion.reason == f"Among the best in {task.name}."
