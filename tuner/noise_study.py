"""The noise study each session begins with: how far windows of one configuration scatter and
drift, and what it takes to tell a difference.

The baseline is measured in a row. Windows that are neighbours in time share the drift, so pairs of
neighbours scatter less than windows far apart (on a busy two-core machine 0.34 to 0.45 of the
variance was seen): what is compared is measured in pairs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from targets.metrics import Objective
from tuner.confirmation import MINIMUM_PAIRS, PAIRS_PER_BLOCK, duration
from tuner.looks import ERROR
from tuner.noise import PRIOR_DEGREES, PRIOR_SD

EFFECT = 0.05
"""The difference that a confirmation is planned to tell, where nothing else was asked for."""

POWER = 0.8
"""With that probability."""

MOST_PAIRS = 60
"""What is planned at most unasked: a confirmation must not outlast the search by much."""


@dataclass(frozen=True, kw_only=True)
class NoiseStudy:
    """What a row of windows of the baseline says.

    Standard deviations are of logarithms, so that 0.1 is about 10 %: `scatter` of one window around
    the mean of all, `pair_scatter` of the ratio of two neighbours. Both lean on what is usual
    (`tuner.noise.PRIOR_SD`) while windows are few. `moved` is by how much the level changed from
    the first to the last window, by a straight line; None unless that can be told from scatter.
    """

    windows: int
    window_seconds: float
    scatter: float
    pair_scatter: float
    moved: float | None

    @classmethod
    def of(
        cls, objective: Objective, values: Sequence[float], *, window_seconds: float
    ) -> NoiseStudy | None:
        """Of the baseline's windows in order; None where fewer than two say anything, or a value
        is zero or below, of which no ratio can be taken."""
        if len(values) < 2 or min(values) <= 0:
            return None
        logs = np.log(values)
        if objective.deterministic or np.ptp(logs) == 0.0:
            return cls(
                windows=len(values),
                window_seconds=window_seconds,
                scatter=0.0,
                pair_scatter=0.0,
                moved=None,
            )
        steps = np.diff(logs)
        return cls(
            windows=len(values),
            window_seconds=window_seconds,
            scatter=_leaning(float(((logs - logs.mean()) ** 2).sum()), len(logs) - 1, PRIOR_SD),
            # Successive differences (von Neumann, 1941): n - 1 of them have about 2 (n - 1) / 3
            # degrees of freedom, for neighbouring ones share a window.
            pair_scatter=_leaning(
                float((steps**2).mean()) * len(steps) * 2 / 3,
                len(steps) * 2 / 3,
                math.sqrt(2) * PRIOR_SD,
            ),
            moved=_moved(logs),
        )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return asdict(self)

    def pairs_for(self, effect: float) -> int:
        """How many pairs tell a relative difference of `effect` with probability `POWER`: a whole
        number of blocks, `MINIMUM_PAIRS` at least."""
        quantiles = float(stats.norm.isf(ERROR / 2) + stats.norm.ppf(POWER))
        wanted = (quantiles * self.pair_scatter / math.log1p(effect)) ** 2
        blocks = math.ceil(max(wanted, MINIMUM_PAIRS) / PAIRS_PER_BLOCK)
        return blocks * PAIRS_PER_BLOCK

    def planned_pairs(self) -> int:
        """How many pairs a confirmation may take where nobody said how many."""
        return min(MOST_PAIRS, self.pairs_for(EFFECT))

    def words(self) -> str:
        """For the user: what was seen, and what it means."""
        if self.scatter == 0.0:
            return (
                f"{self.windows} windows of the baseline agree to the last digit: every difference "
                f"can be told in {MINIMUM_PAIRS} pairs."
            )
        pairs = self.pairs_for(EFFECT)
        seconds = 2 * pairs * self.window_seconds
        drift = (
            "" if self.moved is None else f", and the level moved by {self.moved:+.0%} meanwhile"
        )
        return (
            f"{self.windows} windows of {self.window_seconds:g} s scatter by {self.scatter:.1%}"
            f"{drift}; the ratio of two neighbours by {self.pair_scatter:.1%}. A difference of "
            f"{EFFECT:.0%} takes about {pairs} pairs to tell, {duration(seconds)} of measuring."
        )


def _leaning(squares: float, degrees: float, usual: float) -> float:
    """A standard deviation; while there is little to go by, it leans on the usual one."""
    return math.sqrt((squares + PRIOR_DEGREES * usual**2) / (degrees + PRIOR_DEGREES))


def _moved(logs: np.ndarray) -> float | None:
    if len(logs) < 4:
        return None
    line = stats.linregress(np.arange(len(logs)), logs)
    if not line.pvalue < 0.05:
        return None
    return math.expm1(float(line.slope) * (len(logs) - 1))
