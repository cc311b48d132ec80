"""Metrics and objectives: what is measured, in which unit, and how a window's values are kept."""

from __future__ import annotations

import array
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from targets.errors import ProtocolError


class MetricKind(StrEnum):
    """A counter only grows (its rate means something); a gauge is a level; a histogram's
    quantiles are reported as gauges named `<metric>_p99`."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Direction(StrEnum):
    """Which way an objective improves."""

    MINIMISE = "min"
    MAXIMISE = "max"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """An internal measurement of a target."""

    name: str
    kind: MetricKind
    unit: str = ""
    help: str = ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Metric:
        """Read `to_dict`'s form."""
        return cls(**{**data, "kind": MetricKind(data["kind"])})


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A metric to improve. `deterministic`: the same configuration always gives the same value.

    `accounted_by` names the target's own counter of what the objective says is done a second: a
    window whose counter does not bear it out is no measurement (`targets.accounting`).
    """

    name: str
    direction: Direction
    unit: str = ""
    deterministic: bool = False
    help: str = ""
    accounted_by: str = ""

    def ratio(self, value: float, baseline: float) -> float:
        """How many times better `value` is than `baseline`: above 1 always means better.

        Both must be positive, as every objective a ratio is reported for is.
        """
        return value / baseline if self.direction is Direction.MAXIMISE else baseline / value

    def better(self, one: float, other: float) -> bool:
        """Whether `one` is strictly better than `other`."""
        return one > other if self.direction is Direction.MAXIMISE else one < other

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Objective:
        """Read `to_dict`'s form."""
        return cls(**{**data, "direction": Direction(data["direction"])})


@dataclass(frozen=True)
class MetricVector:
    """One window's metrics: names (kept once in a dictionary by the store) and float64 values."""

    names: tuple[str, ...]
    values: tuple[float, ...]

    @classmethod
    def of(cls, metrics: Mapping[str, float]) -> MetricVector:
        """The metrics in name order; NaN marks a metric that could not be read."""
        names = tuple(sorted(metrics))
        return cls(names, tuple(float(metrics[name]) for name in names))

    def as_dict(self) -> dict[str, float]:
        """Name -> value, without those that could not be read."""
        return {
            name: value
            for name, value in zip(self.names, self.values, strict=True)
            if not math.isnan(value)
        }

    def pack(self) -> bytes:
        """The values as little-endian float64, 8 bytes each."""
        packed = array.array("d", self.values)
        if sys.byteorder == "big":
            packed.byteswap()
        return packed.tobytes()

    @classmethod
    def unpack(cls, names: Sequence[str], packed: bytes) -> MetricVector:
        """Read `pack`'s form.

        Raises:
            ProtocolError: the number of values is not that of the names.
        """
        values = array.array("d")
        if len(packed) != 8 * len(names):
            raise ProtocolError(
                f"metric vector holds {len(packed)} bytes for {len(names)} names: want 8 each"
            )
        values.frombytes(packed)
        if sys.byteorder == "big":
            values.byteswap()
        return cls(tuple(names), tuple(values))


def rates(
    metrics: Iterable[Metric],
    before: Mapping[str, float],
    after: Mapping[str, float],
    *,
    seconds: float,
) -> dict[str, float]:
    """What a window did: counters as rates a second, all else as read at its end.

    A counter that went back was reset in between; its growth since the reset is taken.
    """
    counters = {metric.name for metric in metrics if metric.kind is MetricKind.COUNTER}
    result = dict(after)
    for name in counters & after.keys():
        growth = after[name] - before.get(name, 0.0)
        result[name] = (growth if growth >= 0 else after[name]) / max(seconds, 1e-9)
    return result
