"""A random forest as a model of cost, the way SMAC has one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from targets.errors import MissingExtra
from tuner.history import History
from tuner.space import Rows, SpaceEncoder
from tuner.surrogates.base import CostModel, Standard, Vector

if TYPE_CHECKING:
    from sklearn.tree._tree import Tree

TREES = 30
"""Half as many were worse on recorded tables."""

FEATURES = 5.0 / 6.0
"""The share of features a split chooses from (SMAC's)."""

LEAST_VARIANCE = 1e-6
"""Trees that agree are still not certain."""


@dataclass(frozen=True)
class RegressionForest:
    """Regression trees, each on its own resample (Breiman, Machine Learning 2001).

    Thresholds are drawn at random between the values they part, for a mean that is smoother
    between what was measured: regret 0.10 and 0.06 at 25 and 50 on four recorded tables, six
    seeds, where the best thresholds gave 0.13 and 0.07.

    The variance at a point is that between the trees' means plus the mean of that within their
    leaves (Hutter, Xu, Hoos and Leyton-Brown, Artificial Intelligence 2014, section 4.3).
    """

    encoder: SpaceEncoder
    trees: tuple[Tree, ...]

    @classmethod
    def fit(
        cls,
        encoder: SpaceEncoder,
        rows: Rows,
        targets: Vector,
        *,
        counts: Vector,
        rng: np.random.Generator,
    ) -> RegressionForest:
        """Fit to targets (n,), each the mean of `counts` windows.

        Raises:
            MissingExtra: scikit-learn is not installed.
        """
        try:
            from sklearn.tree import ExtraTreeRegressor
        except ImportError as error:
            raise MissingExtra("recommender forest", "sklearn", "server") from error
        features = encoder.one_hot(rows).astype(np.float32)
        size = len(targets)
        trees: list[Any] = []
        # The trees one by one: a scikit-learn ensemble takes three times as long at this size.
        for seed in rng.integers(2**31, size=TREES).tolist():
            tree = ExtraTreeRegressor(max_features=FEATURES, random_state=seed)
            drawn = np.bincount(rng.integers(size, size=size), minlength=size)
            tree.fit(features, targets, sample_weight=drawn * counts, check_input=False)
            trees.append(tree.tree_)
        return cls(encoder, tuple(trees))

    def predict(self, rows: Rows) -> tuple[Vector, Vector]:
        """As `Surrogate.predict`."""
        features = self.encoder.one_hot(rows).astype(np.float32)
        leaves = [tree.apply(features) for tree in self.trees]
        means = np.stack([t.value[at, 0, 0] for t, at in zip(self.trees, leaves, strict=True)])
        within = np.stack([t.impurity[at] for t, at in zip(self.trees, leaves, strict=True)])
        variance = means.var(axis=0) + within.mean(axis=0)
        return means.mean(axis=0), np.sqrt(np.maximum(variance, LEAST_VARIANCE))


def fit_regression_forest(history: History, rng: np.random.Generator) -> CostModel:
    """A forest that takes what is in flight or failed for middling; needs two measured."""
    standard = Standard.of(history.costs)
    middling = history.uninformative_rows
    forest = RegressionForest.fit(
        history.encoder,
        np.vstack((history.rows, middling)),
        np.concatenate((standard.targets(history.costs), np.zeros(len(middling)))),
        counts=np.concatenate((history.counts, np.ones(len(middling)))),
        rng=rng,
    )
    return CostModel(surrogate=forest, standard=standard)
