"""Any space, any history: what holds for every recommender and for what they stand on."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from targets.errors import Rejected
from targets.knobs import Configuration, Value
from tests.tuner import anything
from tuner.errors import InfeasibleSpace, SpaceExhausted
from tuner.history import History, HistoryMemo
from tuner.recommenders.base import (
    Observation,
    Problem,
    Recommender,
    Suggestion,
    SuggestionKind,
    suggestion_rng,
)
from tuner.registry import installed_recommenders, load_recommender
from tuner.rehearsal import mixed
from tuner.rows import RowSet
from tuner.sampling import checked, neighbour_rows, sample, sample_rows
from tuner.space import SpaceEncoder

NAMES = [entry.name for entry in installed_recommenders() if entry.error is None]
SLOW = {"gp", "skopt-gp"}
"""Seconds a suggestion."""

Session = tuple[Problem, list[Observation], list[Configuration]]

quick = settings(
    max_examples=10,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
deep = settings(quick, max_examples=200, derandomize=False, phases=list(Phase))


def suggest(
    name: str, session: Session, state: dict[str, Any], *, count: int = 1
) -> tuple[tuple[Suggestion, ...], dict[str, Any]] | type[Exception]:
    """What a fresh recommender says; or which of the declared ends it comes to."""
    problem, told, pending = session
    recommender: Recommender = load_recommender(name)()
    try:
        return recommender.suggest(
            problem, told, pending, state, suggestion_rng(7, len(told)), count=count
        )
    except (SpaceExhausted, InfeasibleSpace) as end:
        return type(end)


def key_of(problem: Problem, configuration: Configuration) -> str | None:
    """`KnobSpace.key`; None for what no target would take."""
    try:
        return problem.space.key(configuration)
    except Rejected:
        return None


def holds_for_any_history(name: str, session: Session) -> None:
    problem, told, pending = session
    encoder = SpaceEncoder(problem.space, problem.pins)
    answer = suggest(name, session, {}, count=2)
    assert answer == suggest(name, session, {}, count=2), "not set by its seed"
    if isinstance(answer, type):
        there_is_nothing_left(encoder, session, answer)
        return
    suggestions, state = answer
    assert json.loads(json.dumps(state, allow_nan=False)) == state
    known: dict[str | None, float] = {}
    for seen in told:
        key = key_of(problem, seen.configuration)
        known[key] = max(known.get(key, 0.0), seen.fidelity if seen.values else 0.0)
    known |= {key_of(problem, one): 1.0 for one in pending}
    for one in suggestions:
        configuration = dict(one.configuration)
        assert checked(encoder, configuration) == configuration
        assert problem.least_fidelity <= one.fidelity <= 1.0
        assert new_or_meant(problem, known, one)
        known[problem.space.key(configuration)] = 1.0
        if one.expected is not None:
            expected = one.expected
            assert all(map(math.isfinite, (expected.low, expected.value, expected.high)))
            assert expected.low <= expected.value <= expected.high
    in_flight = [*pending, *(one.configuration for one in suggestions)]
    later = suggest(name, (problem, told, in_flight), state)
    if not isinstance(later, type):
        [[again], _] = later
        assert new_or_meant(problem, known, again)


def new_or_meant(problem: Problem, known: dict[str | None, float], one: Suggestion) -> bool:
    """Whether it is new, or says what it is instead.

    Args:
        known: by key the longest windows measured; of what is in flight nothing can be lengthened.
    """
    key = problem.space.key(one.configuration)
    if one.kind is SuggestionKind.LENGTHEN:
        return 0.0 < known[key] < one.fidelity
    return one.kind is SuggestionKind.RE_MEASURE or key not in known


def there_is_nothing_left(encoder: SpaceEncoder, session: Session, end: type[Exception]) -> None:
    """The end was come to for a reason: no small space has anything left."""
    problem, told, pending = session
    default = encoder.pinned(problem.space.default())
    if end is InfeasibleSpace:
        assert encoder.broken(default), "the default with the pins keeps everything"
    if encoder.listable:
        known = {key_of(problem, one.configuration) for one in told}
        known |= {key_of(problem, one) for one in pending}
        assert {problem.space.key(one) for one in encoder.listed} <= known


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SLOW])
@given(session=anything.sessions())
@quick
def test_suggestions_hold_for_any_history(name: str, session: Session) -> None:
    holds_for_any_history(name, session)


@pytest.mark.parametrize("name", [name for name in NAMES if name in SLOW])
@given(session=anything.sessions(most=4))
@settings(quick, max_examples=2)
def test_suggestions_of_the_slow_ones_hold_as_well(name: str, session: Session) -> None:
    holds_for_any_history(name, session)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", NAMES)
@given(session=anything.sessions(most=30))
@deep
def test_suggestions_hold_for_any_history_deeper(name: str, session: Session) -> None:
    holds_for_any_history(name, session)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", NAMES)
@given(session=anything.sessions(most=200))
@settings(deep, max_examples=10)
def test_suggestions_hold_in_wide_spaces(name: str, session: Session) -> None:
    holds_for_any_history(name, session)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@given(problem=anything.problems(most=4))
@settings(quick, max_examples=2)
def test_what_is_no_number_is_refused(name: str, value: float, problem: Problem) -> None:
    bad = Observation(configuration=problem.space.default(), values={"cost": (1.0, value)})
    with pytest.raises(ValueError, match="not finite"):
        load_recommender(name)().suggest(problem, [bad], (), {}, suggestion_rng(0, 0))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SLOW])
@pytest.mark.parametrize("change", [{"ratio": 99.0}, {"least": 60, "most": 2}], ids=str)
def test_the_best_may_be_one_that_cannot_be_suggested(name: str, change: dict[str, Value]) -> None:
    """A baseline stands where it was found, be it out of bounds or against a constraint."""
    problem = replace(mixed(), limits=(), budget=100)
    drawn = sample(SpaceEncoder(problem.space), 12, np.random.default_rng(0))
    drawn[0] = {**drawn[0], **change}
    told = [
        Observation(configuration=one, values={"throughput": (1000.0 / place,)}, number=place)
        for place, one in enumerate(drawn, 1)
    ]
    for pending in ((), (drawn[0],)):
        for seed in range(3):
            rng = suggestion_rng(seed, 0)
            load_recommender(name)().suggest(problem, told, pending, {}, rng)


# -- what they stand on

some = settings(quick, max_examples=80)


@given(problem=anything.problems(most=12), seed=st.integers(0, 2**32 - 1))
@some
def test_rows_round_trip_exactly(problem: Problem, seed: int) -> None:
    encoder = SpaceEncoder(problem.space, problem.pins)
    drawn = encoder.from_unit(np.random.default_rng(seed).random((20, encoder.n_columns)))
    rows = encoder.canonical_rows(drawn)
    meant = encoder.decode_many(rows)
    assert meant == encoder.decode_many(drawn)
    assert [encoder.decode(row) for row in rows.tolist()] == meant
    assert [encoder.canonical(one) for one in meant] == meant
    assert [list(map(type, encoder.canonical(one).values())) for one in meant] == [
        list(map(type, one.values())) for one in meant
    ]
    assert (encoder.encode_many(meant) == rows).all()
    assert (np.array([encoder.encode(one) for one in meant]) == rows).all()
    assert (encoder.canonical_rows(rows) == rows).all()
    for one in meant:
        assert all(problem.space[name].check(value) == value for name, value in one.items())
        assert encoder.keeps_pins(one)
    # Rows are the same set of configurations as keys are.
    same = {key: encoder.key(one) for key, one in zip(encoder.row_keys(drawn), meant, strict=True)}
    assert len(same) == len(set(same.values())) == len({encoder.key(one) for one in meant})


@given(problem=anything.problems(most=12), seed=st.integers(0, 2**32 - 1))
@some
def test_columns_and_configurations_agree_on_every_rule(problem: Problem, seed: int) -> None:
    encoder = SpaceEncoder(problem.space, problem.pins)
    drawn = encoder.from_unit(np.random.default_rng(seed).random((20, encoder.n_columns)))
    rows = encoder.canonical_rows(drawn)
    for row, breaches in zip(rows, encoder.breaches(rows), strict=True):
        one = encoder.decode(row)
        assert breaches.any() == bool(problem.space.broken(one))
        assert breaches.sum() == len(set(encoder.broken(one)))


@given(problem=anything.problems(most=10), seed=st.integers(0, 2**32 - 1))
@some
def test_samples_and_neighbours_are_feasible_new_and_distinct(problem: Problem, seed: int) -> None:
    encoder = SpaceEncoder(problem.space, problem.pins)
    rng = np.random.default_rng(seed)
    try:
        first = sample_rows(encoder, 5, rng)
        known = RowSet(encoder)
        known.add(first)
        second = sample_rows(encoder, 5, rng, avoid=known)
    except (SpaceExhausted, InfeasibleSpace):
        return
    near = neighbour_rows(encoder, first[0], avoid=known)
    for rows in (np.vstack((first, second)), np.vstack((first, near))):
        assert (encoder.canonical_rows(rows) == rows).all()
        found = encoder.decode_many(rows)
        assert all(checked(encoder, one) == one for one in found)
        assert len({problem.space.key(one) for one in found}) == len(rows)


@given(session=anything.sessions(), data=st.data())
@some
def test_a_memo_changes_nothing(session: Session, data: st.DataObject) -> None:
    problem, told, pending = session
    memo = HistoryMemo()
    for stop in sorted(data.draw(st.lists(st.integers(0, len(told)), max_size=3))):
        History.of(problem, told[:stop], memo=memo)
    with_memo = History.of(problem, told, pending, memo=memo)
    without = History.of(problem, told, pending)
    assert with_memo.outcomes == without.outcomes
    assert with_memo.pending == without.pending
    assert np.array_equal(with_memo.rows, without.rows)
    assert np.array_equal(with_memo.outcome_costs, without.outcome_costs, equal_nan=True)
    assert len(with_memo.seen_rows) == len(without.seen_rows)
    assert with_memo.seen == without.seen


@given(session=anything.sessions())
@some
def test_a_history_is_finite_and_loses_nothing(session: Session) -> None:
    problem, told, pending = session
    history = History.of(problem, told, pending)
    parts = [(one, *one.shorter.values()) for one in history.outcomes]
    assert sum(len(one.numbers) for part in parts for one in part) == len(told)
    assert sum(len(one.values) for part in parts for one in part) == sum(
        len(one.values.get("cost", ())) for one in told
    )
    assert np.isfinite(history.rows).all() and np.isfinite(history.uninformative_rows).all()
    assert np.isfinite(history.costs).all()
    assert math.isfinite(history.noise.sd)
    assert sorted(history.ranking.tolist()) == list(range(len(history.measured)))
    for one in history.measured:
        for value in one.values:
            assert history.scale.value(history.scale.cost(value)) == pytest.approx(value)
