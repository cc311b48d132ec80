"""What is promised of values: they come back exactly as given, or are refused by name."""

# ruff: noqa: S101 - asserts are what a suite is made of

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowledge_base.errors import InvalidRecord
from knowledge_base.store import Store
from knowledge_base.testing.scene import (
    described,
    finished,
    new_trial,
    new_window,
    registered,
    started,
    taken,
)
from targets.clock import ManualClock

# The store is shared by the examples of one test; each example adds a trial of its own.
on_one_store = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

_floats = st.floats(allow_nan=False, allow_infinity=False)
_scalars = st.none() | st.booleans() | st.integers() | _floats | st.text()
_texts = st.text(st.characters(), max_size=20)  # U+0000 and lone surrogates among them
json_values = st.recursive(
    _scalars | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=20,
)
configurations = st.dictionaries(
    _texts, st.booleans() | st.integers() | _floats | _texts, max_size=6
)

AWKWARD: dict[str, Any] = {
    "zebra": 1e16,
    "apple": 10**16,
    "minus zero": -0.0,
    "smallest": 5e-324,
    "largest": 1.7976931348623157e308,
    "tenth": 0.1,
    "beyond float": 2**53 + 1,
    "beyond 64 bits": 2**200 + 1,
    "true": True,
    "one": 1,
    "one point": 1.0,
    "nul\0": "\0",
    "surrogate \ud800": "\udfff",
    "otter": "🦦",
    "empty": [{}, [], "", None],
}


def exactly(value: object) -> str:
    """A text that is equal only for values of equal types, signs and key order."""
    return json.dumps(value)


class ExactnessContract:
    """Round trips without loss, on every engine alike."""

    def test_awkward_values_come_back_as_they_were(self, store: Store, clock: ManualClock) -> None:
        session = started(store, described(store), baseline=AWKWARD, budget=AWKWARD)
        trial = store.trials.add(
            new_trial(session, configuration=AWKWARD, recommender_state=AWKWARD)
        )
        assert exactly(trial.configuration) == exactly(AWKWARD)
        assert exactly(store.trials.get(trial.id).configuration) == exactly(AWKWARD)
        assert exactly(store.trials.get(trial.id).recommender_state) == exactly(AWKWARD)
        assert exactly(store.sessions.get(session.id).baseline) == exactly(AWKWARD)

    def test_any_configuration_and_objective_comes_back(
        self, store: Store, clock: ManualClock
    ) -> None:
        target = described(store)
        registered(store, target)
        session = started(store, target)

        @on_one_store
        @given(configuration=configurations, value=_floats, details=json_values)
        def check(configuration: dict[str, Any], value: float, details: Any) -> None:
            number = len(store.trials.all(session.id))
            store.trials.add(new_trial(session, number, configuration=configuration))
            trial = taken(store, target)
            window = new_window(trial, objectives={"throughput": value}, details={"seen": details})
            finished(store, trial, windows=[window])
            assert exactly(store.trials.get(trial.id).configuration) == exactly(configuration)
            (kept,) = store.windows.of_trial(trial.id)
            assert exactly(kept.objectives) == exactly({"throughput": value})
            assert exactly(kept.details) == exactly({"seen": details})

        check()

    @pytest.mark.parametrize(
        ("configuration", "why"),
        [
            ({"a": math.nan}, r"trials.configuration.a is nan"),
            ({"a": -math.inf}, r"trials.configuration.a is -inf"),
            ({"a": {"b": [0.5, math.nan]}}, r"trials.configuration.a.b\[1\] is nan"),
            ({1: "a"}, "has the key 1"),
            ({"a": b"bytes"}, "of type bytes"),
            ({"a": {1, 2}}, "of type set"),
            ({"a": 1 << 10_000}, "integer of 10001 bits"),
        ],
    )
    def test_what_json_cannot_carry_is_refused_by_name(
        self, store: Store, configuration: dict[str, Any], why: str
    ) -> None:
        session = started(store, described(store))
        with pytest.raises(InvalidRecord, match=why):
            store.trials.add(new_trial(session, configuration=configuration))
        assert store.trials.all(session.id) == []

    def test_nesting_without_end_is_refused(self, store: Store) -> None:
        deep: list[Any] = []
        for _ in range(5000):
            deep = [deep]
        session = started(store, described(store))
        with pytest.raises(InvalidRecord, match="nested deeper than"):
            store.trials.add(new_trial(session, configuration={"a": deep}))

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"seed": 2**63}, r"trials.seed: 9223372036854775808 does not fit 64 bits"),
            ({"number": -(2**64)}, r"trials.number"),
            ({"timeout_seconds": math.nan}, r"trials.timeout_seconds: nan is not finite"),
            ({"task": "t" * 300}, r"trials.task: 't.*has 300 characters"),
        ],
    )
    def test_a_number_or_text_beyond_its_column_is_refused_by_name(
        self, store: Store, changes: dict[str, Any], why: str
    ) -> None:
        session = started(store, described(store))
        with pytest.raises(InvalidRecord, match=why):
            store.trials.add(new_trial(session, **changes))
