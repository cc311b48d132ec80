"""Limits as modelled quantities: how likely a configuration keeps a bound.

Whether a limit was kept says little, by how much says a lot: long before one was broken, what it
bounds tells where that will be. So each limit's quantity has a Gaussian process of its own, and the
chance to keep the bound is the share of its distribution on the good side (Gardner et al., ICML
2014; Gelbart, Snoek and Adams, UAI 2014).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr

from tuner.history import History
from tuner.space import Rows
from tuner.surrogates.base import Vector
from tuner.surrogates.gaussian_process import GaussianProcess

LEAST_KNOWN = 3
"""With fewer values a limit's quantity is not modelled."""

LARGEST_FIT = 150
"""A process is fitted to at most this many values: half of them the nearest to the bound."""

FARTHEST = 3.0
"""Typical distances from the bound beyond which values count as equally far: what matters lies
around it, and one of a thousand bounds would drown that."""

NOISE = 0.05
"""The share of the variance that noise is expected to make up; the fit moves it."""


@dataclass(frozen=True, kw_only=True)
class LimitModel:
    """What one limit bounds, relative to the bound: above 0 breaks it.

    The process speaks of `(excess - middle) / scale`, excess as `History.excess` has it.
    """

    place: int
    process: GaussianProcess
    middle: float
    scale: float

    @classmethod
    def fit(cls, history: History, place: int) -> LimitModel | None:
        """Of the limit in that place of the problem's; None while too little of it is known."""
        rows, excess, counts = history.beyond(place)
        if len(excess) < LEAST_KNOWN:
            return None
        if len(excess) > LARGEST_FIT:
            nearest = np.argsort(np.abs(excess), kind="stable")[: LARGEST_FIT // 2]
            latest = np.setdiff1d(np.arange(len(excess)), nearest)[len(nearest) - LARGEST_FIT :]
            kept = np.concatenate((nearest, latest))
            rows, excess, counts = rows[kept], excess[kept], counts[kept]
        clipped = np.clip(excess, -FARTHEST, FARTHEST)
        middle, scale = float(clipped.mean()), float(clipped.std()) or 1.0
        process = GaussianProcess.fit(
            rows,
            (clipped - middle) / scale,
            levels=history.encoder.levels,
            counts=counts,
            noise=NOISE,
        )
        return cls(place=place, process=process, middle=middle, scale=scale)

    def log_chance(self, rows: Rows) -> Vector:
        """(m,): the logarithm of the chance to keep the bound at `rows` (m, n_columns)."""
        mean, sd = self.process.predict(rows)
        return np.asarray(log_ndtr(-(self.middle + self.scale * mean) / (self.scale * sd)))
