"""Extremely randomised trees as a model of cost: for cliffs, many knobs and long histories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from targets.errors import MissingExtra
from tuner.space import Rows, SpaceEncoder
from tuner.surrogates.base import Vector

if TYPE_CHECKING:
    from sklearn.ensemble import ExtraTreesRegressor

TREES = 60
"""Enough for a smooth mean and spread; 100 cost twice the time and gained nothing on recorded
tables."""


@dataclass(frozen=True)
class Forest:
    """Fitted trees (Geurts, Ernst and Wehenkel, Machine Learning 2006).

    Their disagreement is the standard deviation (Hutter et al., Artificial Intelligence 2014).
    """

    encoder: SpaceEncoder
    trees: ExtraTreesRegressor

    @classmethod
    def fit(
        cls, encoder: SpaceEncoder, rows: Rows, targets: Vector, *, counts: Vector, seed: int
    ) -> Forest:
        """Fit to targets (n,), each the mean of `counts` windows.

        Raises:
            MissingExtra: scikit-learn is not installed.
        """
        try:
            from sklearn.ensemble import ExtraTreesRegressor
        except ImportError as error:
            raise MissingExtra("recommender forest", "sklearn", "server") from error
        trees = ExtraTreesRegressor(
            n_estimators=TREES, bootstrap=True, max_features=0.7, random_state=seed
        )
        trees.fit(encoder.one_hot(rows), targets, sample_weight=counts)
        return cls(encoder, trees)

    def predict(self, rows: Rows) -> tuple[Vector, Vector]:
        """As `Surrogate.predict`."""
        features = self.encoder.one_hot(rows).astype(np.float32)
        # The trees one by one: the ensemble's predict starts a thread pool for each call.
        votes = np.stack([tree.tree_.predict(features)[:, 0] for tree in self.trees.estimators_])
        return votes.mean(axis=0), np.maximum(votes.std(axis=0), 1e-6)
