"""Optuna's tree-structured Parzen estimators; the multivariate one is the reference peer.

Bergstra et al., NeurIPS 2011; Falkner et al. (BOHB, multivariate), ICML 2018; optuna.org.
"""

from __future__ import annotations

import math
import warnings
from collections import deque
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import optuna

from targets.metrics import Direction
from tuner.benchmark.contestants import Brief, Source
from tuner.benchmark.parameters import Parameter, ParameterType
from tuner.benchmark.peers.base import Peer
from tuner.benchmark.peers.random_search import draw
from tuner.benchmark.tables import Point

BEST_OF_SOURCE = 3
"""How many rows of each source the warm start evaluates."""


class TreeParzenPeer(Peer):
    """TPESampler(multivariate=False): each parameter by itself, asked and told.

    Said outright, because what it does when nothing is said has changed between versions.
    """

    sampler: ClassVar[Mapping[str, Any]] = {"multivariate": False}

    def __init__(self, brief: Brief) -> None:
        super().__init__(brief)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(seed=brief.seed, **self.sampler)
        self._study = optuna.create_study(direction="minimize", sampler=sampler)
        self._open: dict[bytes, deque[optuna.Trial]] = {}

    def suggest(self) -> Point:
        trial = self._study.ask()
        point = np.array([_suggest(trial, parameter) for parameter in self.parameters])
        self._open.setdefault(point.tobytes(), deque()).append(trial)
        return point

    def learn(self, point: Point, cost: float) -> None:
        self._study.tell(self._open[point.tobytes()].popleft(), cost)


class MultivariateTreeParzenPeer(TreeParzenPeer):
    """TPESampler(multivariate=True, group=True)."""

    sampler: ClassVar[Mapping[str, Any]] = {"multivariate": True, "group": True}


class WarmTreeParzenPeer(MultivariateTreeParzenPeer):
    """Evaluates the best rows known of each source first; the study knows their values here."""

    def __init__(self, brief: Brief) -> None:
        super().__init__(brief)
        for point in starts(brief):
            self._study.enqueue_trial(
                {
                    parameter.name: int(number) if parameter.type.has_levels else number
                    for parameter, number in zip(self.parameters, point, strict=True)
                }
            )


def starts(brief: Brief) -> list[Point]:
    """The best rows of each source in this table's terms, best of each first, none twice."""
    rng = np.random.default_rng(brief.seed)
    ranked = [_best_first(source) for source in brief.sources]
    points = [
        _here(brief, one.table.configuration(one.points[places[rank]]), rng)
        for rank in range(BEST_OF_SOURCE)
        for one, places in zip(brief.sources, ranked, strict=True)
        if rank < len(places)
    ]
    return list({point.tobytes(): point for point in points}.values())


def _best_first(source: Source) -> list[int]:
    sign = 1.0 if source.table.direction is Direction.MINIMISE else -1.0
    measured = [at for at, value in enumerate(source.values) if not math.isnan(value)]
    return sorted(measured, key=lambda at: sign * float(source.values[at]))


def _here(brief: Brief, configuration: dict[str, Any], rng: np.random.Generator) -> Point:
    """A source's configuration here: the nearest level or number where one is missing, a random
    value where that has no meaning."""
    return np.array(
        [_nearest(one, configuration.get(one.name), rng) for one in brief.table.parameters]
    )


def _nearest(parameter: Parameter, value: Any, rng: np.random.Generator) -> float:
    if not parameter.type.has_levels:
        if not isinstance(value, int | float):
            return draw(parameter, rng)
        return min(max(float(value), parameter.low), parameter.high)
    try:
        return parameter.encode(value)
    except ValueError:
        numbers = all(isinstance(one, int | float) for one in (*parameter.values, value))
        if parameter.type is ParameterType.CATEGORICAL or not numbers:
            return draw(parameter, rng)
        return float(min(range(len(parameter.values)), key=lambda at: _gap(parameter, at, value)))


def _gap(parameter: Parameter, at: int, value: float) -> float:
    return abs(float(parameter.values[at]) - value)


def _suggest(trial: optuna.Trial, parameter: Parameter) -> float:
    """A categorical by its index as a category, an ordinal by its index as a whole number."""
    name = parameter.name
    if parameter.type is ParameterType.CATEGORICAL:
        return float(trial.suggest_categorical(name, tuple(range(len(parameter.values)))))
    if parameter.type is ParameterType.ORDINAL:
        return float(trial.suggest_int(name, 0, len(parameter.values) - 1))
    if parameter.type is ParameterType.INTEGER:
        low, high = int(parameter.low), int(parameter.high)
        return float(trial.suggest_int(name, low, high, log=parameter.log))
    return float(trial.suggest_float(name, parameter.low, parameter.high, log=parameter.log))
