"""Trees as a model of the objective: for cliffs, and for knobs that act only together.

Importance is the total-effect index of the forest, found by moving one column at a time over
configurations drawn evenly (Jansen, Computer Physics Communications 1999): a permutation importance
(Breiman, Machine Learning 2001) of the surrogate over the space, and the quantity that functional
ANOVA splits up (Hutter, Hoos and Leyton-Brown, ICML 2014). Trees find some use for every column;
how much they find for columns that were shuffled is what counts as none (Boruta: Kursa and
Rudnicki, Journal of Statistical Software 2010).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tuner.pipeline.arrays import Array
from tuner.pipeline.draws import Draws, Fitted, Trials
from tuner.space import Rows, SpaceEncoder

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestRegressor

TREES = 160
"""Grown on bootstrap samples; every `TOGETHER` of them count as one draw."""

TOGETHER = 8

MAXIMUM_ROWS = 400
"""Trials that a forest is grown on; its cost grows with them, its ranking no longer does."""

SHADOWS = 12
"""Shuffled copies of columns, which can matter only by chance."""

POINTS = 96
"""Configurations at which each column is moved."""

WORDS = "a random forest"


@dataclass(frozen=True)
class TreeDraws(Draws):
    """Groups of trees.

    Attributes:
        floor: the largest total effect of a shuffled column; what is below is none.
    """

    encoder: SpaceEncoder
    forest: RandomForestRegressor
    shadows: Rows
    name = "forest"
    words = WORDS

    def predict(self, rows: Rows) -> Array:
        """As `Draws.predict`; shuffled columns, which the trees were shown too, stand still."""
        still = np.broadcast_to(self.shadows[:1], (len(rows), self.shadows.shape[1]))
        return self._votes(np.hstack((self.encoder.one_hot(rows), still)))

    def shares(self, encoder: SpaceEncoder, rng: np.random.Generator) -> Array:
        """As `Draws.shares`, less what shuffled columns reach."""
        drawn = encoder.from_unit(rng.random((2 * POINTS, encoder.n_columns)))
        here, there = drawn[:POINTS], drawn[POINTS:]
        shadows = self.shadows[rng.integers(len(self.shadows), size=2 * POINTS)]
        plain = np.hstack((encoder.one_hot(here), shadows[:POINTS]))
        moved = [plain]
        for column in range(encoder.n_columns):
            other = here.copy()
            other[:, column] = there[:, column]
            moved.append(np.hstack((encoder.one_hot(other), shadows[:POINTS])))
        start = plain.shape[1] - shadows.shape[1]
        for place in range(shadows.shape[1]):
            other = plain.copy()
            other[:, start + place] = shadows[POINTS:, place]
            moved.append(other)
        votes = self._votes(np.vstack(moved)).reshape(-1, len(moved), POINTS)
        squares = 0.5 * ((votes[:, 1:] - votes[:, :1]) ** 2).mean(axis=2)
        variance = votes[:, 0].var(axis=1, keepdims=True)
        total = np.divide(squares, variance, out=np.zeros_like(squares), where=variance > 0)
        real, shadow = np.split(total, [encoder.n_columns], axis=1)
        return np.asarray(np.maximum(real - shadow.max(axis=1, keepdims=True), 0.0))

    def thinned(self, count: int) -> TreeDraws:
        """As `Draws.thinned`: there are few anyway."""
        return self

    def roughness(self) -> Array:
        """As `Draws.roughness`: trees follow any step."""
        return np.zeros((TREES // TOGETHER, self.encoder.n_columns))

    def _votes(self, features: Rows) -> Array:
        single = features.astype(np.float32)
        votes = [tree.tree_.predict(single)[:, 0] for tree in self.forest.estimators_]
        grouped = np.stack(votes).reshape(-1, TOGETHER, len(features))
        return np.asarray(grouped.mean(axis=1))


def fit_trees(encoder: SpaceEncoder, trials: Trials, rng: np.random.Generator) -> Fitted:
    """Groups of trees, and predictions of each trial by the trees that lack it."""
    from sklearn.ensemble import RandomForestRegressor

    count = len(trials.targets)
    used = rng.permutation(count)[:MAXIMUM_ROWS]
    rows, targets, weights = trials.rows[used], trials.targets[used], trials.weights[used]
    copied = rng.integers(encoder.n_columns, size=min(SHADOWS, encoder.n_columns))
    shadows = rng.permuted(rows[:, copied], axis=0)
    forest = RandomForestRegressor(
        n_estimators=TREES,
        max_features=0.5,
        min_samples_leaf=2,
        bootstrap=True,
        oob_score=True,
        random_state=int(rng.integers(2**31)),
    )
    forest.fit(np.hstack((encoder.one_hot(rows), shadows)), targets, sample_weight=weights)
    draws = TreeDraws(encoder, forest, shadows)
    unseen = draws.predict(trials.rows).mean(axis=0)
    unseen[used] = forest.oob_prediction_
    return Fitted(draws, unseen)
