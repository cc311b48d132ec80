"""Nondominated sorting, by Optuna: several objectives at once, within limits."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from targets.metrics import Direction
from targets.settings import Setting
from tuner.history import History
from tuner.recommenders.base import Suggestion, SuggestionKind
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


class NondominatedSortingRecommender(SequentialRecommender):
    """Optuna's NSGA-II; its population are the best of all that was told, by rank and crowding.

    With one objective it is a plain genetic algorithm. A configuration that breaks a limit loses
    against each that breaks none, and against each that breaks it by less (Deb's rule).
    """

    name = "optuna-nsga2"
    summary = "Optuna's NSGA-II: several objectives at once, with limits, towards a Pareto front"
    source = "Deb, Pratap, Agarwal and Meyarivan, IEEE Trans. Evol. Comp. 6(2), 2002; Optuna"
    heeds_every_objective = True
    heeds_limits = True
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

    def propose(
        self, history: History, state: State, rng: np.random.Generator
    ) -> tuple[Suggestion, State]:
        return propose_start(history, state, rng) or (self._breed(history, rng), state)

    def _breed(self, history: History, rng: np.random.Generator) -> Suggestion:
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

    def _study(self, optuna: ModuleType, history: History, rng: np.random.Generator) -> Study:
        """A study that takes all that was told for one generation, whose best are the parents."""
        parents = [
            (one, excess)
            for one, excess in zip(history.measured, history.excess, strict=True)
            if np.isfinite(one.means).all()
        ]
        study: Study = optuna.create_study(
            directions=[
                "minimize" if one.direction is Direction.MINIMISE else "maximize"
                for one in history.problem.objectives
            ],
            sampler=optuna.samplers.NSGAIISampler(
                population_size=max(2, min(int(self.options["population"]), len(parents))),
                swapping_prob=float(self.options["swapping"]),
                seed=int(rng.integers(2**31)),
            ),
        )
        encoder = history.encoder
        distributions = {column.knob: distribution_of(column) for column in encoder.columns}
        # Two limits may bound the same quantity from both sides.
        names = [f"limit {place}" for place in range(len(history.problem.limits))]
        for one, excess in parents:
            study.add_trial(
                optuna.create_trial(
                    values=one.means,
                    params=parameters_of(encoder, one.configuration, whole=True),
                    distributions=distributions,
                    # What is not known to be broken counts as kept.
                    constraints=dict(zip(names, np.nan_to_num(excess).tolist(), strict=True)),
                    system_attrs={GENERATION: 0},
                )
            )
        return study
