"""95 % intervals: over tasks by the bootstrap, over the seeds of one task by Student's t."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

RESAMPLES = 4000
"""Bootstrap resamples; the interval's ends then move by less than their last shown digit."""

SEED = 0
"""The resamples are the same each time: a report printed again says the same."""

TAILS = (0.025, 0.975)


@dataclass(frozen=True)
class Figure:
    """A number with its 95 % interval; without one where a single case gives none.

    `f"{figure:.2f}"` writes all its numbers so: 0.67 (0.38..0.98).
    """

    value: float
    low: float | None = None
    high: float | None = None

    def __format__(self, form: str) -> str:
        if self.low is None or self.high is None:
            return format(self.value, form)
        return f"{self.value:{form}} ({self.low:{form}}..{self.high:{form}})"


def over_tasks(means: NDArray[np.float64]) -> Figure:
    """The mean of the tasks' means, its interval by resampling tasks.

    Args:
        means: (n_tasks,) each task's mean over its seeds.
    """
    if len(means) < 2:
        return Figure(float(means.mean()))
    low, high = np.quantile(means[_resamples(len(means))].mean(axis=1), TAILS)
    return Figure(float(means.mean()), float(low), float(high))


def ratio_over_tasks(means: NDArray[np.float64], reference: NDArray[np.float64]) -> Figure | None:
    """The ratio of two means over the same tasks, its interval by resampling tasks in pairs; None
    where the reference has nothing left to divide by.

    Args:
        means, reference: (n_tasks,) each task's mean over its seeds.
    """
    if reference.mean() == 0:
        return None
    value = float(means.mean() / reference.mean())
    if len(means) < 2:
        return Figure(value)
    drawn = _resamples(len(means))
    below = reference[drawn].mean(axis=1)
    found = means[drawn].mean(axis=1)[below > 0] / below[below > 0]
    low, high = np.quantile(found, TAILS)
    return Figure(value, float(low), float(high))


def over_seeds(regrets: NDArray[np.float64]) -> Figure:
    """The mean over one task's seeds, its interval by Student's t.

    Args:
        regrets: (n_seeds,) one a seed.
    """
    mean, count = float(regrets.mean()), len(regrets)
    if count < 2:
        return Figure(mean)
    half = float(stats.t.ppf(TAILS[1], count - 1) * regrets.std(ddof=1) / np.sqrt(count))
    return Figure(mean, mean - half, mean + half)


def _resamples(count: int) -> NDArray[np.int64]:
    """(RESAMPLES, count) places of cases, drawn with replacement."""
    return np.random.default_rng(SEED).integers(count, size=(RESAMPLES, count))
