"""Where good configurations lie thick: tree-structured Parzen estimators over rows.

Configurations are parted into the good and the rest; a new one is drawn from the density of the
good, of several that where it most exceeds the density of the rest. That ratio grows with expected
improvement (Bergstra, Bardenet, Bengio and Kegl, NeurIPS 2011). Kernels are products over all
columns, so that knobs that are good only together are drawn together; their widths and weights
follow Watanabe, arXiv 2304.11127.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from tuner.space import Rows
from tuner.surrogates.base import Vector

GOOD_SHARE = 0.1
MOST_GOOD = 25
"""The best tenth is good, and never more than this many."""

WIDTH = 0.2
"""A kernel's width at one observation, as a share of its column."""

FINEST = 100
"""A kernel is no narrower than its column over its number of kernels, or over this."""

FULL_WEIGHT = 25
"""The latest so many count fully; what is older the less, the older it is."""


@dataclass(frozen=True)
class Density:
    """A mixture of product kernels: one at each of n rows, and one that is flat.

    `levels` (n_columns,) is how many levels a categorical column has, 0 for an ordered one, where
    the kernel is a normal cut off at both ends. `weights` (n + 1,) add up to 1; the last is the
    flat kernel's.
    """

    rows: Rows
    levels: NDArray[np.int_]
    weights: Vector
    width: float

    @classmethod
    def of(cls, rows: Rows, levels: NDArray[np.int_]) -> Density:
        """The density of rows (n, n_columns), the oldest first; flat where there are none."""
        n, d = rows.shape
        latest = np.minimum(n, FULL_WEIGHT)
        weights = np.concatenate((np.linspace(1.0 / max(n, 1), 1.0, n - latest), np.ones(latest)))
        weights = np.append(weights, 1.0)
        width = max(WIDTH * max(n, 1) ** (-1.0 / (d + 4)), 1.0 / (1 + min(FINEST, n + 1)))
        return cls(rows, levels, weights / weights.sum(), width)

    def logarithm(self, rows: Rows) -> Vector:
        """(m,): the logarithm of the density at rows (m, n_columns)."""
        kernels = np.zeros((len(rows), len(self.rows)))
        ordered = self.levels == 0
        if ordered.any():
            apart = rows[:, None, ordered] - self.rows[None, :, ordered]
            # Of the part of a normal's mass that its column holds: what is cut off makes the rest
            # denser.
            mass = np.diff(self._ends(self.rows[:, ordered]), axis=0)[0]
            kernels -= 0.5 * ((apart / self.width) ** 2).sum(axis=2) + np.log(mass).sum(axis=1)
            kernels -= ordered.sum() * math.log(self.width * math.sqrt(2.0 * math.pi))
        for column in np.flatnonzero(self.levels):
            same = rows[:, [column]] == self.rows[:, column]
            spread = self._spread(int(self.levels[column]))
            kernels += np.log(np.where(same, 1.0 - spread, 0.0) + spread / self.levels[column])
        flat = np.full((len(rows), 1), -np.log(np.maximum(self.levels, 1)).sum())
        joined = np.hstack((kernels, flat)) + np.log(self.weights)
        top = joined.max(axis=1)
        return np.asarray(top + np.log(np.exp(joined - top[:, None]).sum(axis=1)))

    def draw(self, count: int, rng: np.random.Generator) -> Rows:
        """(count, n_columns): rows drawn from it, ordered columns anywhere between 0 and 1."""
        places = rng.choice(len(self.weights), size=count, p=self.weights)
        flat = places == len(self.rows)
        drawn = rng.random((count, len(self.levels)))
        levels = np.maximum(self.levels, 1)
        anywhere = np.where(self.levels == 0, drawn, np.floor(drawn * levels))
        if flat.all():
            return np.asarray(anywhere)
        origins = self.rows[np.where(flat, 0, places)]
        low, high = self._ends(origins)
        near = np.clip(origins + self.width * ndtri(low + drawn * (high - low)), 0.0, 1.0)
        stays = rng.random(drawn.shape) >= np.array([self._spread(int(n)) for n in levels])
        near = np.where(self.levels == 0, near, np.where(stays, origins, anywhere))
        return np.asarray(np.where(flat[:, None], anywhere, near))

    def _ends(self, rows: Rows) -> NDArray[np.float64]:
        """(2, n, n_columns): the normal's mass below 0 and below 1."""
        return np.stack((ndtr(-rows / self.width), ndtr((1.0 - rows) / self.width)))

    def _spread(self, levels: int) -> float:
        """The share of a categorical kernel that goes to all levels alike."""
        prior = levels / (len(self.rows) + 1.0)
        return prior / (1.0 + prior)


@dataclass(frozen=True)
class ParzenEstimator:
    """The densities of the good and of the rest."""

    good: Density
    rest: Density

    @classmethod
    def of(
        cls, rows: Rows, costs: Vector, levels: NDArray[np.int_], *, bad: Rows
    ) -> ParzenEstimator:
        """Of rows (n, n_columns) with their costs (n,), the oldest first.

        Args:
            bad: (m, n_columns) what has no cost and is no good: it failed, or is in flight.
        """
        count = min(math.ceil(GOOD_SHARE * len(rows)), MOST_GOOD)
        good = np.zeros(len(rows), bool)
        good[np.argsort(costs, kind="stable")[:count]] = True
        rest = np.vstack((bad, rows[~good]))
        return cls(Density.of(rows[good], levels), Density.of(rest, levels))

    def preference(self, rows: Rows) -> Vector:
        """(m,): how much likelier among the good than among the rest, as a logarithm."""
        return self.good.logarithm(rows) - self.rest.logarithm(rows)
