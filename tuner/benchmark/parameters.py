"""Parameters of a recorded table: what stands in a column, and what that means."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any, TypeGuard

from targets.knobs import Value
from tuner.benchmark.errors import InvalidTable

OBJECTIVE_COLUMN = "y"
"""The last column: no parameter may have its name."""


class ParameterType(StrEnum):
    """What a column of a table holds: a level's index, or a number."""

    CATEGORICAL = "categorical"
    ORDINAL = "ordinal"
    INTEGER = "int"
    REAL = "float"

    @property
    def has_levels(self) -> bool:
        """Whether the column holds the index of a level."""
        return self in (ParameterType.CATEGORICAL, ParameterType.ORDINAL)


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One column: its levels in order, or the range of its numbers."""

    name: str
    type: ParameterType
    values: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False

    @cached_property
    def _places(self) -> dict[tuple[bool, Value], int]:
        return {(isinstance(value, bool), value): at for at, value in enumerate(self.values)}

    def plain(self) -> dict[str, Any]:
        """The form that `tuner.space_from_params` takes."""
        described: dict[str, Any] = {"name": self.name, "type": str(self.type)}
        if self.type.has_levels:
            return described | {"values": list(self.values)}
        whole = self.type is ParameterType.INTEGER
        low, high = (int(self.low), int(self.high)) if whole else (self.low, self.high)
        return described | {"low": low, "high": high, "log": self.log}

    def decode(self, number: float) -> Value:
        """The value that stands in a configuration: the level itself, or the number."""
        if self.type.has_levels:
            return self.values[int(number)]
        return round(number) if self.type is ParameterType.INTEGER else float(number)

    def encode(self, value: Value) -> float:
        """The number that stands in the table's column.

        Raises:
            ValueError: the value is no level, or no number.
        """
        if not self.type.has_levels:
            return float(value)
        place = self._places.get((isinstance(value, bool), value))
        if place is None:
            raise ValueError(f"{self.name}={value!r} is none of {self.values!r}")
        return float(place)

    def problem(self, number: float) -> str:
        """The rule that a number in the table's column breaks; empty where it breaks none."""
        if self.type.has_levels:
            if number != int(number) or not 0 <= number < len(self.values):
                return f"a level's index is a whole number from 0 to {len(self.values) - 1}"
        elif not self.low <= number <= self.high:
            return f"it must be within {self.low:g}..{self.high:g}"
        elif self.type is ParameterType.INTEGER and number != int(number):
            return "it must be whole"
        return ""


def read_parameters(path: Path, entries: Sequence[Any]) -> Iterator[Parameter]:
    """The parameters that a table's description declares.

    Raises:
        InvalidTable: the text names the file, the parameter and the rule.
    """
    names = {OBJECTIVE_COLUMN}
    for place, entry in enumerate(entries):
        subject = f"{path}: params[{place}]"
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise InvalidTable(f"{subject} must be an object with a name")
        subject += f" ({entry['name']})"
        if entry["name"] in names:
            raise InvalidTable(f"{subject}: the name is taken")
        names.add(entry["name"])
        one_of(subject, entry, "type", ParameterType)
        if ParameterType(entry["type"]).has_levels:
            yield _levels(subject, entry)
        else:
            yield _range(subject, entry)


def one_of(subject: str, fields: Mapping[str, Any], name: str, allowed: Iterable[str]) -> None:
    """See that a field has one of the values allowed.

    Raises:
        InvalidTable: it is missing or another.
    """
    names = [str(value) for value in allowed]
    if fields.get(name) not in names:
        raise InvalidTable(
            f"{subject}: {name} is {fields.get(name)!r}, but must be one of {', '.join(names)}"
        )


def _levels(subject: str, entry: Mapping[str, Any]) -> Parameter:
    values = entry.get("values")
    if not isinstance(values, list) or not values:
        raise InvalidTable(f"{subject}: {entry['type']} needs values, its levels in order")
    if not all(isinstance(value, bool | str) or _is_number(value) for value in values):
        raise InvalidTable(f"{subject}: a level is true, false, a number or a text: {values!r}")
    if len({(isinstance(value, bool), value) for value in values}) < len(values):
        raise InvalidTable(f"{subject}: two levels are alike in {values!r}")
    return Parameter(name=entry["name"], type=ParameterType(entry["type"]), values=tuple(values))


def _range(subject: str, entry: Mapping[str, Any]) -> Parameter:
    kind, low, high = ParameterType(entry["type"]), entry.get("low"), entry.get("high")
    log = entry.get("log", False)
    if not (_is_number(low) and _is_number(high)) or low >= high:
        raise InvalidTable(f"{subject}: {kind} needs numbers low < high, not {low!r} and {high!r}")
    if kind is ParameterType.INTEGER and (low % 1 or high % 1):
        raise InvalidTable(f"{subject}: low and high must be whole, not {low!r} and {high!r}")
    if not isinstance(log, bool) or (log and low <= 0):
        raise InvalidTable(f"{subject}: log is true or false, and needs low above 0")
    return Parameter(name=entry["name"], type=kind, low=float(low), high=float(high), log=log)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
