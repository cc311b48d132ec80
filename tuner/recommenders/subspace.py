"""Searching a wide space a few knobs at a time: those that seem to matter, and some by lot.

Of many knobs few decide, and a search that moves all of them at once learns little and loses what
it had. So in a wide space the best configuration is varied in some knobs only: the ones over which
the model's mean ranges widest, which are ranked anew each time, and a few drawn by lot, which is
how a knob that was misjudged gets another hearing. While trials bring no gain the set doubles,
until it is the whole space; a gain makes it small again. (Screening as in SARD, Kanellis et al.,
HotStorage 2020, and OtterTune, Van Aken et al., SIGMOD 2017, whose number of knobs grows with the
session; a knob's chance to move falls with their number as in Regis and Shoemaker, Engineering
Optimization 2013.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuner.history import History
from tuner.sampling import neighbour_rows
from tuner.space import Rows, SpaceEncoder
from tuner.surrogates.base import Predictor, Vector

WIDE = 20
"""A space of more free knobs than this is searched in part."""

FIRST = 10
"""How many of the knobs that seem to matter are varied at first."""

PATIENCE = 10
"""After so many measured configurations without a gain the set doubles."""

LOTS = 5
"""How many further knobs are drawn by lot."""

PROBED = np.linspace(0.02, 0.98, 6)
"""Where an ordered column is looked at to see how far the model's mean ranges over it."""

MOST_LEVELS = 8
"""Levels of a category looked at for that."""

ORIGINS = 3
"""How many of the best configurations are varied."""

SHORT_STEP = 0.15
"""Standard deviation of half of the moves along an ordered column; the others go anywhere."""


@dataclass(frozen=True, kw_only=True)
class Subspace:
    """The columns that are varied: a mask (n_columns,), `lots` of them drawn by lot.

    Where they are all, there is nothing to say about it (`words` is empty).
    """

    columns: NDArray[np.bool_]
    lots: int

    @classmethod
    def of(cls, history: History, model: Predictor, rng: np.random.Generator) -> Subspace | None:
        """What to vary next; None in a space that is not wide."""
        width = history.encoder.n_columns
        if width <= WIDE:
            return None
        count = FIRST << min(unchanged(history) // PATIENCE, width.bit_length())
        if count + LOTS >= width:
            return cls(columns=np.ones(width, bool), lots=0)
        order = np.argsort(-ranges(history, model), kind="stable")
        columns = np.zeros(width, bool)
        columns[order[:count]] = True
        columns[rng.choice(order[count:], size=LOTS, replace=False)] = True
        return cls(columns=columns, lots=LOTS)

    @property
    def words(self) -> str:
        """What was searched, as a sentence to begin with; empty where it was all."""
        count = int(self.columns.sum())
        if count == len(self.columns):
            return ""
        return (
            f"Searched {count} of {len(self.columns)} knobs: those that mattered most so far "
            f"and {self.lots} drawn by lot. "
        )

    def candidates(self, history: History, rng: np.random.Generator, *, count: int) -> Rows:
        """(n, n_columns): up to `count` variations of the best, and their neighbours; all new."""
        encoder, known = history.encoder, history.seen_rows
        best = history.rows[history.ranking[:ORIGINS]]
        rows = encoder.canonical_rows(self._varied(encoder, best, rng, count=count))
        rows = rows[~encoder.breaches(rows).any(axis=1)]
        pool = [rows[known.fresh(rows, canonical=True)]]
        for row in best:
            pool.append(neighbour_rows(encoder, row, avoid=known, columns=self.columns))
        return np.vstack(pool)

    def _varied(
        self, encoder: SpaceEncoder, best: Rows, rng: np.random.Generator, *, count: int
    ) -> Rows:
        """(count, n_columns): half of them anywhere in the subspace of the best, half with some of
        its columns moved, mostly few; they may break constraints."""
        origins = best[np.where(np.arange(count) % 2, rng.integers(len(best), size=count), 0)]
        chance = np.where(np.arange(count) % 2, rng.random(count) ** 2, 1.0)
        moved = (rng.random(origins.shape) < chance[:, None]) & self.columns
        moved[np.arange(count), rng.choice(np.flatnonzero(self.columns), size=count)] = True
        anywhere = encoder.from_unit(rng.random(origins.shape))
        short = np.clip(origins + SHORT_STEP * rng.standard_normal(origins.shape), 0.0, 1.0)
        far = (rng.random(origins.shape) < 0.5) | (encoder.levels > 0)
        return np.where(moved, np.where(far, anywhere, short), origins)


def unchanged(history: History) -> int:
    """How many configurations were measured since the best one."""
    costs = np.where(history.acceptable, history.costs, np.inf)
    return len(costs) - 1 - int(costs.argmin())


def ranges(history: History, model: Predictor) -> Vector:
    """(n_columns,): how far the model's mean ranges over each column, from the best on."""
    encoder = history.encoder
    best = history.rows[history.ranking[0]]
    places = [
        np.arange(min(levels, MOST_LEVELS)) if levels else PROBED
        for levels in encoder.levels.tolist()
    ]
    columns = np.repeat(np.arange(len(places)), [len(one) for one in places])
    rows = np.tile(best, (len(columns), 1))
    rows[np.arange(len(columns)), columns] = np.concatenate(places)
    mean, _ = model.predict(rows)
    starts = np.flatnonzero(np.diff(columns, prepend=-1))
    return np.asarray(np.maximum.reduceat(mean, starts) - np.minimum.reduceat(mean, starts))
