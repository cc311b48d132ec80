"""SMAC3: random forests with its hyperparameter facade, asked and told.

Lindauer et al., JMLR 2022; automl.github.io/SMAC3.
"""

from __future__ import annotations

import logging
import tempfile
from collections import deque

import numpy as np
from ConfigSpace import (
    CategoricalHyperparameter,
    Configuration,
    ConfigurationSpace,
    Constant,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)
from smac import HyperparameterOptimizationFacade, Scenario
from smac.runhistory.dataclasses import TrialInfo, TrialValue
from smac.runhistory.enumerations import StatusType

from tuner.benchmark.contestants import Brief
from tuner.benchmark.parameters import Parameter, ParameterType
from tuner.benchmark.peers.base import Peer
from tuner.benchmark.tables import Point
from tuner.errors import SpaceExhausted


class SmacPeer(Peer):
    """It is told the budget, which its initial design follows, and whether there is noise, in which
    case it measures again by itself; it names its own incumbent."""

    def __init__(self, brief: Brief) -> None:
        super().__init__(brief)
        logging.getLogger("smac").setLevel(logging.ERROR)
        self._folder = tempfile.TemporaryDirectory(prefix="lontra-smac-")
        space = ConfigurationSpace(seed=brief.seed)
        space.add([_hyperparameter(parameter) for parameter in self.parameters])
        self._facade = HyperparameterOptimizationFacade(
            Scenario(
                space,
                deterministic=not brief.noisy,
                n_trials=brief.budget,
                seed=brief.seed,
                output_directory=self._folder.name,
            ),
            _never_called,
            logging_level=False,
            overwrite=True,
        )
        self._open: dict[bytes, deque[TrialInfo]] = {}

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def suggest(self) -> Point:
        try:
            trial = self._facade.ask()
        except StopIteration:
            raise SpaceExhausted("SMAC has nothing left to try") from None
        point = self._point(trial.config)
        self._open.setdefault(point.tobytes(), deque()).append(trial)
        return point

    def learn(self, point: Point, cost: float) -> None:
        trial = self._open[point.tobytes()].popleft()
        self._facade.tell(trial, TrialValue(cost=cost, status=StatusType.SUCCESS), save=False)

    def named(self) -> Point | None:
        incumbent = self._facade.intensifier.get_incumbent()
        return super().named() if incumbent is None else self._point(incumbent)

    def _point(self, configuration: Configuration) -> Point:
        return np.array([float(configuration[parameter.name]) for parameter in self.parameters])


def _never_called(configuration: Configuration, seed: int = 0) -> float:
    """The facade wants a function, though it is asked and told."""
    raise NotImplementedError(f"{configuration} with seed {seed}: this facade is asked and told")


def _hyperparameter(
    parameter: Parameter,
) -> (
    CategoricalHyperparameter | Constant | UniformFloatHyperparameter | UniformIntegerHyperparameter
):
    name, levels = parameter.name, len(parameter.values)
    if levels == 1:
        return Constant(name, 0)
    if parameter.type is ParameterType.CATEGORICAL:
        return CategoricalHyperparameter(name, list(range(levels)))
    if parameter.type is ParameterType.ORDINAL:
        return UniformIntegerHyperparameter(name, 0, levels - 1)
    if parameter.type is ParameterType.INTEGER:
        low, high = int(parameter.low), int(parameter.high)
        return UniformIntegerHyperparameter(name, low, high, log=parameter.log)
    return UniformFloatHyperparameter(name, parameter.low, parameter.high, log=parameter.log)
