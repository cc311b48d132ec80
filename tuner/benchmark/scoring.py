"""Scoring: normalised regret, by which tables of different systems can be told together.

0 is the best row of the table, 1 its median row; worse than the median is above 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from targets.metrics import Direction
from tuner.benchmark.errors import InvalidTable
from tuner.benchmark.tables import Table

LOGS_FROM = 3.0
"""Where the median row is so many times worse than the best, regret is taken on logarithms: on
the plain scale everything but the worst rows would look alike."""


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """How one table's values become regret."""

    best: float
    median: float
    logs: bool
    regrets: NDArray[np.float64]
    """(n_rows,) float64: each row's regret, NaN where it failed."""

    @classmethod
    def of(cls, table: Table) -> Scoring:
        """The scoring of a table.

        Raises:
            InvalidTable: the median row is as good as the best, so there is nothing to find.
        """
        measured = table.values[~np.isnan(table.values)]
        lowest = table.direction is Direction.MINIMISE
        best = float(measured.min() if lowest else measured.max())
        median = float(np.median(measured))
        if best == median:
            raise InvalidTable(
                f"table {table.name}: the median row is as good as the best ({best:g}), so "
                "regret has no scale; leave the table out"
            )
        better, worse = (best, median) if lowest else (median, best)
        logs = bool(measured.min() > 0) and worse >= LOGS_FROM * better
        values = np.log(table.values) if logs else table.values
        start, unit = (np.log(best), np.log(median)) if logs else (best, median)
        return cls(best=best, median=median, logs=logs, regrets=(values - start) / (unit - start))

    @property
    def worst(self) -> float:
        """The worst row's regret: what stands where nothing was measured yet."""
        return float(np.nanmax(self.regrets))
