"""Nondominated sorting, by Optuna: several objectives at once, within limits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from targets.knobs import Configuration
from targets.metrics import Direction
from targets.settings import Setting
from tuner.history import History
from tuner.recommenders.base import Limit, Observation, Problem, Suggestion, SuggestionKind
from tuner.recommenders.optuna_study import (
    ask_for,
    distribution_of,
    new_one,
    optuna_of,
    parameters_of,
    quiet,
)
from tuner.recommenders.sequential import SequentialRecommender, State
from tuner.recommenders.start import propose_start
from tuner.recommenders.wording import moves

if TYPE_CHECKING:
    from optuna import Study

GENERATION = "NSGAIISampler:generation"
"""The mark by which Optuna's sampler knows a generation's trials."""


@dataclass(frozen=True)
class Goals:
    """What one configuration gave: every objective's mean, and how far each limit was broken."""

    values: tuple[float, ...]
    excess: Mapping[str, float]


@dataclass(frozen=True)
class GoalHistory(History):
    """A history that also knows the goals of every configuration measured for all objectives."""

    goals: Mapping[str, Goals] = field(default_factory=dict)


class NondominatedSortingRecommender(SequentialRecommender):
    """Optuna's NSGA-II; its population are the best of all that was told, by rank and crowding.

    With one objective it is a plain genetic algorithm. A configuration that breaks a limit loses
    against each that breaks none, and against each that breaks it by less (Deb's rule).
    """

    name = "optuna-nsga2"
    summary = "Optuna's NSGA-II: several objectives at once, with limits, towards a Pareto front"
    source = "Deb, Pratap, Agarwal and Meyarivan, IEEE Trans. Evol. Comp. 6(2), 2002; Optuna"
    settings_declared = (
        Setting(
            name="population",
            default=16,
            low=2,
            high=1000,
            help="configurations that may become parents",
        ),
        Setting(
            name="swapping",
            default=0.5,
            low=0.0,
            high=1.0,
            help="chance that a knob comes from the second parent",
        ),
    )

    def suggest(
        self,
        problem: Problem,
        observations: Sequence[Observation],
        pending: Sequence[Configuration],
        state: Mapping[str, Any],
        rng: np.random.Generator,
        *,
        count: int = 1,
    ) -> tuple[tuple[Suggestion, ...], State]:
        """As `Recommender.suggest`."""
        base = History.of(problem, observations, pending)
        history = GoalHistory(
            problem,
            base.encoder,
            base.outcomes,
            base.pending,
            goals=goals_of(base, observations),
        )
        with threadpool_limits(1):
            return self._suggest(history, dict(state), rng, count=count)

    def propose(
        self, history: History, state: State, rng: np.random.Generator
    ) -> tuple[Suggestion, State]:
        assert isinstance(history, GoalHistory)  # noqa: S101 - what suggest hands on
        return propose_start(history, state, rng) or (self._breed(history, rng), state)

    def _breed(self, history: GoalHistory, rng: np.random.Generator) -> Suggestion:
        optuna = optuna_of(self.name)
        with quiet(optuna):
            study = self._study(optuna, history, rng)
            configuration, why = new_one(
                history,
                lambda: ask_for(study.ask(), history.encoder),
                rng,
                because="bred from two of the best known",
            )
        several = len(history.problem.objectives) > 1
        words = "none of them beaten in every objective" if several else "changed in a few knobs"
        return Suggestion(
            configuration=configuration,
            kind=SuggestionKind.EXPLOIT,
            lane=self.name,
            reason=f"NSGA-II: {why}, {words}. {moves(history, configuration)}",
        )

    def _study(self, optuna: ModuleType, history: GoalHistory, rng: np.random.Generator) -> Study:
        """A study that takes all that was told for one generation, whose best are the parents."""
        goals = history.goals
        study: Study = optuna.create_study(
            directions=[
                "minimize" if one.direction is Direction.MINIMISE else "maximize"
                for one in history.problem.objectives
            ],
            sampler=optuna.samplers.NSGAIISampler(
                population_size=max(2, min(int(self.options["population"]), len(goals))),
                swapping_prob=float(self.options["swapping"]),
                seed=int(rng.integers(2**31)),
            ),
        )
        encoder = history.encoder
        distributions = {column.knob: distribution_of(column) for column in encoder.columns}
        for one in history.measured:
            if one.key in goals:
                study.add_trial(
                    optuna.create_trial(
                        values=goals[one.key].values,
                        params=parameters_of(encoder, one.configuration, whole=True),
                        distributions=distributions,
                        constraints=dict(goals[one.key].excess),
                        system_attrs={GENERATION: 0},
                    )
                )
        return study


def goals_of(history: History, observations: Sequence[Observation]) -> dict[str, Goals]:
    """The goals of each configuration that has a value for every objective, by its key."""
    problem = history.problem
    seen: dict[str, list[Observation]] = {}
    for one in observations:
        seen.setdefault(history.encoder.key(one.configuration), []).append(one)
    result: dict[str, Goals] = {}
    for key, group in seen.items():
        means = [_mean(group, objective.name) for objective in problem.objectives]
        values = tuple(mean for mean in means if mean is not None)
        if len(values) == len(means):
            excess = {limit.name: _excess(limit, group) for limit in problem.limits}
            result[key] = Goals(values=values, excess=excess)
    return result


def _mean(group: Sequence[Observation], name: str) -> float | None:
    """The mean of a configuration's windows; of a metric where it is no objective."""
    windows = [value for one in group for value in one.values.get(name, ())]
    windows = windows or [one.metrics[name] for one in group if name in one.metrics]
    known = [value for value in windows if math.isfinite(value)]
    return math.fsum(value / len(known) for value in known) if known else None


def _excess(limit: Limit, group: Sequence[Observation]) -> float:
    """How far beyond its bound, in bounds, so that several add up; not above 0 where kept."""
    mean = _mean(group, limit.name)
    if mean is None:
        return 0.0
    sign = 1.0 if limit.direction is Direction.MINIMISE else -1.0
    return sign * (mean - limit.bound) / (abs(limit.bound) or 1.0)
