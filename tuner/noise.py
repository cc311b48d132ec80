"""How far measurements scatter, and how much of a difference is to be believed.

Everything here is on the cost axis (`tuner.history.CostScale`): logarithms of a positive
objective, so that a standard deviation of 0.1 means about 10 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PRIOR_SD = 0.10
"""Scatter assumed before a repeat was seen. Windows of 3 to 10 s of PostgreSQL and RocksDB on a
shared two-CPU virtual machine had coefficients of variation of 8 to 14 %."""

PRIOR_DEGREES = 2.0
"""How many degrees of freedom the assumption weighs; three windows of one configuration give as
many."""

LEAST_SIGNAL = 0.25
"""Configurations are taken to differ by at least this share of the error's variance: where noise
hides every difference, order is kept and only few windows are pulled hard to the middle."""

_MAD_TO_SD = 1.4826  # of a normal distribution


@dataclass(frozen=True, kw_only=True)
class Noise:
    """The standard deviation of one window around its configuration's mean.

    `degrees`: how many degrees of freedom the measured repeats gave; 0 leaves the assumption.
    """

    sd: float
    degrees: int

    @property
    def source(self) -> str:
        """Where the figure comes from, in words."""
        if self.sd == 0.0:
            return "repeats agree to the last digit" if self.degrees else "it is deterministic"
        if self.degrees == 0:
            return f"assumed {self.sd:.2g}: nothing was measured twice yet"
        return f"{self.sd:.2g}, pooled from repeats with {self.degrees} degrees of freedom"


def estimate_noise(
    groups: Sequence[NDArray[np.float64]], *, deterministic: bool, prior_sd: float = PRIOR_SD
) -> Noise:
    """Pool the scatter within configurations, and lean on the assumption while there is little.

    Repeats that agree to the last digit have no noise that could be seen.

    Args:
        groups: each configuration's costs, one a window.
        prior_sd: the scatter to assume, on the same axis.
    """
    if deterministic:
        return Noise(sd=0.0, degrees=0)
    squares = sum(float(((costs - costs.mean()) ** 2).sum()) for costs in groups if len(costs) > 1)
    degrees = sum(len(costs) - 1 for costs in groups if len(costs) > 1)
    if degrees and not any(np.ptp(costs) for costs in groups):
        return Noise(sd=0.0, degrees=degrees)
    variance = (squares + PRIOR_DEGREES * prior_sd**2) / (degrees + PRIOR_DEGREES)
    return Noise(sd=math.sqrt(variance), degrees=degrees)


def shrink(
    means: NDArray[np.float64], counts: NDArray[np.float64], noise: Noise
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each configuration's posterior mean and standard deviation: (n,), (n,).

    Normal empirical Bayes (Efron and Morris, JASA 1975): means are drawn towards the middle of
    all, the more so the fewer windows they rest on. Middle and spread are the median and the
    median absolute deviation, for a few dreadful configurations must not vouch for a lucky one.
    """
    error = noise.sd**2 / counts
    middle = float(np.median(means))
    spread = (_MAD_TO_SD * float(np.median(np.abs(means - middle)))) ** 2
    between = max(spread - float(error.mean()), LEAST_SIGNAL * float(error.mean()))
    weight = np.divide(between, between + error, out=np.ones_like(means), where=error > 0)
    return middle + weight * (means - middle), np.sqrt(weight * error)
