"""What shares are when the objective is counted in its unit, and not by its logarithm.

Models work on the logarithm of a positive objective, where a difference is a percentage. Over a
wide range of values the two ways of counting differ in what each knob accounts for.
"""

from __future__ import annotations

import numpy as np

from targets.metrics import Direction
from tuner.pipeline.arrays import Array
from tuner.pipeline.effects import NEGLIGIBLE, Effects

DRAWS, POINTS = 24, 384
"""So many draws are compared, each at so many configurations a knob."""

WIDEST = 10.0
"""More factors of e than this between two values are cut off: no variance could be told."""


def unit_factors(effects: Effects, shares: Array, rng: np.random.Generator) -> Array:
    """(n_columns,): by what each knob's share is to be multiplied to be that of the objective
    itself; 1 where it is counted in its unit anyway, or the knob does nothing.

    Both shares are averaged over the same configurations (Jansen, 1999), so that what chance there
    is in these hardly touches their ratio.

    Args:
        shares: (n_draws, n_columns) of the logarithm.
    """
    factors = np.ones(effects.encoder.n_columns)
    if effects.draws is None or not effects.history.scale.logarithmic or not len(shares):
        return factors
    active = np.flatnonzero(shares.mean(axis=0) > NEGLIGIBLE)
    drawn = effects.encoder.from_unit(rng.random((2 * POINTS, effects.encoder.n_columns)))
    here, there = drawn[:POINTS], drawn[POINTS:]
    moved = np.repeat(here[None], len(active) + 1, axis=0)
    for place, column in enumerate(active.tolist(), start=1):
        moved[place, :, column] = there[:, column]
    costs = effects.draws.thinned(DRAWS).predict(moved.reshape(-1, here.shape[1]))
    logarithms = costs.reshape(len(costs), len(moved), POINTS) * effects.trials.scale
    # Costs of an objective to be maximised are its logarithm turned round.
    minimised = effects.history.scale.direction is Direction.MINIMISE
    centred = (1.0 if minimised else -1.0) * (logarithms - np.median(logarithms))
    amounts = np.exp(np.clip(centred, -WIDEST, WIDEST))
    ratios = _totals(amounts) / np.maximum(_totals(logarithms), 1e-12)
    factors[active] = np.where(ratios > 0.0, ratios, 1.0)
    return factors


def _totals(values: Array) -> Array:
    """(n_moved,): mean total effects, from (n_draws, 1 + n_moved, n_points)."""
    squares = 0.5 * ((values[:, 1:] - values[:, :1]) ** 2).mean(axis=(0, 2))
    return np.asarray(squares / np.maximum(values[:, 0].var(axis=1).mean(), 1e-300))
