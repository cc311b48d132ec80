"""What a model of the objective must answer here: not one function, but draws of what may be true.

From draws come shares of variance and contributions with intervals, whatever the model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from tuner.history import History
from tuner.pipeline.arrays import Array, Mask, Places
from tuner.space import Rows, SpaceEncoder

FOLDS = 5
"""Parts of the trials; each is predicted by models that have not seen it."""

MAXIMUM_TRIALS = 1_500
"""More trials are thinned evenly: knobs that matter show long before."""

MISFIT = 0.5
"""Share of a trial's error that does not shrink with its windows: what the model cannot follow."""


@dataclass(frozen=True)
class Trials:
    """Measured configurations with their costs brought to mean 0 and variance 1.

    Attributes:
        rows: (n, n_columns).
        targets: (n,) standardised costs; `middle + scale * targets` is the cost.
        weights: (n,) inverse error variances relative to one window's.
        noise_variance: of one window's target, as repeats and the prior have it.
        groups: (n,) which fold a trial falls into.
    """

    rows: Rows
    targets: Array
    weights: Array
    noise_variance: float
    groups: Places
    middle: float
    scale: float

    @classmethod
    def of(cls, history: History, rng: np.random.Generator) -> Trials:
        """Of every configuration that was measured; failures have no cost and are left out."""
        count = len(history.costs)
        places = np.arange(count)
        if count > MAXIMUM_TRIALS:
            places = np.sort(rng.choice(count, MAXIMUM_TRIALS, replace=False))
        costs = history.costs[places]
        middle, scale = 0.0, 1.0
        if len(costs):
            # The mean of equal values differs from them in the last digit.
            same = costs.min() == costs.max()
            middle, scale = (costs[0], 1.0) if same else (costs.mean(), costs.std())
        return cls(
            rows=history.rows[places],
            targets=(costs - middle) / scale,
            weights=1.0 / (MISFIT + (1.0 - MISFIT) / history.counts[places]),
            noise_variance=(history.noise.sd / scale) ** 2,
            groups=rng.permutation(len(places)) % FOLDS,
            middle=float(middle),
            scale=float(scale),
        )

    def training_sets(self) -> list[Mask]:
        """For each fold, (n,): the trials that are not in it."""
        return [self.groups != fold for fold in range(FOLDS)]

    def losses(self, unseen: Array) -> Array:
        """(n,): squared errors of predictions, in windows' worth."""
        return np.asarray(self.weights * (self.targets - unseen) ** 2)

    def blind_losses(self) -> Array:
        """(n,): the losses of predicting each trial by the mean of those not in its fold."""
        mean = np.zeros(len(self.targets))
        for training in self.training_sets():
            mean[~training] = np.average(self.targets[training], weights=self.weights[training])
        return self.losses(mean)

    def skill(self, unseen: Array) -> float:
        """The share of the targets' variance that predictions (n,) of unseen trials explain.

        At most 1; 0 or less when they are no better than the mean of the others.
        """
        blind = max(float(self.blind_losses().sum()), 1e-12)
        return 1.0 - float(self.losses(unseen).sum()) / blind


class Draws(ABC):
    """Functions that may be the true one, given the trials, each as likely as the others."""

    name: str
    words: str
    """What the model is, for a reader of the result."""

    @abstractmethod
    def predict(self, rows: Rows) -> Array:
        """(n_draws, n): each function's targets at `rows`."""

    @abstractmethod
    def shares(self, encoder: SpaceEncoder, rng: np.random.Generator) -> Array:
        """(n_draws, n_columns): each column's total-effect index under each function.

        The share of the function's variance, over configurations drawn evenly, that goes when the
        column is held fixed (Homma and Saltelli, 1996); shares add up to more than 1 where
        columns act together. All 0 where the function is constant.
        """

    @abstractmethod
    def thinned(self, count: int) -> Draws:
        """Evenly so many of the draws, or all where there are no more."""

    @abstractmethod
    def roughness(self) -> Array:
        """(n_draws, n_columns): standard deviation of what is too rough for the model to follow."""


@dataclass(frozen=True)
class Fitted:
    """Draws, and (n,) predictions of each trial by models that have not seen it."""

    draws: Draws
    unseen: Array
