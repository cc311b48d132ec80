"""Does a configuration keep a limit? Its windows' mean with a 95 % interval beside the bound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from scipy import stats

from tuner.limits import SessionLimit

CONFIDENCE = 0.95

LEAST_WINDOWS = 4
"""Two blocks of paired windows: with fewer nothing is called sure."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the windows say of one limited quantity. `low` to `high`: Student's t, two-sided 95 %;
    None of a single window."""

    limit: SessionLimit
    mean: float
    low: float | None
    high: float | None
    windows: int

    @classmethod
    def of(cls, limit: SessionLimit, values: Sequence[float]) -> Reading | None:
        """Of the windows' values; None of none."""
        if not values:
            return None
        mean, count = fmean(values), len(values)
        if count == 1:
            return cls(limit=limit, mean=mean, low=None, high=None, windows=1)
        quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1))
        half = quantile * stdev(values) / math.sqrt(count)
        return cls(limit=limit, mean=mean, low=mean - half, high=mean + half, windows=count)

    @property
    def broken(self) -> bool:
        """Whether the mean is beyond the bound."""
        return self.limit.broken_by(self.mean)

    @property
    def sure(self) -> bool:
        """Whether the whole interval is on the mean's side of the bound."""
        ends = (self.low, self.high)
        return self.windows >= LEAST_WINDOWS and all(
            end is not None and self.limit.broken_by(end) == self.broken for end in ends
        )

    @property
    def words(self) -> str:
        """The mean with its interval: 18.2 ms (95 % interval 17.9 to 18.5)."""
        told = self.limit.amount(self.mean)
        if self.low is None or self.high is None:
            return f"{told} (one window)"
        return f"{told} (95 % interval {self.low:.4g} to {self.high:.4g})"

    def to_dict(self) -> dict[str, Any]:
        """The report's form."""
        return {
            "value": self.mean,
            "ci95": None if self.low is None else [self.low, self.high],
            "windows": self.windows,
            "kept": not self.broken,
            "sure": self.sure,
        }


@dataclass(frozen=True, kw_only=True)
class Check:
    """One limit in the paired windows of the confirmation."""

    incumbent: Reading
    baseline: Reading | None

    @property
    def mends(self) -> bool:
        """Whether the incumbent keeps what the baseline surely breaks."""
        before = self.baseline
        return not self.incumbent.broken and before is not None and before.broken and before.sure

    @property
    def words(self) -> str:
        """Whether the limit is kept, in a sentence."""
        now, before = self.incumbent, self.baseline
        verb = "Breaks" if now.broken else "Keeps"
        doubt = "" if now.sure else ", which is not sure"
        other = ""
        if before is not None and before.broken:
            also = "also breaks it" if now.broken else "breaks it"
            other = f"; the baseline {also} with {before.words}"
        return f"{verb} {now.limit.text}: {now.words}{doubt}{other}."

    def to_dict(self) -> dict[str, Any]:
        """The report's form."""
        return {
            "limit": self.incumbent.limit.text,
            "incumbent": self.incumbent.to_dict(),
            "baseline": self.baseline.to_dict() if self.baseline else None,
        }
