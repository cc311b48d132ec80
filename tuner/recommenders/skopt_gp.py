"""A Gaussian process by scikit-optimize: its space, its kernel and its fit."""

from __future__ import annotations

import numpy as np

from targets.settings import Setting
from tuner.history import History
from tuner.recommenders.base import Suggestion
from tuner.recommenders.search import suggest_by
from tuner.recommenders.sequential import SequentialRecommender, State
from tuner.recommenders.skopt_model import fit_skopt
from tuner.recommenders.start import propose_start


class SkoptGaussianProcessRecommender(SequentialRecommender):
    """scikit-optimize's Gaussian process with expected improvement."""

    name = "skopt-gp"
    summary = "scikit-optimize's Gaussian process: careful with few trials, seconds a suggestion"
    source = "Snoek, Larochelle and Adams, NeurIPS 2012; scikit-optimize 0.10"
    heeds_limits = True
    settings_declared = (
        Setting(
            name="history",
            default=100,
            low=10,
            high=400,
            help="configurations the model is fitted to; 50 take seconds, 400 take minutes",
        ),
    )

    def propose(
        self, history: History, state: State, rng: np.random.Generator
    ) -> tuple[Suggestion, State]:
        return propose_start(history, state, rng) or (self.search(history, rng), state)

    def search(self, history: History, rng: np.random.Generator) -> Suggestion:
        """A suggestion once there is something to learn from."""
        model = fit_skopt(
            history,
            "GP",
            recommender=self.name,
            largest=int(self.options["history"]),
            seed=int(rng.integers(2**31)),
        )
        return suggest_by(history, model, rng, lane=self.name, by="Gaussian process")
