"""One knob on one column: where its values lie, and which value a position means.

An ordered knob (integer, real, ordinal) lies on the unit interval, equal shares for equal steps of
its scale. Its special values share the lowest 20 % of the interval, so that a search meets them
although each is one value among thousands (LlamaTune, Kanellis et al., VLDB 2022, section 4).
A categorical or boolean knob has no order; its position is the index of its level.

Axes work on many values at once; for a single one there are `position`, `value` and `neighbours`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from targets.errors import InvalidKnob
from targets.knobs import Knob, KnobType, Value
from tuner.ranges import MAXIMUM_STEPS, REAL_DIGITS, Vector, clipped, ends, range_of
from tuner.rules import vector_of

__all__ = [
    "MAXIMUM_STEPS",
    "MOVES",
    "REAL_DIGITS",
    "SPECIAL_SHARE",
    "Axis",
    "CategoricalAxis",
    "ColumnKind",
    "OrderedAxis",
    "axis_of",
]

SPECIAL_SHARE = 0.2
"""The part of an ordered axis that its special values share (LlamaTune's 20 %)."""

MOVES = (0.02, 0.1, 0.3)
"""How far along an axis a neighbour lies: a small, a medium and a large step."""

BACK = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Where in the range the neighbours of a special value lie."""


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
    def positions(self, values: Sequence[Value]) -> Vector:
        """(n,): where values lie; beyond the range, at its nearest end; NaN for no value."""

    @abstractmethod
    def holds(self, values: Sequence[Value]) -> NDArray[np.bool_]:
        """(n,): which values are of the knob's domain."""

    @abstractmethod
    def from_unit(self, shares: Vector) -> Vector:
        """(n,): the positions that coordinates of the unit cube mean."""

    @abstractmethod
    def snapped(self, positions: Vector) -> Vector:
        """(n,): where the values lie that positions mean; what is snapped stays where it is."""

    @abstractmethod
    def meant(self, positions: Vector) -> list[Value]:
        """The values that positions mean; `meant(positions(v)) == v` for what `meant` gives."""

    @abstractmethod
    def vector(self, positions: Vector) -> NDArray[Any]:
        """(n,): the same values for `tuner.rules`: float64, or objects where texts are among
        them."""

    @abstractmethod
    def near(self, position: float) -> Vector:
        """(m,): the snapped positions of the values one step from a snapped one, each once."""

    @abstractmethod
    def all(self) -> Vector:
        """(count,): every value's position, of a finite axis; in order of the values."""

    @cached_property
    def default(self) -> float:
        """The default's position."""
        return self.position(self.knob.default)

    def position(self, value: Value) -> float:
        """Where a value lies.

        Raises:
            InvalidKnob: it is none of the knob's levels, or no number for a number.
        """
        [position] = self.positions([value]).tolist()
        if math.isnan(position):
            self.knob.check(value)  # raises, and says what the knob takes
            raise InvalidKnob(f"knob {self.knob.name}={value!r} is none of its values")
        return float(position)

    def value(self, position: float) -> Value:
        """The value that a position means."""
        return self.meant(np.array([position]))[0]

    def neighbours(self, value: Value) -> list[Value]:
        """The values one step away, without `value` itself, each once."""
        [position] = self.snapped(np.array([self.position(value)])).tolist()
        return [other for other in self.meant(self.near(position)) if other != value]

    def values(self) -> Iterator[Value]:
        """Every value, each once, of a finite axis."""
        return iter(self.meant(self.all()))


class CategoricalAxis(Axis):
    """Levels without order. Special values that are no levels become levels."""

    kind = ColumnKind.CATEGORICAL
    even = True

    def __init__(self, knob: Knob) -> None:
        super().__init__(knob)
        self.levels = _levels(knob)
        self.count = float(len(self.levels))
        self._places = {level: float(place) for place, level in enumerate(self.levels)}

    def positions(self, values: Sequence[Value]) -> Vector:
        return np.array([self._places.get(value, math.nan) for value in values], float)

    def holds(self, values: Sequence[Value]) -> NDArray[np.bool_]:
        return ~np.isnan(self.positions(values))

    def from_unit(self, shares: Vector) -> Vector:
        return np.minimum(np.floor(shares * self.count), self.count - 1)

    def snapped(self, positions: Vector) -> Vector:
        return clipped(np.rint(positions), 0.0, self.count - 1)

    def meant(self, positions: Vector) -> list[Value]:
        return [self.levels[place] for place in self.snapped(positions).astype(int).tolist()]

    def vector(self, positions: Vector) -> NDArray[Any]:
        return np.asarray(self._vector[self.snapped(positions).astype(int)])

    @cached_property
    def _vector(self) -> NDArray[Any]:
        return vector_of(self.levels)

    def near(self, position: float) -> Vector:
        return np.delete(self.all(), int(position))

    def all(self) -> Vector:
        return np.arange(self.count)


class OrderedAxis(Axis):
    """Special values on the first fifth of the interval, where there are any; then the range.

    Special values and the default are *exact*: they keep their own form (0, though the range has
    0.0) and their own place, though it be off the grid or longer than what is rounded.
    """

    kind = ColumnKind.ORDERED

    def __init__(self, knob: Knob) -> None:
        super().__init__(knob)
        self.range = range_of(knob)
        self.special = knob.special_values
        self.special_share = SPECIAL_SHARE if self.special else 0.0
        self._slots = {value: slot for slot, value in enumerate(self.special)}
        numbers = self.range.numbers(self.special)
        inside = self.range.holds(numbers)
        self._inside = [(slot, numbers[slot]) for slot in np.flatnonzero(inside)]
        self.count = self.range.count + len(self.special) - len(self._inside)
        self.even = self.range.even and not self.special

    @cached_property
    def _exact(self) -> tuple[Value, ...]:
        own = () if self.knob.default in self._slots else (self.knob.default,)
        return (*self.special, *own)

    @cached_property
    def _default_place(self) -> Vector:
        return self.range.places(self.range.numbers([self.knob.default]))

    @cached_property
    def _exact_positions(self) -> Vector:
        slots = (np.arange(len(self.special)) + 0.5) / max(len(self.special), 1)
        positions = self.special_share * slots
        if len(self._exact) > len(self.special):
            positions = np.append(positions, self._from_range(self._default_place))
        return positions

    def _from_range(self, places: Vector) -> Vector:
        return self.special_share + (1.0 - self.special_share) * places

    def positions(self, values: Sequence[Value]) -> Vector:
        if not self.special:
            return self._from_range(self.range.places(self.range.numbers(values)))
        slots = np.array([self._slots.get(value, -1) for value in values], int)
        positions = self._exact_positions[slots]
        ordinary = np.flatnonzero(slots < 0)
        numbers = self.range.numbers([values[place] for place in ordinary.tolist()])
        positions[ordinary] = self._from_range(self.range.places(numbers))
        return np.asarray(positions)

    def holds(self, values: Sequence[Value]) -> NDArray[np.bool_]:
        special = np.array([value in self._slots for value in values], bool)
        return special | self.range.holds(self.range.numbers(values))

    def from_unit(self, shares: Vector) -> Vector:
        return shares

    def _meant(self, positions: Vector) -> tuple[NDArray[np.int_], Vector]:
        """Which of the exact values each position means, -1 for none; and the range's numbers."""
        places = clipped((positions - self.special_share) / (1.0 - self.special_share), 0.0, 1.0)
        numbers = self.range.pick(places)
        slots = np.full(len(positions), -1)
        for slot, number in self._inside:
            slots[numbers == number] = slot
        if len(self._exact) > len(self.special):
            # What rounds to the default's place is the default.
            slots[self.range.same(places, self._default_place)] = len(self.special)
        if self.special:
            low = positions < self.special_share
            share = np.maximum(positions[low] / self.special_share, 0.0)
            slots[low] = np.minimum(share * len(self.special), len(self.special) - 1).astype(int)
        return slots, numbers

    def snapped(self, positions: Vector) -> Vector:
        slots, numbers = self._meant(positions)
        in_range = self._from_range(self.range.places(numbers))
        return np.where(slots < 0, in_range, self._exact_positions[slots])

    def meant(self, positions: Vector) -> list[Value]:
        slots, numbers = self._meant(positions)
        values = self.range.values(numbers)
        for place in np.flatnonzero(slots >= 0):
            values[place] = self._exact[slots[place]]
        return values

    def vector(self, positions: Vector) -> NDArray[Any]:
        slots, numbers = self._meant(positions)
        exact = vector_of(self._exact)
        if self.knob.is_number and exact.dtype != object:
            return np.where(slots < 0, numbers, exact[slots])
        return vector_of(self.meant(positions))

    def near(self, position: float) -> Vector:
        if position < self.special_share:
            places = np.array(BACK)
        else:
            place = (position - self.special_share) / (1.0 - self.special_share)
            steps = np.maximum(MOVES, 1.0 / self.range.count)
            places = clipped(np.concatenate((place - steps, place + steps)), 0.0, 1.0)
        special = self._exact_positions[: len(self.special)]
        near = np.unique(self.snapped(np.concatenate((self._from_range(places), special))))
        return np.asarray(near[near != position])

    def all(self) -> Vector:
        places = (np.arange(self.range.count) + 0.5) / self.range.count
        special = self._exact_positions[: len(self.special)]
        positions = self.snapped(np.concatenate((special, self._from_range(places))))
        return np.array(list(dict.fromkeys(positions.tolist())))


def axis_of(knob: Knob) -> Axis | None:
    """The knob's axis; None for a knob with a single value, which cannot vary."""
    unordered = knob.type in (KnobType.BOOLEAN, KnobType.CATEGORICAL) or _is_point(knob)
    axis = CategoricalAxis(knob) if unordered else OrderedAxis(knob)
    return axis if axis.count > 1 else None


def _is_point(knob: Knob) -> bool:
    return knob.is_number and len(set(ends(knob))) == 1


def _levels(knob: Knob) -> tuple[Value, ...]:
    """The distinct values of a knob without a range, the special ones last."""
    ordinary = (knob.check(ends(knob)[0]),) if knob.is_number else knob.levels
    return tuple(dict.fromkeys((*ordinary, *knob.special_values)))
