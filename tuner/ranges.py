"""The ordinary values of an ordered knob on the unit interval: levels, reals, integers.

Every value stands for itself as a number (an ordinal level by its place among the levels), and all
arithmetic is numpy's, for one value as for thousands: so the same value lies at the same place, to
the last bit, however it came there.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from targets.knobs import Knob, KnobType, Scale, Value

Vector = NDArray[np.float64]
"""(n,) float64."""

MAXIMUM_STEPS = 10_000
"""A wider integer is searched on a grid of this many values (LlamaTune's bucketization)."""

REAL_DIGITS = 9
"""Digits of a real knob's range that are given: readable, and far below any noise."""

EXACT_POWER = 22
"""10 to this power is the last that a float holds exactly."""


class Range(ABC):
    """An ordered knob's ordinary values, as numbers between 0 and 1.

    `count` is how many there are, infinite for reals; `even` tells whether they lie at `count`
    equally spaced places.
    """

    count: float
    even = True

    @abstractmethod
    def numbers(self, values: Sequence[Value]) -> Vector:
        """(n,): the numbers that stand for values; NaN for what is no value at all."""

    @abstractmethod
    def values(self, numbers: Vector) -> list[Value]:
        """The values that numbers stand for."""

    @abstractmethod
    def places(self, numbers: Vector) -> Vector:
        """(n,): where numbers lie, in 0..1; beyond the range, its nearest end."""

    @abstractmethod
    def pick(self, places: Vector) -> Vector:
        """(n,): the numbers at places."""

    @abstractmethod
    def holds(self, numbers: Vector) -> NDArray[np.bool_]:
        """(n,): which numbers are the range's, on its grid or between."""

    def same(self, places: Vector, other: Vector) -> NDArray[np.bool_]:
        """(n,): where two places mean the same value."""
        return np.asarray(self._steps(places) == self._steps(other))

    def _steps(self, places: Vector) -> Vector:
        return np.minimum(np.floor(places * self.count), self.count - 1)


class Levels(Range):
    """Ordinal levels, equally spaced."""

    def __init__(self, knob: Knob) -> None:
        self._levels = knob.levels
        self._numbers = {level: float(place) for place, level in enumerate(knob.levels)}
        self.count = float(len(knob.levels))

    def numbers(self, values: Sequence[Value]) -> Vector:
        return np.array([self._numbers.get(value, math.nan) for value in values], float)

    def values(self, numbers: Vector) -> list[Value]:
        return [self._levels[int(number)] for number in numbers.tolist()]

    def places(self, numbers: Vector) -> Vector:
        return (numbers + 0.5) / self.count

    def pick(self, places: Vector) -> Vector:
        return self._steps(places)

    def holds(self, numbers: Vector) -> NDArray[np.bool_]:
        return ~np.isnan(numbers)


class Numbers(Range):
    """Numbers between two ends, on a linear or logarithmic scale."""

    def __init__(self, low: float, high: float, scale: Scale) -> None:
        self.low, self.high, self._log = low, high, scale is Scale.LOG
        self._from = float(self._scaled(np.float64(low)))
        self._span = float(self._scaled(np.float64(high))) - self._from

    def _scaled(self, numbers: Vector | np.float64) -> Vector:
        return np.asarray(np.log(numbers) if self._log else numbers)

    def _shares(self, numbers: Vector) -> Vector:
        return (self._scaled(clipped(numbers, self.low, self.high)) - self._from) / self._span

    def _unscaled(self, shares: Vector) -> Vector:
        scaled = self._from + shares * self._span
        return clipped(np.exp(scaled) if self._log else scaled, self.low, self.high)

    def numbers(self, values: Sequence[Value]) -> Vector:
        try:
            return np.array(values, float)
        except (ValueError, OverflowError):
            return np.array([_number(value) for value in values], float)

    def values(self, numbers: Vector) -> list[Value]:
        return list(map(int, numbers.tolist()))

    def holds(self, numbers: Vector) -> NDArray[np.bool_]:
        whole = np.floor(numbers) == numbers
        return np.asarray(whole & (self.low <= numbers) & (numbers <= self.high))


class Reals(Numbers):
    """Every number of the range, to `REAL_DIGITS` digits."""

    count = math.inf
    even = False

    def __init__(self, low: float, high: float, scale: Scale) -> None:
        super().__init__(low, high, scale)
        self._largest = max(abs(low), abs(high))

    def values(self, numbers: Vector) -> list[Value]:
        return list(numbers.tolist())

    def places(self, numbers: Vector) -> Vector:
        return self._shares(numbers)

    def pick(self, places: Vector) -> Vector:
        numbers = self._unscaled(places)
        scale = np.abs(numbers) if self._log else np.full_like(numbers, self._largest)
        digits = REAL_DIGITS - 1 - np.floor(np.log10(scale))
        return clipped(_rounded(numbers, digits), self.low, self.high)

    def same(self, places: Vector, other: Vector) -> NDArray[np.bool_]:
        return np.asarray(np.abs(places - other) <= 10.0**-REAL_DIGITS)

    def holds(self, numbers: Vector) -> NDArray[np.bool_]:
        return np.asarray((self.low <= numbers) & (numbers <= self.high))


class Grid(Numbers):
    """Integers on equal steps of the scale, both ends included.

    Up to `MAXIMUM_STEPS` integers on a linear scale this is every one of them.
    """

    def __init__(self, low: int, high: int, scale: Scale) -> None:
        super().__init__(low, high, scale)
        self.count = float(min(high - low + 1, MAXIMUM_STEPS))

    def places(self, numbers: Vector) -> Vector:
        return (self._shares(numbers) * (self.count - 1) + 0.5) / self.count

    def pick(self, places: Vector) -> Vector:
        return np.rint(self._unscaled(self._steps(places) / (self.count - 1)))


class LogIntegers(Numbers):
    """Every integer of a narrow range, each with the share its rounding interval has on logs."""

    even = False

    def __init__(self, low: int, high: int) -> None:
        super().__init__(low - 0.5, high + 0.5, Scale.LOG)
        self._ends = low, high
        self.count = float(high - low + 1)

    def places(self, numbers: Vector) -> Vector:
        return self._shares(numbers)

    def pick(self, places: Vector) -> Vector:
        return clipped(np.rint(self._unscaled(places)), *self._ends)

    def same(self, places: Vector, other: Vector) -> NDArray[np.bool_]:
        return np.asarray(self.pick(places) == self.pick(other))


def range_of(knob: Knob) -> Range:
    """The ordinary values of an ordinal, integer or real knob that has more than one."""
    if not knob.is_number:
        return Levels(knob)
    low, high = ends(knob)
    if knob.type is KnobType.REAL:
        return Reals(low, high, knob.scale)
    if knob.scale is Scale.LOG and high - low < MAXIMUM_STEPS:
        return LogIntegers(int(low), int(high))
    return Grid(int(low), int(high), knob.scale)


def ends(knob: Knob) -> tuple[float, float]:
    """The least and the greatest value of a number's range."""
    assert knob.low is not None and knob.high is not None  # noqa: S101 - a number's, by Knob
    if knob.type is KnobType.INTEGER:
        return math.ceil(knob.low), math.floor(knob.high)
    return knob.low, knob.high


def _number(value: Value) -> float:
    """NaN for a text that is no number; a number that no float holds is infinite."""
    try:
        return float(value)
    except ValueError:
        return math.nan
    except OverflowError:
        return math.copysign(math.inf, int(value))


def clipped(numbers: Vector, low: float, high: float) -> Vector:
    """As np.clip, which takes several times as long on a short array."""
    return np.minimum(np.maximum(numbers, low), high)


def _rounded(numbers: Vector, digits: Vector) -> Vector:
    """Numbers to so many digits behind the point, negative ones before it, shortly written.

    A whole number below 2**53 over an exact power of ten is the float nearest to that decimal
    fraction; where the power is not exact, Python's slow rounding is.
    """
    power = 10.0 ** np.minimum(np.abs(digits), EXACT_POWER)
    behind = digits > 0
    up, down = np.where(behind, power, 1.0), np.where(behind, 1.0, power)
    rounded = np.rint(numbers * up / down) / up * down
    for place in np.flatnonzero(np.abs(digits) > EXACT_POWER):
        rounded[place] = round(float(numbers[place]), int(digits[place]))
    return np.asarray(rounded)
