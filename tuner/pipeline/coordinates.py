"""Where metrics stand, so that what is proportional differs by as much wherever it is.

Logarithms, for a counter's share of all work counts and not its size (log ratios as in Aitchison,
The Statistical Analysis of Compositional Data, 1986); of metrics that go below 0, inverse
hyperbolic sines, which are logarithms of either sign away from 0 and a line around it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tuner.pipeline.arrays import Array, Mask

Windows = Sequence[Mapping[str, float]]
"""Metrics by name, one mapping a window; absent or NaN where a metric could not be read."""

_OFFSET = 1e-3  # of a metric's median size: tells 0 from little
_FAR = 20.0  # asinh(exp(x)) is x + log 2 from here on
_LEAST, _LARGEST = 1e-150, 1e150  # nearer to 0 is 0; quotients of these are floats


@dataclass(frozen=True, kw_only=True)
class Coordinates:
    """The metrics that are compared; arrays are (n_metrics,).

    `signed` metrics take values below 0 and stand at `asinh(value / size)`, the others at
    `log(value + size / 1000)`; `size` is the median of a metric's absolute values.
    """

    names: tuple[str, ...]
    signed: Mask
    size: Array

    @classmethod
    def of(cls, recordings: Iterable[Windows]) -> Coordinates:
        """Of all metrics that change."""
        windows = [window for windows in recordings for window in windows]
        names = _changing(windows)
        raw = _raw(names, windows)
        size = np.ones(len(names))
        for place in range(len(names)):
            sizes = np.abs(raw[:, place])
            sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
            size[place] = np.median(sizes) if len(sizes) else 1.0
        return cls(names=names, signed=np.asarray((raw < 0).any(axis=0)), size=size)

    def table(self, windows: Windows) -> Array:
        """(n_windows, n_metrics): where each window stands, NaN where a metric was not read."""
        raw = _raw(self.names, windows)
        positive = np.log(np.maximum(raw, 0.0) + _OFFSET * self.size)
        return np.where(self.signed, np.arcsinh(raw / self.size), positive)

    def moved(self, table: Array, growth: Array) -> Array:
        """(..., n_metrics): where coordinates go when the metrics grow by `exp(growth)`."""
        offset = np.log(_OFFSET * self.size)
        with np.errstate(divide="ignore", invalid="ignore"):
            amounts = table + np.log(-np.expm1(np.minimum(offset - table, 0.0)))
            positive = np.logaddexp(amounts + growth, offset)
        grown = _log_sinh(np.where(self.signed, table, 1.0)) + growth
        far = grown > _FAR
        signed = np.where(far, grown + math.log(2.0), np.arcsinh(np.exp(np.where(far, 0.0, grown))))
        return np.where(self.signed, np.sign(table) * signed, positive)

    def sensitivity(self, one: Array, other: Array) -> Array:
        """(..., n_metrics): how far a coordinate goes while its metric grows by a factor of e, on
        the way from one coordinate to the other.

        1 for a logarithm, -1 for the coordinate of a value below 0, and less near 0; averaged over
        the way by Simpson's rule. No growth changes a sign.
        """
        rising = [
            1.0 - np.minimum(_OFFSET * self.size * np.exp(-np.where(self.signed, 0.0, end)), 1.0)
            for end in (one, other)
        ]
        left, right = (np.where(self.signed, end, 1.0) for end in (one, other))
        middle = 0.5 * (_log_sinh(left) + _log_sinh(right))
        with np.errstate(over="ignore"):
            steepest = np.sign(left) / np.sqrt(1.0 + np.exp(-2.0 * middle))
        steepest = np.where(np.sign(left) == np.sign(right), steepest, 0.0)
        signed = (np.tanh(left) + 4.0 * steepest + np.tanh(right)) / 6.0
        return np.where(self.signed, signed, np.minimum(*rising))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {
            "names": list(self.names),
            "signed": self.signed.tolist(),
            "size": self.size.tolist(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Coordinates:
        """Read `to_dict`'s form."""
        return cls(
            names=tuple(data["names"]),
            signed=np.array(data["signed"], bool),
            size=np.array(data["size"], float),
        )


def _changing(windows: Windows) -> tuple[str, ...]:
    """The names of the metrics that were seen with more than one finite value, sorted; of all where
    there is one window only, which cannot tell."""
    values: dict[str, set[float]] = {}
    for window in windows:
        for name, value in window.items():
            if math.isfinite(value):
                values.setdefault(name, set()).add(float(value))
    least = min(len(windows), 2)
    return tuple(sorted(name for name, seen in values.items() if len(seen) >= least))


def _log_sinh(coordinates: Array) -> Array:
    """Of their absolute values, minus infinity at 0."""
    size = np.abs(coordinates)
    with np.errstate(divide="ignore"):
        return np.asarray(size + np.log(-np.expm1(-2.0 * size)) - math.log(2.0))


def _raw(names: Sequence[str], windows: Windows) -> Array:
    rows = [[float(window.get(name, math.nan)) for name in names] for window in windows]
    table = np.array(rows, float).reshape(len(windows), len(names))
    table[np.abs(table) < _LEAST] = 0.0
    return np.where(np.isfinite(table), np.clip(table, -_LARGEST, _LARGEST), np.nan)
