"""Trees by scikit-optimize: extremely randomised ones, or a random forest."""

from __future__ import annotations

import numpy as np

from targets.settings import Setting
from tuner.history import History
from tuner.recommenders.base import Suggestion
from tuner.recommenders.search import suggest_by
from tuner.recommenders.sequential import SequentialRecommender, State
from tuner.recommenders.skopt_model import fit_skopt
from tuner.recommenders.start import propose_start

ESTIMATORS = {"extra": "ET", "random": "RF"}
"""scikit-optimize's names for the kinds of trees."""


class SkoptForestRecommender(SequentialRecommender):
    """scikit-optimize's trees with expected improvement."""

    name = "skopt-forest"
    summary = "scikit-optimize's trees: a well-known yardstick for `forest`"
    source = "Geurts, Ernst and Wehenkel, 2006; Breiman, 2001; scikit-optimize 0.10"
    heeds_limits = True
    settings_declared = (
        Setting(
            name="trees",
            default="extra",
            choices=tuple(ESTIMATORS),
            help="extremely randomised trees, or a random forest",
        ),
        Setting(
            name="history",
            default=1000,
            low=10,
            high=10_000,
            help="configurations the model is fitted to",
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
            ESTIMATORS[str(self.options["trees"])],
            recommender=self.name,
            largest=int(self.options["history"]),
            seed=int(rng.integers(2**31)),
        )
        return suggest_by(history, model, rng, lane=self.name, by="Trees of scikit-optimize")
