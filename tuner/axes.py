"""One knob on one column: where its values lie, and which value a position means.

An ordered knob (integer, real, ordinal) lies on the unit interval, equal shares for equal steps of
its scale. Its special values share the lowest 20 % of the interval, so that a search meets them
although each is one value among thousands (LlamaTune, Kanellis et al., VLDB 2022, section 4).
A categorical or boolean knob has no order; its position is the index of its level.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from enum import StrEnum

from targets.knobs import Knob, KnobType, Scale, Value

SPECIAL_SHARE = 0.2
"""The part of an ordered axis that its special values share (LlamaTune's 20 %)."""

MAXIMUM_STEPS = 10_000
"""A wider integer is searched on a grid of this many values (LlamaTune's bucketization)."""

REAL_DIGITS = 9
"""Digits of a real knob's range that `value` gives: readable, and far below any noise."""

MOVES = (0.02, 0.1, 0.3)
"""How far along an axis a neighbour lies: a small, a medium and a large step."""


class ColumnKind(StrEnum):
    """What a column's numbers mean: a level's index, or a place in the unit interval."""

    CATEGORICAL = "categorical"
    ORDERED = "ordered"


class Axis(ABC):
    """The values of one knob that is free to vary.

    `count` is the number of distinct values, infinite for a real knob, and for a wide integer
    the size of its grid. `even` tells whether the positions are `count` equally spaced ones.
    """

    kind: ColumnKind
    count: float
    even: bool

    def __init__(self, knob: Knob) -> None:
        self.knob = knob

    @abstractmethod
    def position(self, value: Value) -> float:
        """Where a value of the knob's domain lies."""

    @abstractmethod
    def value(self, position: float) -> Value:
        """The value that a position means; `value(position(v)) == v` for what `value` gives."""

    @abstractmethod
    def neighbours(self, value: Value) -> list[Value]:
        """The values one step away, without `value` itself, each once."""

    @abstractmethod
    def from_unit(self, share: float) -> float:
        """The position that a coordinate of the unit cube means."""

    @abstractmethod
    def values(self) -> Iterator[Value]:
        """Every value, for finite axes; may repeat one."""


class CategoricalAxis(Axis):
    """Levels without order. Special values that are no levels become levels."""

    kind = ColumnKind.CATEGORICAL
    even = True

    def __init__(self, knob: Knob) -> None:
        super().__init__(knob)
        self.levels = _levels(knob)
        self.count = float(len(self.levels))
        self._places = {level: float(place) for place, level in enumerate(self.levels)}

    def position(self, value: Value) -> float:
        place = self._places.get(value)
        # check() raises for what is no level, and says what is.
        return self._places[self.knob.check(value)] if place is None else place

    def value(self, position: float) -> Value:
        return self.levels[min(max(round(position), 0), len(self.levels) - 1)]

    def neighbours(self, value: Value) -> list[Value]:
        own = self.position(value)
        return [level for place, level in enumerate(self.levels) if place != own]

    def from_unit(self, share: float) -> float:
        return float(min(int(share * len(self.levels)), len(self.levels) - 1))

    def values(self) -> Iterator[Value]:
        return iter(self.levels)


class OrderedAxis(Axis):
    """Special values on the first fifth of the interval, where there are any; then the range."""

    kind = ColumnKind.ORDERED

    def __init__(self, knob: Knob) -> None:
        super().__init__(knob)
        self.range = _range_of(knob)
        self.special = knob.special_values
        self.special_share = SPECIAL_SHARE if self.special else 0.0
        outside = sum(not self.range.holds(value) for value in self.special)
        self.count = self.range.count + outside
        self.even = self.range.even and not self.special
        # A special value in the range keeps its own form: 0, though the range has 0.0.
        self._exact = {value: value for value in self.special}
        self._default = None if knob.default in self.special else self.range.place(knob.default)

    def position(self, value: Value) -> float:
        if value in self.special:
            slot = (self.special.index(value) + 0.5) / len(self.special)
            return self.special_share * slot
        return self.special_share + (1.0 - self.special_share) * self.range.place(value)

    def value(self, position: float) -> Value:
        if position < self.special_share:
            slot = int(position / self.special_share * len(self.special))
            return self.special[min(max(slot, 0), len(self.special) - 1)]
        place = (position - self.special_share) / (1.0 - self.special_share)
        return self._value_in_range(min(max(place, 0.0), 1.0))

    def _value_in_range(self, place: float) -> Value:
        # The default need not lie on a grid or be short: what rounds to its place is the default.
        if self._default is not None and self.range.same(place, self._default):
            return self.knob.default
        value = self.range.pick(place)
        return self._exact.get(value, value)

    def neighbours(self, value: Value) -> list[Value]:
        if value in self.special:
            near = [self._value_in_range(place) for place in (0.0, 0.25, 0.5, 0.75, 1.0)]
        else:
            place = self.range.place(value)
            steps = (max(move, 1.0 / self.range.count) for move in MOVES)
            near = [
                self._value_in_range(min(max(place + signed, 0.0), 1.0))
                for step in steps
                for signed in (-step, step)
            ]
        return [other for other in dict.fromkeys((*near, *self.special)) if other != value]

    def from_unit(self, share: float) -> float:
        return share

    def values(self) -> Iterator[Value]:
        yield from self.special
        for step in range(int(self.range.count)):
            yield self._value_in_range((step + 0.5) / self.range.count)


class _Range(ABC):
    """An ordered knob's ordinary values on the unit interval."""

    count: float
    even = True

    @abstractmethod
    def place(self, value: Value) -> float:
        """Where a value lies, in 0..1."""

    @abstractmethod
    def pick(self, place: float) -> Value:
        """The value at a place."""

    def same(self, place: float, other: float) -> bool:
        """Whether two places mean the same value."""
        return self._step(place) == self._step(other)

    def _step(self, place: float) -> int:
        return min(int(place * self.count), int(self.count) - 1)

    @abstractmethod
    def holds(self, value: Value) -> bool:
        """Whether a value is one of the range's."""


class _Levels(_Range):
    """Ordinal levels, equally spaced."""

    def __init__(self, knob: Knob) -> None:
        self._levels = knob.levels
        self.count = float(len(knob.levels))

    def place(self, value: Value) -> float:
        return (self._levels.index(value) + 0.5) / self.count

    def pick(self, place: float) -> Value:
        return self._levels[self._step(place)]

    def holds(self, value: Value) -> bool:
        return value in self._levels


class _Numbers(_Range):
    """Numbers between two ends, on a linear or logarithmic scale."""

    def __init__(self, low: float, high: float, scale: Scale) -> None:
        self.low, self.high, self._log = low, high, scale is Scale.LOG
        self._from, self._span = self._scaled(low), self._scaled(high) - self._scaled(low)

    def _scaled(self, number: float) -> float:
        return math.log(number) if self._log else number

    def _share(self, value: Value) -> float:
        number = min(max(float(value), self.low), self.high)
        return (self._scaled(number) - self._from) / self._span

    def _number(self, share: float) -> float:
        scaled = self._from + share * self._span
        number = math.exp(scaled) if self._log else scaled
        return min(max(number, self.low), self.high)

    def holds(self, value: Value) -> bool:
        return not isinstance(value, str) and self.low <= value <= self.high


class _Reals(_Numbers):
    """Every number of the range, to `REAL_DIGITS` digits."""

    count = math.inf
    even = False

    def place(self, value: Value) -> float:
        return self._share(value)

    def pick(self, place: float) -> Value:
        number = self._number(place)
        scale = abs(number) if self._log else max(abs(self.low), abs(self.high))
        digits = REAL_DIGITS - 1 - math.floor(math.log10(scale))
        return float(min(max(round(number, digits), self.low), self.high))

    def same(self, place: float, other: float) -> bool:
        return math.isclose(place, other, rel_tol=0.0, abs_tol=10.0**-REAL_DIGITS)


class _Grid(_Numbers):
    """Integers on equal steps of the scale, both ends included.

    Up to `MAXIMUM_STEPS` integers on a linear scale this is every one of them.
    """

    def __init__(self, low: int, high: int, scale: Scale) -> None:
        super().__init__(low, high, scale)
        self.count = float(min(high - low + 1, MAXIMUM_STEPS))

    def place(self, value: Value) -> float:
        return (self._share(value) * (self.count - 1) + 0.5) / self.count

    def pick(self, place: float) -> Value:
        return round(self._number(self._step(place) / (self.count - 1)))


class _LogIntegers(_Numbers):
    """Every integer of a narrow range, each with the share its rounding interval has on logs."""

    even = False

    def __init__(self, low: int, high: int) -> None:
        super().__init__(low - 0.5, high + 0.5, Scale.LOG)
        self._ends = low, high
        self.count = float(high - low + 1)

    def place(self, value: Value) -> float:
        return self._share(value)

    def pick(self, place: float) -> Value:
        return min(max(round(self._number(place)), self._ends[0]), self._ends[1])

    def same(self, place: float, other: float) -> bool:
        return self.pick(place) == self.pick(other)


def axis_of(knob: Knob) -> Axis | None:
    """The knob's axis; None for a knob with a single value, which cannot vary."""
    unordered = knob.type in (KnobType.BOOLEAN, KnobType.CATEGORICAL) or _is_point(knob)
    axis = CategoricalAxis(knob) if unordered else OrderedAxis(knob)
    return axis if axis.count > 1 else None


def _is_point(knob: Knob) -> bool:
    return knob.is_number and len(set(_ends(knob))) == 1


def _levels(knob: Knob) -> tuple[Value, ...]:
    """The distinct values of a knob without a range, the special ones last."""
    ordinary = (knob.check(_ends(knob)[0]),) if knob.is_number else knob.levels
    return tuple(dict.fromkeys((*ordinary, *knob.special_values)))


def _range_of(knob: Knob) -> _Range:
    if not knob.is_number:
        return _Levels(knob)
    low, high = _ends(knob)
    if knob.type is KnobType.REAL:
        return _Reals(low, high, knob.scale)
    if knob.scale is Scale.LOG and high - low < MAXIMUM_STEPS:
        return _LogIntegers(int(low), int(high))
    return _Grid(int(low), int(high), knob.scale)


def _ends(knob: Knob) -> tuple[float, float]:
    assert knob.low is not None and knob.high is not None  # noqa: S101 - a number's, by Knob
    if knob.type is KnobType.INTEGER:
        return math.ceil(knob.low), math.floor(knob.high)
    return knob.low, knob.high
