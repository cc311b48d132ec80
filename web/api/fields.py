"""Fields that take exactly their JSON type: no "5" for 5, no 1 for true, nothing without bound.

`strict_json` has already refused what no field may hold (NUL, NaN, numbers beyond 64 bits).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

NAME_LENGTH = 255
PROSE_LENGTH = 20_000
LARGEST_WHOLE = 2**53 - 1


class StrictSchema(ma.Schema):
    """A body or query in which an unknown field is a fault."""

    class Meta:
        """Marshmallow's options."""

        unknown = ma.RAISE


class Text(fields.String):
    """A text of at most `longest` characters."""

    def __init__(self, *, longest: int = NAME_LENGTH, shortest: int = 0, **options: Any) -> None:
        length = validate.Length(min=shortest or None, max=longest)
        super().__init__(validate=[length, *options.pop("checks", ())], **options)


class Whole(fields.Integer):
    """A whole number, never a text or a boolean; 3.0 is one, as JSON has but one kind."""

    def __init__(self, *, low: int = 0, high: int = LARGEST_WHOLE, **options: Any) -> None:
        super().__init__(strict=True, validate=validate.Range(min=low, max=high), **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        if isinstance(value, bool | str):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **options)


class Real(fields.Float):
    """A finite number, never a text or a boolean."""

    def __init__(
        self, *, low: float | None = None, high: float | None = None, **options: Any
    ) -> None:
        ranged = [] if low is None and high is None else [validate.Range(min=low, max=high)]
        super().__init__(validate=ranged, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        if isinstance(value, bool | str):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **options)


class Flag(fields.Boolean):
    """true or false, nothing that merely looks like it."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class Scalar(fields.Field[Any]):
    """One knob's value: a boolean, a number or a text."""

    default_error_messages = {"invalid": "Not a boolean, number or text."}  # noqa: RUF012

    def __init__(self, **options: Any) -> None:
        super().__init__(metadata={"type": ["boolean", "number", "string"]}, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        if not isinstance(value, bool | int | float | str):
            raise self.make_error("invalid")
        return value


class Choice(fields.String):
    """One of a closed list of texts."""

    def __init__(self, choices: type[StrEnum] | tuple[str, ...], **options: Any) -> None:
        super().__init__(validate=validate.OneOf([str(choice) for choice in choices]), **options)


class Moment(Text):
    """A moment as ISO 8601 text with a zone; stays a text."""

    def __init__(self, *, optional: bool = False, **options: Any) -> None:
        super().__init__(
            longest=40,
            checks=[_check_optional_moment if optional else _check_moment],
            metadata={} if optional else {"format": "date-time"},
            **options,
        )


def free_object(**options: Any) -> fields.Dict:
    """An object of anything."""
    return fields.Dict(keys=Text(longest=PROSE_LENGTH), **options)


def configuration(**options: Any) -> fields.Dict:
    """Knob name -> value."""
    return fields.Dict(keys=Text(), values=Scalar(), **options)


def numbers(**options: Any) -> fields.Dict:
    """Name -> number, null where it could not be read."""
    return fields.Dict(keys=Text(), values=Real(allow_none=True), **options)


def parse_moment(text: str) -> datetime:
    """The moment that an accepted `Moment` names, in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def without_nulls(values: Mapping[str, float | None]) -> dict[str, float]:
    """Only what could be read."""
    return {name: value for name, value in values.items() if value is not None}


def as_measured(values: Mapping[str, float | None]) -> dict[str, float]:
    """Metrics with NaN, as a metric vector marks it, where null was sent."""
    return {name: math.nan if value is None else value for name, value in values.items()}


def _check_moment(text: str) -> None:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ma.ValidationError("A moment needs a zone: 2026-01-31T12:00:00Z.")
        moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ma.ValidationError("Not a moment in ISO 8601: 2026-01-31T12:00:00Z.") from error


def _check_optional_moment(text: str) -> None:
    if text:
        _check_moment(text)
