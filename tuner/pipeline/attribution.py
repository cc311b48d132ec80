"""What each changed knob contributes by the model, and what was measured of it.

A knob's contribution is what the objective gains when it is changed, averaged over the orders in
which the knobs may be changed: its Shapley value (Shapley, 1953; for the inputs of a function:
Owen, SIAM/ASA Journal on Uncertainty Quantification 2014), over sampled orders where there are many
(Castro, Gomez and Tejada, Computers and Operations Research 2009). Contributions add up to the
whole gain.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from tuner.pipeline.arrays import Array, Places
from tuner.pipeline.effects import Effects
from tuner.space import Rows

ALL_ORDERS, SAMPLED_ORDERS = 4, 16
"""Up to so many changed knobs all orders are taken; else so many, and their reverses."""

NEAR = 0.1
"""How near, on its axis, a tried value of an ordered knob counts as the new one."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What was measured of one change.

    `varied`: configurations measured with another value than the baseline's. `near`: measured at
    the new value or close to it. `alone`: pairs of measured configurations that differ in this
    knob only, the old and the new value (or close) in it.
    """

    varied: int
    near: int
    alone: int

    def __str__(self) -> str:
        if not self.near:
            return f"{self.varied} trials varied it, none near the new value: by the model only"
        times = "once" if self.alone == 1 else f"{self.alone} times"
        direct = f"{times} by itself" if self.alone else "never by itself"
        return f"{self.varied} trials varied it, {self.near} near the new value, {direct}"


def shapley_gains(effects: Effects, rows: Rows, changed: Places, rng: np.random.Generator) -> Array:
    """(n_draws, n_changed): each knob's Shapley value between the two rows, (2, n_columns)."""
    count = len(changed)
    if effects.draws is None or not count:
        return np.zeros((1, count))
    if count <= ALL_ORDERS:
        orders = np.array(list(itertools.permutations(range(count))))
    else:
        drawn = rng.permuted(np.tile(np.arange(count), (SAMPLED_ORDERS, 1)), axis=1)
        orders = np.vstack((drawn, drawn[:, ::-1]))
    steps = np.repeat(rows[:1], len(orders) * (count + 1), axis=0)
    steps = steps.reshape(len(orders), count + 1, -1)
    for path, order in zip(steps, orders, strict=True):
        for step, place in enumerate(order.tolist(), start=1):
            path[step:, changed[place]] = rows[1, changed[place]]
    costs = effects.draws.predict(steps.reshape(-1, rows.shape[1]))
    falls = -np.diff(costs.reshape(len(costs), len(orders), count + 1), axis=2)
    result = np.zeros((len(costs), count))
    for place in range(count):
        result[:, place] = falls[:, orders == place].mean(axis=1)
    # What the model is too smooth for may stand at both ends of a change.
    missed = np.sqrt(2.0) * effects.draws.roughness()[:, changed]
    result += missed * rng.standard_normal(result.shape)
    return result * effects.trials.scale


def evidence_of(effects: Effects, rows: Rows, column: int) -> Evidence:
    """What was measured of changing one column from the first row to the second."""
    tried = effects.history.rows
    old, new = rows[:, column]
    places = tried[:, column]
    reach = 0.0 if effects.encoder.levels[column] else min(NEAR, abs(new - old) / 2.0)
    at_new = np.isclose(places, new, rtol=0.0, atol=reach + 1e-9)
    at_old = np.isclose(places, old, rtol=0.0, atol=reach + 1e-9)
    others = np.delete(tried, column, axis=1)
    pairs: dict[bytes, list[int]] = {}
    for rest, is_old, is_new in zip(others, at_old.tolist(), at_new.tolist(), strict=True):
        counts = pairs.setdefault(rest.tobytes(), [0, 0])
        counts[0] += is_old
        counts[1] += is_new
    return Evidence(
        varied=int((places != old).sum()),
        near=int(at_new.sum()),
        alone=sum(of_old * of_new for of_old, of_new in pairs.values()),
    )
