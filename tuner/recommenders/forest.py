"""SMAC's way: a random forest of costs on logarithms, local search, and a little chance."""

from __future__ import annotations

import numpy as np

from targets.settings import Setting
from tuner.history import History
from tuner.recommenders.base import Suggestion
from tuner.recommenders.lanes import by_chance
from tuner.recommenders.search import suggest_by
from tuner.recommenders.sequential import State
from tuner.recommenders.start import propose_start
from tuner.recommenders.weighed import WeighingRecommender
from tuner.surrogates.regression_forest import fit_regression_forest


class ForestRecommender(WeighingRecommender):
    """A random forest with expected improvement, interleaved with random configurations.

    Improvement is sought among random configurations and the neighbours of the best, then climbed
    from the better ones (`search`). Interleaving keeps a wrong model from holding the search.
    """

    name = "forest"
    summary = "SMAC's way: a random forest, for cliffs, many knobs and hundreds of trials"
    source = "Hutter, Hoos and Leyton-Brown, LION 2011; Lindauer et al., SMAC3, JMLR 2022"
    settings_declared = (
        Setting(
            name="interleaved",
            default=0.05,
            low=0.0,
            high=1.0,
            help="share of trials that are random, whatever the model says",
        ),
    )

    def propose_one(
        self, history: History, state: State, rng: np.random.Generator
    ) -> tuple[Suggestion, State]:
        return propose_start(history, state, rng) or (self.search(history, rng), state)

    def search(self, history: History, rng: np.random.Generator) -> Suggestion:
        """A suggestion once there is something to learn from."""
        if rng.random() < float(self.options["interleaved"]):
            return by_chance(history, rng)
        model = fit_regression_forest(history, rng)
        return suggest_by(history, model, rng, lane=self.name, by="Trees")
