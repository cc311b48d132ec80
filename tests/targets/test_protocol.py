"""Messages: what is written is read back; what no one can store is refused at the door."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from targets import protocol
from targets.errors import ProtocolError
from targets.protocol import Heartbeat, Message, Receipt, TrialResult

MESSAGES = sorted(
    (m for m in vars(protocol).values() if isinstance(m, type) and issubclass(m, Message)),
    key=lambda message: message.__name__,
)
MESSAGES.remove(Message)

INTEGERS = st.integers(-protocol.MAXIMUM_INTEGER, protocol.MAXIMUM_INTEGER)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), INTEGERS, FLOATS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=5,
)
ANY_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return PLAIN
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*(values(arg) for arg in args))
    if origin is tuple:
        return st.lists(values(args[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(TEXTS, values(args[1]), max_size=3)
    if isinstance(hint, type) and issubclass(hint, Message):
        return messages(hint)
    plain = {int: INTEGERS, float: FLOATS, str: TEXTS, bool: st.booleans(), type(None): st.none()}
    return plain[hint]


def messages(cls: type[Message]) -> st.SearchStrategy[Message]:
    hints = typing.get_type_hints(cls)
    fields = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    return st.fixed_dictionaries({name: values(hints[name]) for name in fields}).map(
        lambda chosen: cls(**chosen)
    )


@pytest.mark.parametrize("cls", MESSAGES)
@settings(max_examples=25)
@given(data=st.data())
def test_every_message_survives_json(cls: type[Message], data: st.DataObject) -> None:
    message = data.draw(messages(cls))
    carried = json.loads(json.dumps(message.to_json(), allow_nan=False))
    assert cls.from_json(carried) == message
    assert cls.from_json({**carried, "field_of_a_newer_peer": 1}) == message


@pytest.mark.parametrize("cls", MESSAGES)
@settings(max_examples=40)
@given(data=st.data())
def test_nothing_sent_raises_anything_but_protocol_error(
    cls: type[Message], data: st.DataObject
) -> None:
    fields = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    shaped = data.draw(messages(cls)).to_json()
    shaped |= data.draw(st.dictionaries(st.sampled_from(fields), ANY_JSON, max_size=2))
    for sent in (shaped, data.draw(ANY_JSON)):
        try:
            read = cls.from_json(sent)
        except ProtocolError:
            continue
        json.dumps(read.to_json(), allow_nan=False).encode()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"epoch": None}, "TrialResult.epoch"),
        ({"epoch": True}, "TrialResult.epoch"),
        ({"epoch": 1.0}, "TrialResult.epoch"),
        ({"epoch": 2**63}, "more than 64 bits"),
        ({"seconds": float("nan")}, "TrialResult.seconds: nan is not finite"),
        ({"seconds": 10**400}, "more than 64 bits"),
        ({"seconds": "1"}, "str does not fit"),
        ({"restarted": 1}, "TrialResult.restarted"),
        ({"message": "nul \0"}, "NUL"),
        ({"message": "lone \ud800"}, "surrogate"),
        ({"in_force": {"cache": float("inf")}}, r"in_force\['cache'\]: inf is not finite"),
        ({"in_force": {"cache": 10**30}}, "64 bits"),
        ({"in_force": {"nul\0": 1}}, "NUL"),
        ({"in_force": [1]}, "TrialResult.in_force"),
        ({"windows": [{}]}, r"TrialResult.windows\[0\]: field arm is missing"),
        ({"windows": {}}, "TrialResult.windows"),
    ],
)
def test_refusal_names_the_field(change: dict[str, Any], why: str) -> None:
    good = {"instance": "i", "epoch": 1, "state": "completed"}
    assert TrialResult.from_json(good).epoch == 1
    with pytest.raises(ProtocolError, match=why):
        TrialResult.from_json({**good, **change})


def test_nesting_is_bounded() -> None:
    deep: Any = 1
    for _ in range(10_000):
        deep = [deep]
    with pytest.raises(ProtocolError, match="nested deeper"):
        TrialResult.from_json(
            {"instance": "i", "epoch": 1, "state": "failed", "in_force": {"a": deep}}
        )


def test_missing_field_is_named_and_defaults_fill_in() -> None:
    with pytest.raises(ProtocolError, match="Heartbeat: field incarnation is missing"):
        Heartbeat.from_json({"instance": "i"})
    assert Receipt.from_json({}) == Receipt(late=False, duplicate=False)


def test_unknown_metrics_travel_as_null() -> None:
    beat = Heartbeat(instance="i", incarnation="j", host_metrics={"cpu": float("nan")})
    assert beat.to_json()["host_metrics"] == {"cpu": None}
    assert Heartbeat.from_json(beat.to_json()).host_metrics == {"cpu": None}
