"""Tree-structured Parzen estimators, by Optuna: densities of the good and of the rest."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from targets.knobs import Configuration
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
from tuner.surrogates.fitting import best_and_latest

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import TrialState


LARGEST_STUDY = 200
"""Of more measured configurations the best half and the latest half are told: the study is built
anew for every suggestion, and a thousand trials take a second."""


class TreeParzenRecommender(SequentialRecommender):
    """Optuna's multivariate, grouped TPE on an in-memory study rebuilt at every call."""

    name = "optuna-tpe"
    summary = "Optuna's tree-structured Parzen estimator: quick, at home with conditional knobs"
    source = "Bergstra et al., NeurIPS 2011; Watanabe, arXiv 2304.11127; Optuna"
    heeds_limits = True
    settings_declared = (
        Setting(
            name="candidates",
            default=24,
            low=1,
            high=1000,
            help="samples of the good density compared at each suggestion",
        ),
    )

    def propose(
        self, history: History, state: State, rng: np.random.Generator
    ) -> tuple[Suggestion, State]:
        return propose_start(history, state, rng) or (self.search(history, rng), state)

    def search(self, history: History, rng: np.random.Generator) -> Suggestion:
        """A suggestion once there is something to learn from."""
        optuna = optuna_of(self.name)
        with quiet(optuna):
            study = self._study(optuna, history, rng)
            configuration, why = new_one(
                history,
                lambda: ask_for(study.ask(), history.encoder),
                rng,
                because="likelier among the good configurations than among the rest",
            )
        return Suggestion(
            configuration=configuration,
            kind=SuggestionKind.EXPLOIT,
            lane=self.name,
            reason=f"Parzen estimator: {why}. {moves(history, configuration)}",
        )

    def _study(self, optuna: ModuleType, history: History, rng: np.random.Generator) -> Study:
        """Everything known as a study.

        A failed or unacceptable trial is told as pruned without a value, which Optuna ranks below
        every completed one; trials told as failed it would not look at. Configurations in flight
        are running trials, which its constant liar takes for poor ones.
        """
        study: Study = optuna.create_study(
            direction="minimize",
            sampler=optuna.samplers.TPESampler(
                multivariate=True,
                group=True,
                constant_liar=True,
                n_startup_trials=0,
                n_ei_candidates=int(self.options["candidates"]),
                seed=int(rng.integers(2**31)),
            ),
        )
        states = optuna.trial.TrialState
        told: list[tuple[Configuration, TrialState, float | None]] = [
            (one, states.RUNNING, None) for one in history.pending
        ]
        told += [(one.configuration, states.PRUNED, None) for one in history.failed]
        for place in best_and_latest(history, LARGEST_STUDY):
            one = history.measured[place]
            if one.acceptable:
                told.append((one.configuration, states.COMPLETE, float(history.costs[place])))
            else:
                told.append((one.configuration, states.PRUNED, None))
        distributions = {column.knob: distribution_of(column) for column in history.encoder.columns}
        for configuration, state, value in told:
            parameters = parameters_of(history.encoder, configuration)
            kept = {name: distributions[name] for name in parameters}
            study.add_trial(
                optuna.create_trial(state=state, value=value, params=parameters, distributions=kept)
            )
        return study
