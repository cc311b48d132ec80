"""Functions of single knobs, and of two knobs together, to build a model of the objective from.

Over configurations drawn evenly from the space all of them have mean 0 and variance 1 and are
uncorrelated, so that the variance a knob accounts for is a sum of squared coefficients (Sobol's
decomposition; Sudret, Reliability Engineering and System Safety 2008).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tuner.axes import SPECIAL_SHARE
from tuner.pipeline.arrays import Array
from tuner.space import Rows, SpaceEncoder

GRID = 60
"""Even places of an axis over which its functions are uncorrelated."""

DEGREE, DEGREE_OF_MANY, MANY_COLUMNS = 7, 3, 80
"""Highest power of an ordered knob: 7 follows a step to within 7 % of its variance; spaces of more
columns than `MANY_COLUMNS` have too few trials a knob to see more than a cubic."""

SMOOTH, SMOOTH_LEVELS = 2, 5
"""How many functions of an ordered and of a categorical column act together with another's."""


@dataclass(frozen=True)
class ColumnBasis:
    """The functions of one column, the smoothest first.

    Attributes:
        levels: how many a categorical column has, 0 for an ordered one.
        special: places of an ordered column's special values; each has a function of its own.
        centre: (n_raw,) means of the raw functions.
        mixing: (n_raw, n_functions) from centred raw functions to uncorrelated ones.
        weights: (n_functions,) each one's share of what the column is expected to do.
        rough: how many of the functions, the last ones, tell how much the missing rougher ones
            would do: of a step, the upper half of seven powers holds 7 % of the variance, and so
            does all beyond them. 0 where none is missing.
    """

    levels: int
    degree: int
    special: tuple[float, ...]
    centre: Array
    mixing: Array
    weights: Array
    rough: int

    @classmethod
    def of(cls, encoder: SpaceEncoder, place: int, *, degree: int) -> ColumnBasis:
        """Uncorrelated over the column's values, drawn evenly."""
        column, levels = encoder.columns[place], int(encoder.levels[place])
        axis = encoder.axes[column.knob]
        special = [] if levels else [axis.position(one) for one in axis.knob.special_values]
        if levels:
            grid = np.arange(levels, dtype=float)
        elif column.even and column.count <= GRID:
            grid = (np.arange(column.count) + 0.5) / column.count
        else:
            grid = (np.arange(GRID) + 0.5) / GRID
            slots = np.floor(grid / SPECIAL_SHARE * len(special))
            for slot, at in enumerate(special):
                grid[slots == slot] = at
        orders = np.ones(levels - 1) if levels else _orders(degree, len(special))
        bare = cls(levels, degree, tuple(special), np.zeros(0), np.zeros((0, 0)), orders, 0)
        raw = bare._raw(grid)
        centre = raw.mean(axis=0)
        # QR clears each function of those before it, as Gram and Schmidt do.
        _, upper = np.linalg.qr((raw - centre) / np.sqrt(len(grid)))
        new = np.flatnonzero(np.abs(np.diag(upper)) > 1e-4)
        mixing = np.zeros((raw.shape[1], len(new)))
        mixing[new] = np.linalg.inv(upper[np.ix_(new, new)])
        weights = 1.0 / orders[new]
        missing = len(new) < len(np.unique(grid)) - 1
        return cls(
            levels,
            degree,
            tuple(special),
            centre,
            mixing,
            weights / weights.sum(),
            rough=degree // 2 if missing else 0,
        )

    def functions(self, column: Array) -> Array:
        """(n, n_functions) at the places of one column, (n,)."""
        return np.asarray((self._raw(column) - self.centre) @ self.mixing)

    @property
    def smooth(self) -> int:
        """How many of the functions act together with another column's."""
        return min(len(self.weights), SMOOTH_LEVELS if self.levels else SMOOTH)

    def _raw(self, column: Array) -> Array:
        if self.levels:
            return np.asarray(column[:, None] == np.arange(1, self.levels), float)
        special = np.isclose(column[:, None], self.special, atol=1e-6)
        powers = np.polynomial.legendre.legvander(2.0 * column - 1.0, self.degree)[:, 1:]
        return np.hstack((powers[:, :1], special, powers[:, 1:]))


@dataclass(frozen=True)
class Basis:
    """The functions of every column of a space."""

    columns: tuple[ColumnBasis, ...]

    @classmethod
    def of(cls, encoder: SpaceEncoder) -> Basis:
        """Of a space's free knobs."""
        degree = DEGREE if encoder.n_columns <= MANY_COLUMNS else DEGREE_OF_MANY
        places = range(encoder.n_columns)
        return cls(tuple(ColumnBasis.of(encoder, place, degree=degree) for place in places))

    def single(self, rows: Rows) -> list[Array]:
        """Every column's functions at `rows`, each (n, n_functions)."""
        return [basis.functions(rows[:, place]) for place, basis in enumerate(self.columns)]

    def pair(self, single: Sequence[Array], one: int, other: int) -> Array:
        """(n, n_functions): products of the smoothest functions of two columns."""
        left = single[one][:, : self.columns[one].smooth]
        right = single[other][:, : self.columns[other].smooth]
        return np.asarray((left[:, :, None] * right[:, None, :]).reshape(len(left), -1))

    def pair_weights(self, one: int, other: int) -> Array:
        """(n_functions,): each product's share of what the pair is expected to do."""
        left, right = (self.columns[place] for place in (one, other))
        weights = np.outer(left.weights[: left.smooth], right.weights[: right.smooth]).ravel()
        return np.asarray(weights / weights.sum())


def _orders(degree: int, special: int) -> Array:
    """How rough each raw function is: the line, special values, then powers from the second."""
    return np.concatenate(([1.0], np.ones(special), np.arange(2.0, degree + 1.0)))
