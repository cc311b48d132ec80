"""Climbing a score in a space of many knobs: the steps that help are taken together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tuner.history import History
from tuner.sampling import neighbour_rows
from tuner.space import Rows
from tuner.surrogates.base import Vector

MOST_CLIMBS = 8
"""Where a model adds up what knobs do, two or three are enough."""


def climbed(
    history: History,
    scores: Callable[[Rows], Vector],
    row: NDArray[np.float64],
    *,
    columns: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """(n_columns,): the feasible new row at the end of an ascent from another.

    Each round scores every step of one column and then the best, the two best, the four best, ...
    of different columns at once: one by one, as many columns would take as many rounds.

    Args:
        columns: (n_columns,) which may be stepped along.
    """
    encoder, known = history.encoder, history.seen_rows
    [score] = scores(row[None, :])
    for _ in range(MOST_CLIMBS):
        near = neighbour_rows(encoder, row, avoid=known, columns=columns)
        gained = scores(near) if len(near) else np.empty(0)
        order = np.argsort(-gained, kind="stable")
        order = order[gained[order] > score]
        if not len(order):
            break
        joined = encoder.canonical_rows(_joined(row, near[order]))
        joined = joined[~encoder.breaches(joined).any(axis=1)]
        joined = np.vstack((near[order[:1]], joined[known.fresh(joined, canonical=True)]))
        found = scores(joined)
        row, score = joined[int(found.argmax())], found.max()
    return row


def _joined(row: NDArray[np.float64], steps: Rows) -> Rows:
    """(m, n_columns): the first 2, 4, 8, ... of the steps, and all, in one; the first step of each
    column counts."""
    moved = steps != row
    _, first = np.unique(moved.argmax(axis=1), return_index=True)
    steps, moved = steps[np.sort(first)], moved[np.sort(first)]
    joined, result = row.copy(), []
    for count, (step, own) in enumerate(zip(steps, moved, strict=True), start=1):
        joined[own] = step[own]
        if count & (count - 1) == 0 or count == len(steps):
            result.append(joined.copy())
    return np.array(result)
