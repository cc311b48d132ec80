"""scikit-optimize: a Gaussian process, or extremely randomised trees, under its default hedge."""

from __future__ import annotations

import warnings
from typing import ClassVar

import numpy as np
from skopt import Optimizer
from skopt.space import Categorical, Integer, Real

from tuner.benchmark.contestants import Brief
from tuner.benchmark.parameters import Parameter, ParameterType
from tuner.benchmark.peers.base import Peer
from tuner.benchmark.tables import Point


class ScikitOptimizePeer(Peer):
    """`skopt.Optimizer` with its defaults, asked and told."""

    estimator: ClassVar[str]

    def __init__(self, brief: Brief) -> None:
        super().__init__(brief)
        dimensions = [_dimension(parameter) for parameter in self.parameters]
        self._optimizer = Optimizer(
            dimensions, base_estimator=self.estimator, random_state=brief.seed
        )

    def suggest(self) -> Point:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns at each repeat, and of each poor fit
            return np.array(self._optimizer.ask(), dtype=np.float64)

    def learn(self, point: Point, cost: float) -> None:
        row = [
            number if parameter.type is ParameterType.REAL else int(number)
            for parameter, number in zip(self.parameters, map(float, point), strict=True)
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._optimizer.tell(row, cost)


class GaussianProcessPeer(ScikitOptimizePeer):
    """What `gp_minimize` runs on."""

    estimator = "GP"


class ExtraTreesPeer(ScikitOptimizePeer):
    """What `forest_minimize` runs on."""

    estimator = "ET"


def _dimension(parameter: Parameter) -> Categorical | Integer | Real:
    levels = len(parameter.values)
    if parameter.type is ParameterType.CATEGORICAL or levels == 1:
        return Categorical(list(range(levels)))
    if parameter.type is ParameterType.ORDINAL:
        return Integer(0, levels - 1)
    prior = "log-uniform" if parameter.log else "uniform"
    if parameter.type is ParameterType.INTEGER:
        return Integer(int(parameter.low), int(parameter.high), prior=prior)
    return Real(parameter.low, parameter.high, prior=prior)
