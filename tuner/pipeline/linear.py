"""Models that are sums of coefficients times the functions of a basis, and draws of these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tuner.pipeline.arrays import Array
from tuner.pipeline.basis import Basis
from tuner.pipeline.draws import Draws
from tuner.space import Rows, SpaceEncoder

Pairs = tuple[tuple[int, int], ...]
"""Columns that act together."""


PAIR_MISFIT = 0.2
"""What two smooth functions of each knob miss of how two act together, as a share of what they
hold: nothing of a product, 0.8 of a corner that falls off a cliff."""


@dataclass(frozen=True)
class Terms:
    """Which functions a model has: all columns' alone, then those of some pairs."""

    basis: Basis
    pairs: Pairs = ()

    def features(self, rows: Rows) -> Array:
        """(n, n_functions)."""
        single = self.basis.single(rows)
        pairs = [self.basis.pair(single, one, other) for one, other in self.pairs]
        return np.hstack([np.zeros((len(rows), 0)), *single, *pairs])

    def weights(self) -> list[Array]:
        """Each part's functions' shares of what the part is expected to do."""
        alone = [column.weights for column in self.basis.columns]
        return alone + [self.basis.pair_weights(one, other) for one, other in self.pairs]

    def parts(self) -> Iterator[tuple[Sequence[int], slice]]:
        """The columns of each part of the model and the place of its functions."""
        start = 0
        columns = [(place,) for place in range(len(self.basis.columns))]
        for of, weights in zip([*columns, *self.pairs], self.weights(), strict=True):
            yield of, slice(start, start + len(weights))
            start += len(weights)


@dataclass(frozen=True)
class LinearDraws(Draws):
    """Draws of an intercept (n_draws,) and of coefficients (n_draws, n_functions)."""

    name: str
    words: str
    terms: Terms
    intercepts: Array
    coefficients: Array

    def predict(self, rows: Rows) -> Array:
        """As `Draws.predict`."""
        features = self.terms.features(rows)
        return np.asarray(self.intercepts[:, None] + self.coefficients @ features.T)

    def thinned(self, count: int) -> LinearDraws:
        """As `Draws.thinned`."""
        kept = np.unique(np.linspace(0, len(self.intercepts) - 1, count).astype(int))
        return replace(self, intercepts=self.intercepts[kept], coefficients=self.coefficients[kept])

    def roughness(self) -> Array:
        """As `Draws.roughness`."""
        squares = self.coefficients**2
        columns = self.terms.basis.columns
        result = np.zeros((len(squares), len(columns)))
        for of, part in self.terms.parts():
            held = squares[:, part]
            if len(of) == 1:
                result[:, of[0]] += held[:, held.shape[1] - columns[of[0]].rough :].sum(axis=1)
            elif any(columns[place].rough for place in of):
                result[:, list(of)] += PAIR_MISFIT * held.sum(axis=1, keepdims=True)
        return np.asarray(np.sqrt(result))

    def shares(self, encoder: SpaceEncoder, rng: np.random.Generator) -> Array:
        """As `Draws.shares`; exact, for the functions are uncorrelated."""
        squares = self.coefficients**2
        result = np.zeros((len(squares), len(self.terms.basis.columns)))
        for columns, part in self.terms.parts():
            result[:, list(columns)] += squares[:, part].sum(axis=1, keepdims=True)
        total = squares.sum(axis=1, keepdims=True)
        return np.asarray(np.divide(result, total, out=np.zeros_like(result), where=total > 0))
