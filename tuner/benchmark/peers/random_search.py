"""Uniform random search over the product space, which nobody keeps from repeating itself."""

from __future__ import annotations

import numpy as np

from tuner.benchmark.contestants import Brief
from tuner.benchmark.parameters import Parameter, ParameterType
from tuner.benchmark.peers.base import Peer
from tuner.benchmark.tables import Point


class RandomPeer(Peer):
    """Draws each parameter evenly, on a logarithm where the table says so."""

    def __init__(self, brief: Brief) -> None:
        super().__init__(brief)
        self._rng = np.random.default_rng(brief.seed)

    def suggest(self) -> Point:
        return np.array([draw(parameter, self._rng) for parameter in self.parameters])

    def learn(self, point: Point, cost: float) -> None:
        """Random search learns nothing."""


def draw(parameter: Parameter, rng: np.random.Generator) -> float:
    """One random value of a parameter, in the table's terms."""
    if parameter.type.has_levels:
        return float(rng.integers(len(parameter.values)))
    low, high = parameter.low, parameter.high
    if parameter.type is ParameterType.INTEGER and not parameter.log:
        return float(rng.integers(int(low), int(high) + 1))
    if parameter.log:
        drawn = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    else:
        drawn = float(rng.uniform(low, high))
    if parameter.type is ParameterType.INTEGER:
        drawn = float(round(drawn))
    return min(max(drawn, low), high)
