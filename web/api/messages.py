"""Schemas of the agents' messages, made from the dataclasses of `targets.protocol`.

The dataclass stays the one definition: a field added there is read, checked and documented here.
A newer agent's unknown fields are ignored, as `Message.from_json` promises.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import cache
from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from targets.adapter import Description, Purpose
from targets.errors import FailureKind
from targets.metrics import Objective
from targets.protocol import (
    BASELINE_ARM,
    CANDIDATE_ARM,
    EventReport,
    Line,
    Message,
    Registration,
    StateReport,
    TrialResult,
    WindowReport,
)
from web.api.fields import (
    PROSE_LENGTH,
    Choice,
    Flag,
    Moment,
    Real,
    Scalar,
    Text,
    Whole,
    configuration,
    free_object,
    numbers,
)

# Far above any catalogue or trial; checking a space takes quadratic time in its knobs.
MAXIMUM_ITEMS = 1_000

Options = dict[str, Any]

# Where a dataclass's type says less than the protocol means. A value of null is taken where JSON
# had no way to carry what was measured (NaN): the trial is then judged, not the message refused.
_SPECIAL: Mapping[tuple[type, str], Callable[[Options], fields.Field[Any]]] = {
    (Registration, "description"): lambda o: _nested(Description, o),
    (Registration, "target"): lambda o: Text(shortest=1, **o),
    (Registration, "instance"): lambda o: Text(shortest=1, **o),
    (Registration, "incarnation"): lambda o: Text(shortest=1, **o),
    (Registration, "safe"): lambda o: configuration(**o),
    (Registration, "in_force"): lambda o: configuration(**o),
    (Description, "objectives"): lambda o: fields.List(
        _nested(Objective, {}), validate=validate.Length(min=1, max=MAXIMUM_ITEMS), **o
    ),
    (Description, "least_fidelity"): lambda o: Real(low=1e-6, high=1, **o),
    (StateReport, "state"): lambda o: Choice(("applying", "measuring"), **o),
    (WindowReport, "arm"): lambda o: Choice((BASELINE_ARM, CANDIDATE_ARM), **o),
    (WindowReport, "purpose"): lambda o: Choice(Purpose, **o),
    (WindowReport, "started_at"): lambda o: Moment(**o),
    (WindowReport, "seconds"): lambda o: Real(low=0, **o),
    (WindowReport, "objectives"): lambda o: numbers(**o),
    (Line, "value"): lambda o: Real(**{**o, "allow_none": True}),
    (Line, "note"): lambda o: Text(longest=PROSE_LENGTH, **o),
    (TrialResult, "state"): lambda o: Choice(("completed", "failed"), **o),
    (TrialResult, "in_force"): lambda o: configuration(**o),
    (TrialResult, "failure"): lambda o: Choice(FailureKind, **o),
    (TrialResult, "message"): lambda o: Text(longest=PROSE_LENGTH, **o),
    (TrialResult, "seconds"): lambda o: Real(low=0, **o),
    (TrialResult, "measured_at"): lambda o: Moment(optional=True, **o),
    (EventReport, "kind"): lambda o: Text(
        checks=[validate.Regexp(r"[a-z][a-z0-9-]{0,63}\Z")],
        metadata={"pattern": "^[a-z][a-z0-9-]{0,63}$"},
        **o,
    ),
    (EventReport, "message"): lambda o: Text(longest=PROSE_LENGTH, **o),
    (EventReport, "occurred_at"): lambda o: Moment(**o),
}


@cache
def schema_of(record: type) -> type[ma.Schema]:
    """The schema of a dataclass: its fields, types, and which of them are required."""
    hints = typing.get_type_hints(record)
    made: dict[str, Any] = {}
    for item in dataclasses.fields(record):
        required = (
            item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        )
        nullable = type(None) in typing.get_args(hints[item.name])
        options: Options = {"required": required, "allow_none": nullable}
        special = _SPECIAL.get((record, item.name))
        made[item.name] = special(options) if special else _field(hints[item.name], options)
    made["Meta"] = type("Meta", (), {"unknown": ma.EXCLUDE})
    return type(record.__name__, (ma.Schema,), made)


@cache
def message_schema(message: type[Message]) -> type[ma.Schema]:
    """The schema of a message as a body: loads to the message itself."""

    class MessageSchema(schema_of(message)):  # type: ignore[misc] # a class made at run time
        @ma.post_load
        def _to_message(self, data: dict[str, Any], **_: Any) -> Message:
            return message.from_json(_without_unreadable(data))

    MessageSchema.__name__ = message.__name__
    return MessageSchema


def _without_unreadable(data: dict[str, Any]) -> dict[str, Any]:
    """The data without the objective values and reference lines that were null."""
    if "lines" in data:
        data["lines"] = [line for line in data["lines"] if line["value"] is not None]
    for window in data.get("windows", ()):
        window["objectives"] = {
            name: value for name, value in window["objectives"].items() if value is not None
        }
    return data


def _field(hint: Any, options: Options) -> fields.Field[Any]:
    """The field that reads a type."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        real = [argument for argument in arguments if argument is not type(None)]
        return _field(real[0], options) if len(real) == 1 else Scalar(**options)
    if origin is tuple:
        item = _field(arguments[0], {})
        return fields.List(item, validate=validate.Length(max=MAXIMUM_ITEMS), **options)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if arguments[1] is Any:
            return free_object(**options)
        return fields.Dict(keys=Text(), values=_value(arguments[1]), **options)
    if dataclasses.is_dataclass(hint):
        return _nested(typing.cast(type, hint), options)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return Choice(hint, **options)
    return _PLAIN[hint](**options)


def _nested(record: type, options: Options) -> fields.Field[Any]:
    return fields.Nested(schema_of(record), **options)


def _value(hint: Any) -> fields.Field[Any]:
    return _field(hint, {"allow_none": type(None) in typing.get_args(hint)})


_PLAIN: Mapping[Any, Callable[..., fields.Field[Any]]] = {
    str: lambda **options: Text(**{"longest": 4_000, **options}),
    int: Whole,
    float: Real,
    bool: Flag,
    Any: fields.Raw,
}
