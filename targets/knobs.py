"""Knobs: what one tunable parameter is, which values it takes, and how a change takes effect."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, TypeGuard

from targets.errors import InvalidKnob

Value = bool | int | float | str
"""One knob's value. JSON-able, hashable, comparable by equality."""

Configuration = Mapping[str, Value]
"""A value for every knob of a space."""


class KnobType(StrEnum):
    """What kind of values a knob takes."""

    INTEGER = "integer"
    REAL = "real"
    BOOLEAN = "boolean"
    CATEGORICAL = "categorical"
    ORDINAL = "ordinal"


class Scale(StrEnum):
    """On which axis a number's steps are equal."""

    LINEAR = "linear"
    LOG = "log"


class Effect(StrEnum):
    """What it takes for a new value to be in force."""

    ONLINE = "online"
    RELOAD = "reload"
    RESTART = "restart"
    REBUILD = "rebuild"


class Scope(StrEnum):
    """How far a change reaches: the blast radius, smallest first."""

    THREAD = "thread"
    CONNECTION = "connection"
    PROCESS = "process"
    CGROUP = "cgroup"
    DEVICE = "device"
    HOST = "host"


class Risk(StrEnum):
    """Whether a knob may be tuned at all: `durability` by the owner's opt-in, `never` never."""

    SAFE = "safe"
    DURABILITY = "durability"
    NEVER = "never"


@dataclass(frozen=True, kw_only=True)
class Special:
    """A value with a meaning of its own (-1 = automatic, 0 = off), in or out of the range."""

    value: Value
    meaning: str


@dataclass(frozen=True, kw_only=True)
class Knob:
    """One tunable parameter, its domain already resolved to numbers on this machine.

    Numbers (integer, real) have `low` and `high`, both included; categorical and ordinal knobs
    have `levels` (ordinal: in order); a boolean has neither. `active_when` is an expression over
    other knobs; while it is false the knob has no effect and its value is irrelevant.
    """

    name: str
    type: KnobType
    default: Value
    low: float | None = None
    high: float | None = None
    levels: tuple[Value, ...] = ()
    scale: Scale = Scale.LINEAR
    unit: str = ""
    special: tuple[Special, ...] = ()
    effect: Effect = Effect.ONLINE
    scope: Scope = Scope.PROCESS
    risk: Risk = Risk.SAFE
    active_when: str = ""
    help: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        for text in ("name", "unit", "active_when", "help", "source"):
            if not isinstance(getattr(self, text), str):
                raise InvalidKnob(f"knob {self.name!r}: {text} must be a text")
        if not self.name or not self.name.isprintable() or self.name.strip() != self.name:
            raise InvalidKnob(f"knob {self.name!r}: a name is printable, no blank at either end")
        for value in (*self.levels, *self.special_values):
            if not _is_value(value):
                raise InvalidKnob(f"knob {self.name}: {value!r} is no finite value")
        if self.is_number:
            self._check_range()
        else:
            self._check_levels()
        object.__setattr__(self, "default", self.check(self.default))

    def _check_range(self) -> None:
        if not (_is_number(self.low) and _is_number(self.high)) or self.levels:
            raise InvalidKnob(
                f"knob {self.name}: {self.type} needs numbers low and high, and no levels"
            )
        if self.low > self.high:
            raise InvalidKnob(f"knob {self.name}: low={self.low} is above high={self.high}")
        if self.type is KnobType.INTEGER and (self.low % 1 or self.high % 1):
            raise InvalidKnob(
                f"knob {self.name}: low={self.low} and high={self.high} must be whole"
            )
        if self.scale is Scale.LOG and self.low <= 0:
            raise InvalidKnob(
                f"knob {self.name}: a log scale needs low above 0, not {self.low}; "
                "declare 0 as a special value"
            )

    def _check_levels(self) -> None:
        if self.low is not None or self.high is not None or self.scale is not Scale.LINEAR:
            raise InvalidKnob(f"knob {self.name}: {self.type} has no low, high or scale")
        if self.type is KnobType.BOOLEAN:
            if self.levels not in ((), (False, True)):
                raise InvalidKnob(f"knob {self.name}: a boolean's levels are not declared")
            object.__setattr__(self, "levels", (False, True))
        elif not self.levels or len(set(self.levels)) != len(self.levels):
            raise InvalidKnob(f"knob {self.name}: {self.type} needs distinct levels")

    @property
    def is_number(self) -> bool:
        """Whether the knob is an integer or a real."""
        return self.type in (KnobType.INTEGER, KnobType.REAL)

    @property
    def special_values(self) -> tuple[Value, ...]:
        """The values with a meaning of their own."""
        return tuple(special.value for special in self.special)

    def check(self, value: object) -> Value:
        """The value in its normal form (3.0 -> 3 for an integer).

        Raises:
            InvalidKnob: the value is not in the domain; the text says the rule.
        """
        if not _is_value(value):
            raise InvalidKnob(
                f"knob {self.name}={value!r}: a value is true, false, a finite number or a text"
            )
        for special in self.special_values:
            if _same(value, special):
                return special
        if self.is_number:
            return self._check_number(value)
        for level in self.levels:
            if _same(value, level):
                return level
        raise InvalidKnob(
            f"knob {self.name}={value!r} is none of its levels: "
            + ", ".join(repr(level) for level in self.levels)
        )

    def _check_number(self, value: object) -> Value:
        assert self.low is not None and self.high is not None  # noqa: S101 - kept by __post_init__
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidKnob(f"knob {self.name}={value!r} is no number")
        if not self.low <= value <= self.high:
            unit = f" {self.unit}" if self.unit else ""
            raise InvalidKnob(
                f"knob {self.name}={value} is outside {self.low:g}..{self.high:g}{unit}"
            )
        if self.type is KnobType.REAL:
            return float(value)
        if value != int(value):
            raise InvalidKnob(f"knob {self.name}={value} is no whole number")
        return int(value)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form; `from_dict` reads it back exactly."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Knob:
        """Read `to_dict`'s form.

        Raises:
            InvalidKnob: a field is missing, unknown or wrong.
        """
        if not isinstance(data, Mapping):
            raise InvalidKnob(f"a knob is declared by a table of its fields, not by {data!r}")
        fields = dict(data)
        try:
            fields["type"] = KnobType(fields["type"])
            fields["scale"] = Scale(fields.get("scale", Scale.LINEAR))
            fields["effect"] = Effect(fields.get("effect", Effect.ONLINE))
            fields["scope"] = Scope(fields.get("scope", Scope.PROCESS))
            fields["risk"] = Risk(fields.get("risk", Risk.SAFE))
            fields["levels"] = tuple(fields.get("levels", ()))
            fields["special"] = tuple(Special(**special) for special in fields.get("special", ()))
            return cls(**fields)
        except KeyError as error:
            raise InvalidKnob(f"knob {data.get('name', '?')}: {error} is missing") from error
        except (TypeError, ValueError) as error:
            raise InvalidKnob(f"knob {data.get('name', '?')}: {error}") from error


def _is_number(value: object) -> TypeGuard[int | float]:
    """Whether it is a number that a float can hold: JSON's integers may be of any size."""
    try:
        return (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        )
    except OverflowError:
        return False


def _is_value(value: object) -> bool:
    return isinstance(value, bool | str) or _is_number(value)


def _same(value: object, level: Value) -> bool:
    """Equality that keeps True apart from 1 and '1' apart from 1."""
    if isinstance(value, bool) != isinstance(level, bool):
        return False
    return value == level
