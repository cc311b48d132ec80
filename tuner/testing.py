"""The contract suite that every recommender passes, ours and strangers' alike.

Subclass it in a test module, say how to make your recommender, and run pytest:

    class TestMyRecommender(RecommenderContract):
        def make_recommender(self, options: Mapping[str, object]) -> Recommender:
            return MyRecommender(options)

Needs pytest, which nothing else in the package imports. Whether a recommender is any good is not
asked here; `tuner.rehearsal` has the problems.
"""

# ruff: noqa: S101 - asserts are what a suite is made of

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from targets.errors import FailureKind, InvalidSetting
from targets.knobs import Configuration
from targets.metrics import Direction, Objective
from tuner.errors import InfeasibleSpace, SpaceExhausted
from tuner.recommenders.base import (
    Observation,
    Problem,
    Recommender,
    Suggestion,
    SuggestionKind,
    suggestion_rng,
)
from tuner.rehearsal import PROBLEMS, mixed, rehearse, tiny
from tuner.sampling import sample
from tuner.space import SpaceEncoder

SEED = 20_260_101

HEEDING_SEEDS = 8
"""Suggestions that are compared; a portfolio may take several turns to come to what heeds."""

MOST_LENGTHS = 10
"""Of the windows one configuration may be measured in before the full one, and that."""


class RecommenderContract:
    """What holds for every recommender. Override `make_recommender`."""

    trials: ClassVar[int] = 7
    """How many trials a played session has; fewer where a suggestion takes seconds."""

    def make_recommender(self, options: Mapping[str, object]) -> Recommender:
        """A fresh recommender with these options."""
        raise NotImplementedError("say how to make your recommender: override make_recommender")

    @pytest.fixture
    def recommender(self) -> Recommender:
        """One with default options."""
        return self.make_recommender({})

    @pytest.fixture(params=sorted(PROBLEMS))
    def problem(self, request: pytest.FixtureRequest) -> Problem:
        """Each of the rehearsal problems."""
        made: Callable[[], Problem] = PROBLEMS[request.param]
        return made()

    # -- what it says of itself

    def test_it_introduces_itself(self, recommender: Recommender) -> None:
        for text in (recommender.name, recommender.summary, recommender.source):
            assert text, "name, summary and source are each a line of text"
        described = json.loads(json.dumps(recommender.describe(), allow_nan=False))
        assert described["name"] == recommender.name
        assert described["options"] == dict(recommender.options)

    def test_options_are_declared(self, recommender: Recommender) -> None:
        for setting in recommender.settings_declared:
            assert setting.help, f"option {setting.name} has no help"
            assert self.make_recommender({setting.name: setting.default}).options == (
                recommender.options
            )
        with pytest.raises(InvalidSetting):
            self.make_recommender({"no_such_option": 1})

    # -- a whole session

    def test_suggestions_are_feasible_new_and_explained(self, problem: Problem) -> None:
        encoder = SpaceEncoder(problem.space, problem.pins)
        played = self.play(problem, self.trials)
        assert len(played) >= min(self.trials, encoder.size())
        for turn, (suggestion, _) in enumerate(played):
            configuration = dict(suggestion.configuration)
            assert problem.space.check(configuration) == configuration
            assert encoder.keeps_pins(configuration)
            assert suggestion.kind is not SuggestionKind.BASELINE
            assert problem.least_fidelity <= suggestion.fidelity <= 1.0
            assert new_or_meant(problem, [answer for _, answer in played[:turn]], suggestion)
            assert suggestion.reason.strip() and suggestion.lane.strip()
            json.dumps(suggestion.to_dict(), allow_nan=False)
            if suggestion.expected is not None:
                expected = suggestion.expected
                assert expected.low <= expected.value <= expected.high

    def test_the_same_inputs_give_the_same_suggestions(self, problem: Problem) -> None:
        told = self.observe(problem, 7)
        answers = [
            self.make_recommender({}).suggest(problem, told, (), {}, suggestion_rng(SEED, 7))
            for _ in range(2)
        ]
        assert answers[0] == answers[1]

    def test_state_is_json_and_inputs_are_left_alone(self, recommender: Recommender) -> None:
        problem = mixed()
        observations = self.observe(problem, 6)
        pending = [problem.space.default()]
        state: dict[str, Any] = {}
        for turn in range(3):
            given = copy.deepcopy((observations, pending, state))
            _, kept = recommender.suggest(
                problem, observations, pending, state, suggestion_rng(SEED, turn)
            )
            assert (observations, pending, state) == given
            state = json.loads(json.dumps(kept, allow_nan=False))
            assert state == kept, "the state does not survive JSON unchanged"

    def test_it_keeps_to_itself(
        self, recommender: Recommender, capfd: pytest.CaptureFixture[str]
    ) -> None:
        before = np.random.get_state(legacy=False)
        problem = mixed()
        recommender.suggest(problem, self.observe(problem, 10), (), {}, suggestion_rng(SEED, 0))
        after = np.random.get_state(legacy=False)
        assert str(before) == str(after), "numpy's global generator was used"
        printed = capfd.readouterr()
        assert not printed.out and not printed.err, "nothing is to be printed"

    # -- what it is told

    def test_what_is_in_flight_is_not_suggested(self, problem: Problem) -> None:
        recommender = self.make_recommender({})
        observations = self.observe(problem, 4)
        first, state = recommender.suggest(
            problem, observations, (), {}, suggestion_rng(SEED, 0), count=2
        )
        pending = [suggestion.configuration for suggestion in first]
        # The same generator again: only what is in flight tells the two calls apart.
        second, _ = recommender.suggest(
            problem, observations, pending, state, suggestion_rng(SEED, 0), count=2
        )
        keys = [problem.space.key(one.configuration) for one in (*first, *second)]
        assert len(keys) == 4
        assert len(set(keys)) == len(keys)

    def test_failures_and_repeats_are_understood(self, recommender: Recommender) -> None:
        problem = mixed()
        told = list(self.observe(problem, 8))
        told += [replace(one, number=20 + place) for place, one in enumerate(told[:3])]
        told += [
            Observation(configuration=one.configuration, failure=kind, number=30)
            for one, kind in zip(told[3:], FailureKind, strict=False)
        ]
        self.one_new(recommender, problem, told)

    def test_a_short_window_is_not_a_full_one(self, recommender: Recommender) -> None:
        problem = mixed()
        told = list(self.observe(problem, 14))
        told[8:] = [
            replace(one, fidelity=share)
            for one, share in zip(told[8:], (0.1, 0.3, 0.3, 0.1, 0.5, 0.99), strict=True)
        ]
        self.one_new(recommender, problem, told)
        # What is known from short windows alone is known, and nothing to build an answer on.
        self.one_new(recommender, problem, told[8:])

    def test_nothing_but_failures_ends_no_session(self, recommender: Recommender) -> None:
        problem = mixed()
        told = [
            Observation(configuration=one.configuration, failure=FailureKind.TARGET_DOWN)
            for one in self.observe(problem, 12)
        ]
        self.one_new(recommender, problem, told)

    @pytest.mark.parametrize("value", [0.0, -3.5, 1e300, 1e-300])
    def test_values_may_be_anything_finite(self, recommender: Recommender, value: float) -> None:
        problem = mixed()
        told = [
            replace(one, failure=None, values={"throughput": (value * (1 + place % 3),)})
            for place, one in enumerate(self.observe(problem, 10))
        ]
        self.one_new(recommender, problem, told)

    def test_equal_values_are_no_trouble(self, recommender: Recommender) -> None:
        problem = mixed()
        told = [
            replace(one, failure=None, values={"throughput": (42.0,)})
            for one in self.observe(problem, 10)
        ]
        self.one_new(recommender, problem, told)

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_what_is_no_number_is_refused(self, recommender: Recommender, value: float) -> None:
        problem = mixed()
        told = [
            *self.observe(problem, 4),
            Observation(
                configuration=problem.space.default(), values={"throughput": (value,)}, number=4
            ),
        ]
        with pytest.raises(ValueError, match="throughput"):
            recommender.suggest(problem, told, (), {}, suggestion_rng(SEED, 0))

    def test_a_lost_state_ends_no_session(self, recommender: Recommender) -> None:
        problem = mixed()
        self.one_new(recommender, problem, self.observe(problem, 15))

    def test_a_baseline_off_the_pins_is_no_trouble(self, recommender: Recommender) -> None:
        problem = PROBLEMS["pinned"]()
        baseline = Observation(
            configuration=problem.space.default(), values={"throughput": (50.0, 51.0)}, number=0
        )
        self.one_new(recommender, problem, [baseline, *self.observe(problem, 8)])

    def test_both_directions_are_understood(self, recommender: Recommender) -> None:
        for direction in Direction:
            problem = mixed()
            objective = replace(problem.objective, direction=direction)
            problem = replace(problem, objectives=(objective,))
            self.one_new(recommender, problem, self.observe(problem, 10))

    def test_it_heeds_what_it_says(self) -> None:
        """Nothing that it says to heed is neglected: where the first objective's values move its
        suggestions, a further one's do too, and so does a limit that the best half breaks."""
        problem = mixed()
        first = problem.objective.name
        further = Objective(name="cost", direction=Direction.MINIMISE)
        problem = replace(problem, objectives=(problem.objective, further))
        [limit] = problem.limits
        kept = {limit.name: 0.5 * limit.bound}
        told = [
            replace(one, values={**one.values, "cost": (float(10 + place % 7),)}, metrics=kept)
            for place, one in enumerate(self.observe(problem, 24))
            if one.failure is None
        ]

        def turned(name: str) -> list[Observation]:
            return [
                replace(one, values={**one.values, name: other.values[name]})
                for one, other in zip(told, reversed(told), strict=True)
            ]

        best = sorted(told, key=lambda one: -one.values[first][0])[: len(told) // 2]
        broken = [
            replace(one, metrics={limit.name: 10 * limit.bound}) if one in best else one
            for one in told
        ]
        recommender = self.make_recommender({})
        if self._moved(problem, told, turned(first)):
            assert not recommender.heeds_every_objective or self._moved(
                problem, told, turned("cost")
            ), "a further objective moves nothing"
            assert not recommender.heeds_limits or self._moved(problem, told, broken), (
                "a broken limit moves nothing"
            )

    def _moved(
        self, problem: Problem, told: Sequence[Observation], others: Sequence[Observation]
    ) -> bool:
        """Whether it suggests otherwise after the other observations."""
        return any(
            self._first(problem, told, number) != self._first(problem, others, number)
            for number in range(HEEDING_SEEDS)
        )

    def _first(self, problem: Problem, told: Sequence[Observation], number: int) -> Configuration:
        [suggestion], _ = self.make_recommender({}).suggest(
            problem, told, (), {}, suggestion_rng(SEED, number)
        )
        return suggestion.configuration

    # -- the ends of a space

    def test_a_finite_space_is_tried_whole_then_exhausted(self, recommender: Recommender) -> None:
        problem = tiny()
        played = self.play(problem, 9 * MOST_LENGTHS + 1)
        settled = [
            problem.space.key(one.configuration)
            for one, answer in played
            if one.fidelity == 1.0 or answer.failure
        ]
        assert len(settled) == len(set(settled)) == 9
        told = [observation for _, observation in played]
        with pytest.raises(SpaceExhausted):
            recommender.suggest(problem, told, (), {}, suggestion_rng(SEED, len(told)))

    def test_more_than_is_left_gives_what_is_left(self, recommender: Recommender) -> None:
        problem = tiny()
        told = self.observe(problem, 7)
        suggestions, _ = recommender.suggest(
            problem, told, (), {}, suggestion_rng(SEED, 7), count=5
        )
        assert len(suggestions) == 2

    def test_pins_that_block_everything_are_named(self, recommender: Recommender) -> None:
        problem = replace(tiny(), pins={"c": True, "b": 2})
        with pytest.raises(InfeasibleSpace, match="b == 2"):
            recommender.suggest(problem, (), (), {}, suggestion_rng(SEED, 0))

    def test_a_space_of_pins_alone_has_one_configuration(self, recommender: Recommender) -> None:
        problem = replace(tiny(), pins={"a": 1, "b": 1, "c": False})
        [suggestion], state = recommender.suggest(problem, (), (), {}, suggestion_rng(SEED, 0))
        assert suggestion.configuration == {"a": 1, "b": 1, "c": False}
        told = [Observation(configuration=suggestion.configuration, values={"latency": (1.0,)})]
        with pytest.raises(SpaceExhausted):
            recommender.suggest(problem, told, (), state, suggestion_rng(SEED, 1))

    # -- the suite's own means

    def play(self, problem: Problem, trials: int) -> list[tuple[Suggestion, Observation]]:
        """A session of so many trials, or fewer where there are no more, with a fresh recommender
        for each, as a worker does."""
        answers = np.random.default_rng(SEED)
        state: dict[str, Any] = {}
        played: list[tuple[Suggestion, Observation]] = []
        for number in range(trials):
            told = [observation for _, observation in played]
            rng = suggestion_rng(SEED, number)
            try:
                [suggestion], state = self.make_recommender({}).suggest(
                    problem, told, (), state, rng
                )
            except SpaceExhausted:
                break
            answer = rehearse(
                problem,
                suggestion.configuration,
                answers,
                number=number,
                fidelity=suggestion.fidelity,
            )
            played.append((suggestion, answer))
        return played

    def observe(self, problem: Problem, count: int) -> Sequence[Observation]:
        """Answers for random configurations."""
        rng = np.random.default_rng(SEED)
        encoder = SpaceEncoder(problem.space, problem.pins)
        return [
            rehearse(problem, configuration, rng, number=number)
            for number, configuration in enumerate(sample(encoder, count, rng))
        ]

    def one_new(
        self, recommender: Recommender, problem: Problem, told: Sequence[Observation]
    ) -> Configuration:
        """One suggestion that is feasible and that nobody told of."""
        [suggestion], _ = recommender.suggest(problem, told, (), {}, suggestion_rng(SEED, 0))
        configuration = dict(suggestion.configuration)
        assert problem.space.check(configuration) == configuration
        assert SpaceEncoder(problem.space, problem.pins).keeps_pins(configuration)
        assert new_or_meant(problem, told, suggestion)
        return configuration


def new_or_meant(problem: Problem, told: Sequence[Observation], suggestion: Suggestion) -> bool:
    """Whether it repeats nothing, or says that it does, and rightly: a window is only lengthened
    for what was measured, in shorter ones alone, and did not fail; and only what was measured in
    full is measured again."""
    key = problem.space.key(suggestion.configuration)
    before = [one for one in told if problem.space.key(one.configuration) == key]
    lengths = [one.fidelity for one in before if one.values]
    match suggestion.kind:
        case SuggestionKind.LENGTHEN:
            failed = any(one.failure and one.failure.blames_configuration for one in before)
            return bool(lengths) and max(lengths) < suggestion.fidelity and not failed
        case SuggestionKind.RE_MEASURE:
            return not before or 1.0 in lengths
    return not before
