"""What a model of cost must answer, and the scale it is fitted on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tuner.space import Rows

Vector = NDArray[np.float64]
"""(n,) float64."""

WORST_SDS = 3.0
"""Costs this many scales above the median are all taken as equally bad: by how much does not
matter to the search, and would drown the differences between good ones."""


class Surrogate(Protocol):
    """A fitted model of the mean cost that repeated windows tend to; less is better."""

    def predict(self, rows: Rows) -> tuple[Vector, Vector]:
        """Mean and standard deviation at `rows` (m, n_columns): (m,), (m,), on its own scale."""


class Predictor(Protocol):
    """A model that speaks in costs."""

    def predict(self, rows: Rows) -> tuple[Vector, Vector]:
        """Mean cost and its standard deviation at `rows` (m, n_columns): (m,), (m,)."""


@dataclass(frozen=True, kw_only=True)
class Standard:
    """Costs moved and stretched to targets of mean 0 and variance 1, the dreadful ones clipped."""

    ceiling: float
    middle: float
    scale: float

    @classmethod
    def of(cls, costs: Vector) -> Standard:
        """Fitted to costs (n,)."""
        median = float(np.median(costs))
        better = median - costs[costs <= median]
        half = float(np.sqrt((better**2).mean()))
        clipped = np.minimum(costs, median + WORST_SDS * half) if half else costs
        # Equal costs have no scale of their own; any will do, for all targets are 0.
        return cls(
            ceiling=float(clipped.max()),
            middle=float(clipped.mean()),
            scale=float(clipped.std()) or 1.0,
        )

    def targets(self, costs: Vector) -> Vector:
        """(n,): what a model is fitted to."""
        return (np.minimum(costs, self.ceiling) - self.middle) / self.scale

    def costs(self, targets: NDArray[np.float64]) -> NDArray[np.float64]:
        """Targets, of any shape, as costs."""
        return self.middle + self.scale * targets


@dataclass(frozen=True, kw_only=True)
class CostModel:
    """A surrogate that speaks in costs."""

    surrogate: Surrogate
    standard: Standard

    def predict(self, rows: Rows) -> tuple[Vector, Vector]:
        """Mean cost and its standard deviation at `rows`: (m,), (m,)."""
        mean, sd = self.surrogate.predict(rows)
        return self.standard.costs(mean), self.standard.scale * sd
