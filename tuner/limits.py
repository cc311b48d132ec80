"""A session's limits: what must not get worse than a bound while the objectives improve.

Written as `latency_p99_ms<=20` or `hit_ratio>=0.5`; `latency_p99_ms<=1.2x` is 1.2 times what the
baseline was measured to have, which is worked out once and then stands.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from targets.adapter import Description
from targets.metrics import Direction, MetricKind
from tuner.errors import InvalidSession
from tuner.recommenders.base import Limit

SIGNS = {Direction.MINIMISE: "<=", Direction.MAXIMISE: ">="}
_DIRECTIONS = {sign: direction for direction, sign in SIGNS.items()}
_LIMIT = re.compile(r"\s*([^\s<>=]+)\s*(<=|>=)\s*([^\s<>=]+?)(x?)\s*")
_QUANTILE = re.compile(r"_p\d+")


@dataclass(frozen=True, kw_only=True)
class SessionLimit:
    """A bound on an objective or metric. `factor`: the bound is so many times the baseline's mean;
    then `bound` is None until that is measured."""

    name: str
    direction: Direction
    bound: float | None
    factor: float | None = None
    unit: str = ""

    @property
    def text(self) -> str:
        """As people write it, with what a relative one comes to: p99<=1.2x (24 ms)."""
        sign = SIGNS[self.direction]
        if self.factor is None:
            return f"{self.name}{sign}{self.amount(self.bound)}"
        known = "" if self.bound is None else f" ({self.amount(self.bound)})"
        return f"{self.name}{sign}{self.factor:g}x{known}"

    def amount(self, value: float | None) -> str:
        """A value of what is limited, with its unit."""
        return "unknown" if value is None else f"{value:.4g} {self.unit}".rstrip()

    def broken_by(self, value: float) -> bool:
        """Whether a value is on the wrong side of the bound, which is known."""
        if self.bound is None:
            return False
        return value > self.bound if self.direction is Direction.MINIMISE else value < self.bound

    def resolved(self, baseline: float | None) -> SessionLimit:
        """With its bound, now that the baseline's mean is known; None where it was not measured.

        Raises:
            InvalidSession: so many times nothing, or a value below 0, is no bound.
        """
        if self.factor is None:
            return self
        if baseline is None:
            raise InvalidSession(
                f"limit {self.text} is relative to the baseline, in whose windows {self.name} was "
                f"not measured: give an absolute bound, {self.name}{SIGNS[self.direction]}NUMBER"
            )
        if baseline < 0:
            raise InvalidSession(
                f"limit {self.text} is relative to the baseline, whose {self.name} is "
                f"{self.amount(baseline)}: below 0 that bounds nothing; give an absolute bound, "
                f"{self.name}{SIGNS[self.direction]}NUMBER"
            )
        return replace(self, bound=self.factor * baseline)

    @property
    def problems(self) -> tuple[Limit, ...]:
        """The limit as recommenders take it; none while its bound is not known."""
        if self.bound is None:
            return ()
        return (Limit(name=self.name, direction=self.direction, bound=self.bound),)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form; `from_dict` reads it back."""
        return {**vars(self), "direction": str(self.direction)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SessionLimit:
        """Read `to_dict`'s form."""
        return cls(**{**data, "direction": Direction(data["direction"])})


def parse_limits(texts: Sequence[str], description: Description) -> tuple[SessionLimit, ...]:
    """What is asked to be kept on a target.

    Raises:
        InvalidSession: a limit is not of the form, bounds what the target does not measure in its
            windows, has no finite bound, or contradicts or repeats another one.
    """
    limits = tuple(_parsed(text, description) for text in texts)
    for place, limit in enumerate(limits):
        for other in limits[:place]:
            if (other.name, other.direction) == (limit.name, limit.direction):
                raise InvalidSession(
                    f"limit {limit.text} is the second one of its kind beside {other.text}: "
                    "give the tighter of them alone"
                )
            if _contradict(limit, other):
                raise InvalidSession(
                    f"limits {other.text} and {limit.text} leave no value between them: move one"
                )
    return limits


def _parsed(text: str, description: Description) -> SessionLimit:
    found = _LIMIT.fullmatch(text)
    number = _number(found[3]) if found else None
    if found is None or number is None:
        first = description.objectives[0].name
        raise InvalidSession(
            f"limit {text!r} is not NAME<=NUMBER or NAME>=NUMBER: write, for example, "
            f"{first}>=100, or {first}>=0.9x for 0.9 times what the baseline has"
        )
    name, sign, _, relative = found.groups()
    if not math.isfinite(number):
        raise InvalidSession(f"limit {text!r} has the bound {number}: give a finite number")
    if relative and number <= 0:
        raise InvalidSession(
            f"limit {text!r} is {number:g} times the baseline's: give a number above 0 before x"
        )
    return SessionLimit(
        name=name,
        direction=_DIRECTIONS[sign],
        bound=None if relative else number,
        factor=number if relative else None,
        unit=_unit(name, description, text),
    )


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _unit(name: str, description: Description, text: str) -> str:
    """The unit of what is measured in windows under a name; a counter's is a rate."""
    units = {one.name: one.unit for one in description.objectives}
    for metric in description.metrics:
        unit = metric.unit
        if metric.kind is MetricKind.HISTOGRAM:
            quantile = name.removeprefix(metric.name)
            if quantile != name and _QUANTILE.fullmatch(quantile):
                units.setdefault(name, unit)
            continue
        units.setdefault(metric.name, f"{unit}/s" if metric.kind is MetricKind.COUNTER else unit)
    if name not in units:
        quantiles = [
            f"{metric.name}_pNN (its quantiles)"
            for metric in description.metrics
            if metric.kind is MetricKind.HISTOGRAM
        ]
        raise InvalidSession(
            f"limit {text!r} bounds {name}, which this target does not measure in its windows; it "
            f"measures: {', '.join([*units, *quantiles])}"
        )
    return units[name]


def _contradict(one: SessionLimit, other: SessionLimit) -> bool:
    if one.name != other.name:
        return False
    at_most, at_least = (one, other) if one.direction is Direction.MINIMISE else (other, one)
    for high, low in ((at_most.bound, at_least.bound), (at_most.factor, at_least.factor)):
        if high is not None and low is not None:
            return high < low
    return False
