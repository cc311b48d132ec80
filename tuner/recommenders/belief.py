"""What is believed of the costs of a few arms, and the two policies that choose one of them.

Costs are normal with an unknown variance that all arms share, so what is believed of their means is
a Student t: the normal-inverse-gamma model with a pooled variance (Murphy, Conjugate Bayesian
analysis of the Gaussian distribution, 2007).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from tuner.history import CostScale
from tuner.noise import PRIOR_DEGREES, Noise
from tuner.recommenders.base import Expectation
from tuner.surrogates.base import Vector

THOMPSON = "thompson"
UCB = "ucb"

DRAWS = 500
"""Draws that tell how likely an arm is the best one."""

INTERVAL = (0.025, 0.975)


@dataclass(frozen=True)
class Belief:
    """The posterior of k arms' mean costs: a multivariate Student t.

    `mean` (k,) is its middle, `factor` (k, m) a square root of its scale, `factor @ factor.T`,
    taken at the estimate of the noise, and `degrees` the degrees of freedom of that estimate.
    """

    mean: Vector
    factor: NDArray[np.float64]
    degrees: float

    @classmethod
    def of(cls, mean: Vector, factor: NDArray[np.float64], noise: Noise) -> Belief:
        """A belief as sure of the noise as its estimate is."""
        return cls(mean, factor, PRIOR_DEGREES + noise.degrees)

    def choose(self, policy: str, turn: int, rng: np.random.Generator) -> int:
        """The arm to play.

        Thompson sampling (Thompson, 1933; for these priors Honda and Takemura, AISTATS 2014) plays
        the cheapest of one draw. UCB plays the arm that may well be the cheapest, as Bayes-UCB does
        (Kaufmann, Cappe and Garivier, AISTATS 2012): by the cost it is below with a probability
        of 1 in 1 + turn, turns counted from 1. Equal arms are told apart by chance.
        """
        if policy == THOMPSON:
            return int(self.draw(1, rng)[0].argmin())
        hoped = self.quantile(1.0 / (1 + turn))
        return int(rng.choice(np.flatnonzero(hoped == hoped.min())))

    def draw(self, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """(count, k): costs drawn; within a draw all arms share one variance of the noise."""
        stretch = np.sqrt(self.degrees / rng.chisquare(self.degrees, size=(count, 1)))
        spread = rng.standard_normal((count, self.factor.shape[1])) @ self.factor.T
        return np.asarray(self.mean + stretch * spread)

    def quantile(self, share: float) -> Vector:
        """(k,): the cost that each arm's is below with probability `share`."""
        scale = np.sqrt((self.factor**2).sum(axis=1))
        return np.asarray(self.mean + float(stdtrit(self.degrees, share)) * scale)

    def chance_best(self, rng: np.random.Generator) -> Vector:
        """(k,): how likely each arm is the cheapest."""
        wins = self.draw(DRAWS, rng).argmin(axis=1)
        return np.asarray(np.bincount(wins, minlength=len(self.mean)) / DRAWS)

    def expectation(self, arm: int, scale: CostScale) -> Expectation:
        """What an arm's mean is expected to be, in the objective's unit, at 95 %."""
        ends = [scale.value(float(self.quantile(share)[arm])) for share in INTERVAL]
        value = scale.value(float(self.mean[arm]))
        return Expectation(value=value, low=min(ends), high=max(ends))
