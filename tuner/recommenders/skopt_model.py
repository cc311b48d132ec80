"""What the recommenders by scikit-optimize share: its space and its fitted model.

Only model and fit are scikit-optimize's. It refuses failures and NaN, repeats points and knows no
constraints, so candidates, their chance to work and the choice are those of `search`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from targets.errors import MissingExtra
from tuner.axes import ColumnKind
from tuner.history import History
from tuner.space import Column, Rows
from tuner.surrogates.base import CostModel, Standard, Vector
from tuner.surrogates.fitting import best_and_latest

if TYPE_CHECKING:
    from skopt import Optimizer
    from skopt.space import Dimension

LEAST_SD = 1e-6
"""Trees that agree are still not certain."""


def fit_skopt(
    history: History, estimator: str, *, recommender: str, largest: int, seed: int
) -> CostModel:
    """scikit-optimize's model of the cost; what is in flight or failed is told as middling.

    Args:
        estimator: its name for the model: GP, ET or RF.
        recommender: who asks, for the error.
        largest: at most this many configurations are fitted.

    Raises:
        MissingExtra: scikit-optimize is not installed.
    """
    places = best_and_latest(history, largest)
    standard = Standard.of(history.costs[places])
    columns = history.encoder.columns
    middling = history.uninformative_rows
    optimizer = _optimizer(columns, estimator, recommender=recommender, seed=seed)
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
        return mean, np.maximum(sd, LEAST_SD)


def _optimizer(
    columns: tuple[Column, ...], estimator: str, *, recommender: str, seed: int
) -> Optimizer:
    try:
        from skopt import Optimizer
    except ImportError as error:
        raise MissingExtra(f"recommender {recommender}", "skopt", "server") from error
    return Optimizer(
        [_dimension(column) for column in columns],
        base_estimator=estimator,
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


def _points(columns: tuple[Column, ...], rows: Rows) -> list[list[Any]]:
    return [
        [
            int(position) if column.kind is ColumnKind.CATEGORICAL else position
            for column, position in zip(columns, row, strict=True)
        ]
        for row in rows.tolist()
    ]
