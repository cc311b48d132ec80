"""How likely two fingerprints are the same workload's.

Every known workload is weighed against the target twice: as the same workload, whose metrics differ
by scatter and load alone, and as another one, at any distance. The logarithm of the ratio of these
two likelihoods is the workload's *score*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from tuner.pipeline.arrays import Array
from tuner.pipeline.fingerprint import DRIFT, Fingerprint, Yardstick
from tuner.pipeline.load import best_shift

DISTANCES = (0.12, 0.2, 0.35, 0.6, 1.0, 1.8)
"""How far another workload may lie, in units of the usual distance between two."""

FACTORS = 2.0
"""Hidden factors that workloads differ in, at least: the chance of another one within a distance
falls with that power of it."""


@dataclass(frozen=True)
class Weighed:
    """Of each known workload, (n_known,): its score, the log ratio of loads, the root mean square
    in standard deviations of what load does not explain, the number of metrics in common."""

    scores: Array
    shifts: Array
    distances: Array
    shared: Array


def weigh(yardstick: Yardstick, target: Fingerprint, known: Sequence[Fingerprint]) -> Weighed:
    """The target against each of the known workloads."""
    shape = (len(known), len(yardstick.names))
    centres = np.array([one.centre for one in known]).reshape(shape)
    difference = target.centre - centres
    steps = yardstick.coordinates.sensitivity(target.centre, centres)
    counts = np.array([one.counts for one in known]).reshape(shape)
    rests_on = 1.0 / np.maximum(target.counts, 1.0) + 1.0 / np.maximum(counts, 1.0)
    variance = yardstick.scatter**2 * rests_on + DRIFT**2
    between = 2.0 * yardstick.between**2
    shifts, same = best_shift(yardstick.answers, difference, variance, between, sensitivity=steps)
    others, start = [], shifts
    for distance in DISTANCES:
        # The farther away another workload may lie, the vaguer the load: it moves on step by step.
        apart = variance + distance**2 * between
        start, likelihood = best_shift(
            yardstick.answers,
            difference,
            apart,
            between,
            sensitivity=steps,
            starts=start[:, None],
        )
        others.append(likelihood)
    chances = np.minimum(DISTANCES, 1.0) ** FACTORS
    other = logsumexp(others, axis=0, b=(chances / chances.sum())[:, None])
    moved = shifts[:, None] * steps
    slack = variance + yardstick.answers.variance * moved**2
    squares = (difference - yardstick.answers.mean * moved) ** 2 / slack
    present = np.isfinite(difference)
    shared = present.sum(axis=1)
    total = np.where(present, squares, 0.0).sum(axis=1)
    return Weighed(same - other, shifts, np.sqrt(total / np.maximum(shared, 1)), shared)
