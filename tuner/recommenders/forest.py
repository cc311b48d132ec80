"""Randomised trees as the model: robust to cliffs, at ease with hundreds of trials."""

from __future__ import annotations

import numpy as np

from tuner.history import History
from tuner.recommenders.base import Suggestion
from tuner.recommenders.search import suggest_by
from tuner.recommenders.sequential import SequentialRecommender, State
from tuner.recommenders.start import propose_start
from tuner.surrogates.fitting import fit_forest


class ForestRecommender(SequentialRecommender):
    """Extremely randomised trees with expected improvement."""

    name = "forest"
    summary = "randomised trees: for cliffs, many knobs and hundreds of trials"
    source = "Hutter, Hoos and Leyton-Brown, LION 2011 (SMAC); Geurts et al., 2006"

    def propose(
        self, history: History, state: State, rng: np.random.Generator
    ) -> tuple[Suggestion, State]:
        return propose_start(history, state, rng) or (self.search(history, rng), state)

    def search(self, history: History, rng: np.random.Generator) -> Suggestion:
        """A suggestion once there is something to learn from."""
        model = fit_forest(history, seed=int(rng.integers(2**31)))
        return suggest_by(history, model, rng, lane=self.name, by="Trees")
