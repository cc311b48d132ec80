"""FLAML's CFO: a local search that steps along random directions and adapts its step.

Wu, Wang and Huang, AAAI 2021; microsoft.github.io/FLAML.
"""

from __future__ import annotations

import logging
import random
import warnings
from collections import deque
from typing import Any

import numpy as np

from tuner.benchmark.contestants import Brief
from tuner.benchmark.parameters import Parameter, ParameterType
from tuner.benchmark.peers.base import Peer
from tuner.benchmark.tables import Point
from tuner.errors import SpaceExhausted

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its other half, automl, which is not needed here
    from flaml import CFO, tune

METRIC = "cost"

TRIES = 100
"""It answers nothing where it would repeat itself; `flaml.tune.run` ends after so many."""


class CfoPeer(Peer):
    """CFO with its defaults, from a random start, as nobody knows a cheap configuration."""

    def __init__(self, brief: Brief) -> None:
        super().__init__(brief)
        logging.getLogger("flaml").setLevel(logging.WARNING)
        random.seed(brief.seed)
        np.random.seed(brief.seed)
        self._search = CFO(
            metric=METRIC,
            mode="min",
            space={parameter.name: _domain(parameter) for parameter in self.parameters},
            seed=brief.seed,
        )
        self._open: dict[bytes, deque[tuple[str, dict[str, Any]]]] = {}
        self._count = 0

    def suggest(self) -> Point:
        for _ in range(TRIES):
            self._count += 1
            trial = str(self._count)
            found = self._search.suggest(trial)
            if found is None:
                continue
            point = np.array([float(found[parameter.name]) for parameter in self.parameters])
            self._open.setdefault(point.tobytes(), deque()).append((trial, found))
            return point
        raise SpaceExhausted(f"CFO answered nothing {TRIES} times")

    def learn(self, point: Point, cost: float) -> None:
        trial, configuration = self._open[point.tobytes()].popleft()
        self._search.on_trial_complete(trial, {METRIC: cost, "config": configuration})


def _domain(parameter: Parameter) -> object:
    """A category is a text: numbers it would take to be in order."""
    if parameter.type is ParameterType.CATEGORICAL or len(parameter.values) == 1:
        return tune.choice([str(place) for place in range(len(parameter.values))])
    if parameter.type is ParameterType.ORDINAL:
        return tune.randint(0, len(parameter.values))
    if parameter.type is ParameterType.INTEGER:
        low, above = int(parameter.low), int(parameter.high) + 1
        return tune.lograndint(low, above) if parameter.log else tune.randint(low, above)
    make = tune.loguniform if parameter.log else tune.uniform
    return make(parameter.low, parameter.high)
