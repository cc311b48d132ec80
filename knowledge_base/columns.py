"""Column types that keep a value exactly as given, on both engines, or refuse it by name.

A refused value raises `InvalidRecord` before it reaches the database, so that no engine gets to
round, clip or reinterpret it in its own way. `schema.py` tells each column's type which column it
serves (`subject`), so that the error can say so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Double,
    Integer,
    String,
    Text,
    TypeDecorator,
)
from sqlalchemy.types import TypeEngine

from knowledge_base.errors import InvalidRecord, NotFound

LARGEST_INTEGER = 2**63 - 1
"""What both engines keep in an integer column; JSON columns keep much larger ones."""

# Python itself refuses to write or read an integer of more than 4300 digits.
LARGEST_JSON_INTEGER_BITS = 8192
# Far above any description, far below the interpreter's recursion limit.
DEEPEST_JSON = 100


class Checked:
    """What the refusing column types share: the name of the column they serve."""

    subject = "value"


class UtcDateTime(Checked, TypeDecorator[datetime]):
    """A moment, UTC-aware in Python on both engines, to the microsecond.

    PostgreSQL keeps `timestamptz`; SQLite, which has no time zones, keeps UTC without saying so.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise InvalidRecord(f"{self.subject}: {value.isoformat()} has no time zone: give UTC")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class ExactJson(Checked, TypeDecorator[Any]):
    """JSON kept as text on both engines: `JSON`, on purpose not PostgreSQL's `JSONB`.

    JSONB would turn 1e16 into an integer, drop the sign of -0.0, refuse U+0000 and reorder the
    knobs of a configuration; a plain JSON column gives back what was put in. Cast a column to
    `jsonb` in a query that needs its operators.
    """

    impl = JSON(none_as_null=True)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return plain(value, self.subject)


class Whole(Checked, TypeDecorator[int]):
    """An integer of at most 64 bits."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:
        if value is not None and not -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
            raise InvalidRecord(f"{self.subject}: {value} does not fit 64 bits")
        return value


class Identifier(Checked, TypeDecorator[int]):
    """A row's number. One beyond 64 bits names no row: `NotFound`, not an engine's overflow."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        # SQLite numbers rows only for a primary key declared INTEGER, letter by letter.
        return dialect.type_descriptor(Integer() if dialect.name == "sqlite" else BigInteger())

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:
        if value is not None and not -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
            raise NotFound(f"{self.subject}: there is none of number {value}")
        return value


class Real(Checked, TypeDecorator[float]):
    """A finite float64."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        if value is not None and not math.isfinite(value):
            raise InvalidRecord(f"{self.subject}: {value} is not finite")
        return value


class Name(Checked, TypeDecorator[str]):
    """A text that identifies something: short enough to be indexed, without U+0000."""

    impl = String
    cache_ok = True

    def __init__(self, length: int = 255) -> None:
        super().__init__(length)
        self.length = length

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        if len(value) > self.length:
            raise InvalidRecord(
                f"{self.subject}: {value[:40]!r}... has {len(value)} characters, "
                f"at most {self.length} are kept"
            )
        if value != legible(value):
            raise InvalidRecord(f"{self.subject}: {value!r} holds U+0000 or a lone surrogate")
        return value


class Prose(TypeDecorator[str]):
    """A text for people. What SQL text cannot hold is replaced by U+FFFD: a workload's dying
    words must not be lost because they hold a zero byte."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else legible(value)


def legible(text: str) -> str:
    """The text with U+0000 and lone surrogates, which PostgreSQL refuses, replaced by U+FFFD."""
    return "".join("\ufffd" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in text)


def plain(value: object, where: str, *, depth: int = 0) -> Any:
    """The value as dicts, lists and scalars that JSON carries without loss.

    Raises:
        InvalidRecord: NaN, an infinity, a key that is no text, a type that JSON does not know,
            or nesting without end; says where in the value.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        if value.bit_length() > LARGEST_JSON_INTEGER_BITS:
            raise InvalidRecord(f"{where} is an integer of {value.bit_length()} bits")
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidRecord(f"{where} is {value}: JSON has finite numbers only")
        return value
    if depth > DEEPEST_JSON:
        raise InvalidRecord(f"{where} is nested deeper than {DEEPEST_JSON} levels")
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise InvalidRecord(f"{where} has the key {key!r}: JSON has texts as keys only")
        return {k: plain(item, f"{where}.{k}", depth=depth + 1) for k, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v, f"{where}[{i}]", depth=depth + 1) for i, v in enumerate(value)]
    raise InvalidRecord(
        f"{where} is {value!r} of type {type(value).__name__}: "
        "JSON has null, true, false, numbers, texts, lists and objects only"
    )
