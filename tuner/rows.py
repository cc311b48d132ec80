"""Rows told apart by the configurations they mean."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from tuner.space import Rows, SpaceEncoder


class RowSet:
    """A set of configurations, given and asked for as rows.

    Two rows count as one where they mean the same configuration. Rows that are canonical already
    (`SpaceEncoder.canonical_rows`) are told apart in a fraction of the time when that is said.
    """

    def __init__(self, encoder: SpaceEncoder) -> None:
        self._encoder = encoder
        self._keys: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, rows: Rows, *, canonical: bool = False) -> None:
        """Put rows in: (n, n_columns)."""
        self._keys.update(self._encoder.row_keys(rows, canonical=canonical))

    def copy(self) -> RowSet:
        """Another set of the same configurations."""
        other = RowSet(self._encoder)
        other._keys = set(self._keys)
        return other

    def joined(self, other: RowSet) -> RowSet:
        """A set of the configurations of both."""
        both = RowSet(self._encoder)
        both._keys = self._keys | other._keys
        return both

    def holds(self, rows: Rows, *, canonical: bool = False) -> NDArray[np.bool_]:
        """(n,): which rows are in."""
        keys = self._encoder.row_keys(rows, canonical=canonical)
        return np.array([key in self._keys for key in keys], bool)

    def fresh(self, rows: Rows, *, canonical: bool = False) -> NDArray[np.bool_]:
        """(n,): which rows are not in, and each the first of its kind among these."""
        fresh = []
        met: set[bytes] = set()
        for key in self._encoder.row_keys(rows, canonical=canonical):
            fresh.append(key not in self._keys and key not in met)
            met.add(key)
        return np.array(fresh, bool)


class NamedRowSet(RowSet):
    """One that also holds the configurations of some keys (`SpaceEncoder.key`)."""

    def __init__(self, encoder: SpaceEncoder, names: Collection[str]) -> None:
        super().__init__(encoder)
        self._names = names

    def copy(self) -> RowSet:
        """Another set of the same configurations."""
        other = NamedRowSet(self._encoder, self._names)
        other._keys = set(self._keys)
        return other

    def holds(self, rows: Rows, *, canonical: bool = False) -> NDArray[np.bool_]:
        """(n,): which rows are in."""
        return super().holds(rows, canonical=canonical) | self._named(rows)

    def fresh(self, rows: Rows, *, canonical: bool = False) -> NDArray[np.bool_]:
        """(n,): which rows are not in, and each the first of its kind among these."""
        fresh = super().fresh(rows, canonical=canonical)
        fresh[fresh] = ~self._named(rows[fresh])
        return fresh

    def _named(self, rows: Rows) -> NDArray[np.bool_]:
        if not self._names:
            return np.zeros(len(rows), bool)
        named = [self._encoder.key(one) in self._names for one in self._encoder.decode_many(rows)]
        return np.array(named, bool)
