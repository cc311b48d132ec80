"""Nevergrad: its automatic choice of an algorithm, and its portfolio for discrete spaces.

Bennet et al., SIGEVOlution 2021; facebookresearch.github.io/nevergrad.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Mapping
from typing import Any, ClassVar

import nevergrad
import numpy as np

from tuner.benchmark.contestants import Brief
from tuner.benchmark.parameters import Parameter, ParameterType
from tuner.benchmark.peers.base import Peer
from tuner.benchmark.tables import Point


class NevergradPeer(Peer):
    """It is told the budget, by which it chooses, and whether there is noise; it names its own
    recommendation."""

    algorithm: ClassVar[str]

    def __init__(self, brief: Brief) -> None:
        super().__init__(brief)
        space = nevergrad.p.Dict(**{one.name: _variable(one) for one in self.parameters})
        space.function.deterministic = not brief.noisy
        space.random_state = np.random.RandomState(brief.seed)
        make = nevergrad.optimizers.registry[self.algorithm]
        with _quiet():
            self._optimizer = make(parametrization=space, budget=brief.budget, num_workers=1)
        self._open: dict[bytes, deque[Any]] = {}

    def suggest(self) -> Point:
        with _quiet():
            candidate = self._optimizer.ask()
        point = self._point(candidate.value)
        self._open.setdefault(point.tobytes(), deque()).append(candidate)
        return point

    def learn(self, point: Point, cost: float) -> None:
        with _quiet():
            self._optimizer.tell(self._open[point.tobytes()].popleft(), cost)

    def named(self) -> Point | None:
        with _quiet():
            return self._point(self._optimizer.provide_recommendation().value)

    def _point(self, value: Mapping[str, float]) -> Point:
        return np.array([float(value[parameter.name]) for parameter in self.parameters])


class AutomaticPeer(NevergradPeer):
    """NGOpt."""

    algorithm = "NGOpt"


class PortfolioPeer(NevergradPeer):
    """PortfolioDiscreteOnePlusOne."""

    algorithm = "PortfolioDiscreteOnePlusOne"


def _variable(parameter: Parameter) -> nevergrad.p.Parameter:
    if parameter.type is ParameterType.CATEGORICAL:
        return nevergrad.p.Choice(list(range(len(parameter.values))))
    if parameter.type is ParameterType.ORDINAL:
        return nevergrad.p.TransitionChoice(list(range(len(parameter.values))))
    make = nevergrad.p.Log if parameter.log else nevergrad.p.Scalar
    variable = make(lower=parameter.low, upper=parameter.high)
    if parameter.type is ParameterType.INTEGER:
        variable.set_integer_casting()
    return variable


def _quiet() -> warnings.catch_warnings[None]:
    """Without its advice on budgets and its warnings of repeats."""
    return warnings.catch_warnings(action="ignore")
