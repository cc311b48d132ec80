"""Snapping: which measured row answers for a configuration that was never measured.

Distance is the mean over parameters of: 0 or 1 for a categorical, the difference of levels over
(levels - 1) for an ordinal, the difference over the range for a number.
"""

from __future__ import annotations

import numpy as np

from tuner.benchmark.parameters import ParameterType
from tuner.benchmark.tables import Point, Table

DIGITS = 12
"""Distances equal to so many decimals are a tie; sums in another order differ beyond."""


class Snapper:
    """Finds the nearest row of one table; of several as near, the first."""

    def __init__(self, table: Table) -> None:
        self._rows = table.rows
        self._exact = {row.tobytes(): at for at, row in enumerate(table.rows)}
        self._categorical = np.array(
            [one.type is ParameterType.CATEGORICAL for one in table.parameters]
        )
        spans = [
            max(1, len(one.values) - 1) if one.type.has_levels else one.high - one.low
            for one in table.parameters
        ]
        self._weights = np.where(self._categorical, 1.0, 1.0 / np.array(spans, dtype=float))

    def row(self, point: Point) -> int:
        """The place of the nearest row."""
        place = self._exact.get(point.tobytes())
        return self.nearest(point) if place is None else place

    def nearest(self, point: Point) -> int:
        """The same by distance alone."""
        apart = np.abs(self._rows - point)
        apart[:, self._categorical] = apart[:, self._categorical] != 0
        return int(np.argmin(np.round((apart * self._weights).mean(axis=1), DIGITS)))
