"""Boosted trees that learn an order, not a scale: which of two configurations costs less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from targets.errors import MissingExtra
from tuner.space import Rows, SpaceEncoder
from tuner.surrogates.base import Vector

if TYPE_CHECKING:
    from sklearn.tree import DecisionTreeRegressor

ROUNDS = 40
RATE = 0.2
"""Trees, and the share of each that counts: on tens of points more rounds learnt them by heart."""

DEPTH = 4
"""Up to four knobs may act together."""

FEATURES = 0.7
"""The share of features a split chooses from, so that trees differ."""

FLOOR = 1e-3
"""Added to every curvature: a point in no doubt must not take an endless step."""


@dataclass(frozen=True)
class RankBoost:
    """Gradient-boosted regression trees on a pairwise logistic loss.

    LambdaMART (Burges, MSR-TR-2010-82): for each pair the chance that the better one is scored
    higher is a logistic function of the scores' difference; a pair weighs as much as swapping it
    would change a discounted ranking, so that order among the best matters most. AutoTVM (Chen et
    al., NeurIPS 2018) found such a rank loss better than regression for choosing what to try.
    """

    encoder: SpaceEncoder
    trees: tuple[DecisionTreeRegressor, ...]

    @classmethod
    def fit(cls, encoder: SpaceEncoder, rows: Rows, costs: Vector, *, seed: int) -> RankBoost:
        """Fit to the order of costs (n,).

        Raises:
            MissingExtra: scikit-learn is not installed.
        """
        try:
            from sklearn.tree import DecisionTreeRegressor
        except ImportError as error:
            raise MissingExtra("recommender boosted-rank", "sklearn", "server") from error
        features = encoder.one_hot(rows).astype(np.float32)
        weights = pair_weights(costs)
        scores = np.zeros(len(costs))
        trees = []
        for turn in range(ROUNDS):
            slopes, curvatures = gradients(scores, weights)
            tree = DecisionTreeRegressor(
                max_depth=DEPTH, max_features=FEATURES, random_state=(seed + turn) % 2**32
            )
            # A leaf's weighted mean of slope over curvature is its Newton step.
            tree.fit(features, slopes / curvatures, sample_weight=curvatures, check_input=False)
            scores += RATE * tree.tree_.predict(features)[:, 0]
            trees.append(tree)
        return cls(encoder, tuple(trees))

    def score(self, rows: Rows) -> Vector:
        """(m,): the higher, the less it is expected to cost; differences are log odds."""
        features = self.encoder.one_hot(rows).astype(np.float32)
        total = np.zeros(len(rows))
        for tree in self.trees:
            total += tree.tree_.predict(features)[:, 0]
        return RATE * total


def pair_weights(costs: Vector) -> Rows:
    """(n, n): what pair (i, j) weighs, 0 unless i costs less than j; they sum to n."""
    ranks = np.argsort(np.argsort(costs, kind="stable"), kind="stable")
    discounts = 1.0 / np.log2(2.0 + ranks)
    weights = np.abs(discounts[:, None] - discounts[None, :]) * (costs[:, None] < costs[None, :])
    total = weights.sum()
    return np.asarray(weights * (len(costs) / total) if total else weights)


def gradients(scores: Vector, weights: Rows) -> tuple[Vector, Vector]:
    """Slope (upwards) and curvature of the weighted log likelihood of all pairs: (n,), (n,)."""
    doubts = 1.0 / (1.0 + np.exp(np.clip(scores[:, None] - scores[None, :], -50.0, 50.0)))
    pulls = weights * doubts
    bends = pulls * (1.0 - doubts)
    slopes = pulls.sum(axis=1) - pulls.sum(axis=0)
    return slopes, bends.sum(axis=1) + bends.sum(axis=0) + FLOOR
