"""A Gaussian process by scikit-optimize: its space, its kernel and its fit.

Only model and fit are scikit-optimize's. It refuses failures and NaN, repeats points and knows no
constraints, so candidates, their chance to work and the choice are those of `search`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from targets.errors import MissingExtra
from targets.settings import Setting
from tuner.axes import ColumnKind
from tuner.history import History
from tuner.recommenders.base import Suggestion
from tuner.recommenders.search import suggest_by
from tuner.recommenders.sequential import SequentialRecommender, State
from tuner.recommenders.start import propose_start
from tuner.space import Column, Rows
from tuner.surrogates.base import CostModel, Standard, Vector
from tuner.surrogates.fitting import best_and_latest

if TYPE_CHECKING:
    from skopt import Optimizer
    from skopt.space import Dimension


class GaussianProcessRecommender(SequentialRecommender):
    """scikit-optimize's Gaussian process with expected improvement."""

    name = "gp"
    summary = "scikit-optimize's Gaussian process: careful with few trials, seconds a suggestion"
    source = "Snoek, Larochelle and Adams, NeurIPS 2012; scikit-optimize 0.10"
    settings_declared = (
        Setting(
            name="history",
            default=100,
            low=10,
            high=400,
            help="configurations the model is fitted to; 50 take seconds, 400 take minutes",
        ),
    )

    def propose(
        self, history: History, state: State, rng: np.random.Generator
    ) -> tuple[Suggestion, State]:
        started = propose_start(history, state, rng)
        if started is not None:
            return started
        model = self._fit(history, seed=int(rng.integers(2**31)))
        return suggest_by(history, model, rng, lane=self.name, by="Gaussian process"), state

    def _fit(self, history: History, *, seed: int) -> CostModel:
        """What is in flight or failed is told as middling."""
        places = best_and_latest(history, int(self.options["history"]))
        standard = Standard.of(history.costs[places])
        columns = history.encoder.columns
        middling = history.uninformative_rows
        optimizer = _optimizer(columns, seed=seed)
        points = _points(columns, np.vstack((history.rows[places], middling)))
        targets = standard.targets(history.costs[places]).tolist() + [0.0] * len(middling)
        with warnings.catch_warnings():
            # Length scales at their bounds are no news on tens of points.
            warnings.simplefilter("ignore")
            optimizer.tell(points, targets)
        return CostModel(surrogate=_Fitted(columns, optimizer), standard=standard)


@dataclass(frozen=True)
class _Fitted:
    """The optimizer's model as a `Surrogate`."""

    columns: tuple[Column, ...]
    optimizer: Optimizer

    def predict(self, rows: Rows) -> tuple[Vector, Vector]:
        inputs = self.optimizer.space.transform(_points(self.columns, rows))
        mean, sd = self.optimizer.models[-1].predict(inputs, return_std=True)
        return mean, np.maximum(sd, 1e-6)


def _optimizer(columns: tuple[Column, ...], *, seed: int) -> Optimizer:
    try:
        from skopt import Optimizer
    except ImportError as error:
        raise MissingExtra("recommender gp", "skopt", "server") from error
    return Optimizer(
        [_dimension(column) for column in columns],
        base_estimator="GP",
        n_initial_points=0,
        acq_func="EI",
        # Its own choice among candidates is not used: one is the least it takes.
        acq_optimizer="sampling",
        acq_optimizer_kwargs={"n_points": 1},
        random_state=seed,
    )


def _dimension(column: Column) -> Dimension:
    from skopt.space import Categorical, Real

    if column.kind is ColumnKind.CATEGORICAL:
        return Categorical(list(range(int(column.count))), name=column.knob)
    return Real(0.0, 1.0, name=column.knob)


def _points(columns: tuple[Column, ...], rows: Rows) -> list[list[int | float]]:
    return [
        [
            int(position) if column.kind is ColumnKind.CATEGORICAL else position
            for column, position in zip(columns, row, strict=True)
        ]
        for row in rows.tolist()
    ]
