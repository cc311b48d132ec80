"""Mending rows that break constraints."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from targets.knobs import Configuration, Value
from tuner.space import Rows, SpaceEncoder

REPAIR_STEPS = 200
"""Changes of one knob before a repair is given up ..."""

PATIENCE = 20
"""... or so many after the last that left fewer constraints broken than ever before."""

WALKERS = 8
"""Repairs of one configuration tried side by side, in about the time of one."""

REPAIR_TRIES = 16
"""Values tried for the knob that a repair changes."""


def repair(
    encoder: SpaceEncoder, configuration: Configuration, rng: np.random.Generator
) -> dict[str, Value] | None:
    """A feasible configuration near a given one; None when none was found.

    One that is feasible comes back as it is, with the pins put in, in canonical form.
    """
    current = encoder.pinned(configuration)
    if not encoder.broken(current):
        return current
    mended = repaired_row(encoder, encoder.encode(current), rng)
    return None if mended is None else encoder.decode(mended)


def repaired_row(
    encoder: SpaceEncoder, row: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64] | None:
    """(n_columns,): the same for a configuration as a row, as a canonical row."""
    walkers = np.repeat(row[None, :], WALKERS, axis=0)
    mended = repaired_rows(encoder, walkers, rng, enough=1)
    return mended[0] if len(mended) else None


def repaired_rows(
    encoder: SpaceEncoder, rows: Rows, rng: np.random.Generator, *, enough: int | None = None
) -> Rows:
    """(m, n_columns): feasible canonical rows near given ones, without those not to be mended.

    As WalkSAT does (Selman, Kautz and Cohen, AAAI 1994): pick a broken constraint, then a knob
    that can mend it, and give that the value, of a few drawn, that leaves least broken.

    Args:
        enough: how many suffice, where that is fewer than all.
    """
    current = encoder.canonical_rows(rows)
    levers = _levers(encoder)
    mended = np.zeros(len(current), bool)
    least = np.full(len(current), len(levers) + 1)
    latest = np.zeros(len(current), int)
    hopeful = np.arange(len(current))
    for step in range(REPAIR_STEPS):
        broken = encoder.breaches(current[hopeful])
        count = broken.sum(axis=1)
        latest[hopeful[count < least[hopeful]]] = step
        least[hopeful] = np.minimum(least[hopeful], count)
        mended[hopeful] = count == 0
        going_on = (count > 0) & (step - latest[hopeful] < PATIENCE)
        broken, hopeful = broken[going_on], hopeful[going_on]
        rule = _one_of(broken, rng)
        movable = levers[rule].any(axis=1)
        hopeful, rule = hopeful[movable], rule[movable]
        if not len(hopeful) or mended.sum() >= (enough or len(rows)):
            break
        lever = _one_of(levers[rule], rng)
        current[hopeful] = _moved(encoder, current[hopeful], lever, rng)
    return np.asarray(current[mended])


def _levers(encoder: SpaceEncoder) -> NDArray[np.bool_]:
    """(n_constraints, n_columns): which columns can mend which constraint."""
    mending = [set(encoder.levers(rule)) for rule in encoder.rules]
    mends = [[name in levers for name in encoder.axes] for levers in mending]
    return np.array(mends, bool).reshape(len(encoder.rules), encoder.n_columns)


def _one_of(choices: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int_]:
    """(n,): for each line of (n, m) the place of one that is true, drawn evenly."""
    if not choices.size:
        return np.zeros(len(choices), int)
    return np.asarray(np.argmax(choices * (1.0 - rng.random(choices.shape)), axis=1))


def _moved(
    encoder: SpaceEncoder, rows: Rows, lever: NDArray[np.int_], rng: np.random.Generator
) -> Rows:
    """The rows with one column each set to the value, of a few drawn, that leaves least broken."""
    tries = np.repeat(rows, REPAIR_TRIES, axis=0)
    moved = np.repeat(lever, REPAIR_TRIES)
    axes = list(encoder.axes.values())
    for column in np.unique(lever).tolist():
        lines = np.flatnonzero(moved == column)
        drawn = axes[column].from_unit(rng.random(len(lines)))
        tries[lines, column] = axes[column].snapped(drawn)
    tries = encoder.settled(tries)
    broken = encoder.breaches(tries).sum(axis=1).reshape(-1, REPAIR_TRIES)
    best = np.arange(len(rows)) * REPAIR_TRIES + broken.argmin(axis=1)
    return np.asarray(tries[best])
