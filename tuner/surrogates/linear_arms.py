"""What arms cost under a workload, learnt from several: a ridge regression an arm, tied by levels.

In task t, arm a costs `level_t + bias_a + weights_a . context_t + own_ta`: the workload's level,
which is the same for all arms and never matters to a choice; the arm's disjoint linear model of
LinUCB (Li et al., WWW 2010); and what that says nothing of, without which a few contexts would be
believed against any number of trials here. All are normal, which makes the ridge's penalty a ratio
of variances; the ratios are those under which what was measured is likeliest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from tuner.surrogates.base import Vector

Matrix = NDArray[np.float64]

SHARES = (
    (0.9, 0.0, 0.1),
    (0.6, 0.0, 0.4),
    (0.45, 0.45, 0.1),
    (0.1, 0.8, 0.1),
    (0.1, 0.5, 0.4),
    (0.1, 0.0, 0.9),
)
"""How arms' variance may be made up: of bias, of context, of what is each task's own."""

SIZES = (0.5, 1.0, 2.0)
"""That variance, in terms of what arms were seen to differ by within tasks."""

LEVEL_FACTOR = 1e4
"""A level's variance in the same terms: nothing is assumed of it."""

PRIOR_ARM_SD, LEAST_ARM_SD = 0.1, 0.05
"""What arms are taken to differ by before any two were seen in one task, and at least: 10 % and 5 %
where costs are logarithms. On another axis these may be far too much, which only makes history
count less."""


@dataclass(frozen=True, kw_only=True)
class Means:
    """Mean costs, one of an arm in a task each: `tasks`, `arms` (n,) their numbers, `costs` (n,),
    and `variances` (n,) of the noise that is left in each."""

    tasks: NDArray[np.int_]
    arms: NDArray[np.int_]
    costs: Vector
    variances: Vector


@dataclass(frozen=True, kw_only=True)
class LinearArms:
    """The posterior of the model, for tasks with contexts (n_tasks, n_features)."""

    contexts: Matrix
    means: Means
    shares: tuple[float, float, float]
    variance: float

    @classmethod
    def fit(cls, contexts: Matrix, means: Means) -> LinearArms:
        """With the likeliest of the variances on the list."""
        seen = _variance_within(means)
        fits = [
            cls(contexts=contexts, means=means, shares=shares, variance=size * seen)
            for size in SIZES
            for shares in SHARES
            if contexts.shape[1] or not shares[1]
        ]
        return max(fits, key=lambda fit: fit._likelihood())

    def predict(self, task: int, arms: NDArray[np.int_]) -> tuple[Vector, Matrix]:
        """Mean costs (k,) of arms in a task, and a square root (k, k) of their covariance."""
        means = self.means
        here = np.full(len(arms), task)
        prior = self._covariance(here, arms, here, arms)
        if not len(means.costs):
            return np.zeros(len(arms)), _root(prior)
        factor = cho_factor(self._measured())
        across = self._covariance(here, arms, means.tasks, means.arms)
        middle = float(means.costs.mean())
        mean = middle + across @ cho_solve(factor, means.costs - middle)
        return mean, _root(prior - across @ cho_solve(factor, across.T))

    def _covariance(
        self,
        tasks: NDArray[np.int_],
        arms: NDArray[np.int_],
        other_tasks: NDArray[np.int_],
        other_arms: NDArray[np.int_],
    ) -> Matrix:
        """Of arms in tasks (n,) with others (m,): (n, m)."""
        bias, linear, own = self.shares
        alike = self.contexts @ self.contexts.T / max(1, self.contexts.shape[1])
        kernel = bias + linear * alike + own * np.eye(len(self.contexts))
        same_arm = arms[:, None] == other_arms
        same_task = tasks[:, None] == other_tasks
        shared = same_arm * kernel[np.ix_(tasks, other_tasks)] + LEVEL_FACTOR * same_task
        return np.asarray(self.variance * shared)

    def _measured(self) -> Matrix:
        """(n, n): the covariance of what was measured, its noise with it."""
        means = self.means
        covariance = self._covariance(means.tasks, means.arms, means.tasks, means.arms)
        return np.asarray(covariance + np.diag(means.variances + 1e-6 * self.variance))

    def _likelihood(self) -> float:
        """The logarithm of the likelihood, up to a constant."""
        if not len(self.means.costs):
            return 0.0
        factor = cho_factor(self._measured(), lower=True)
        off = self.means.costs - self.means.costs.mean()
        return float(-0.5 * off @ cho_solve(factor, off) - np.log(np.diag(factor[0])).sum())


def _variance_within(means: Means) -> float:
    """What arms of one task differ by, the noise taken off."""
    squares, degrees = PRIOR_ARM_SD**2, 1
    for task in np.unique(means.tasks):
        here = means.tasks == task
        off = means.costs[here] - means.costs[here].mean()
        squares += float((off**2).sum() - means.variances[here].sum())
        degrees += int(here.sum()) - 1
    return max(LEAST_ARM_SD**2, squares / degrees)


def _root(covariance: Matrix) -> Matrix:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))
