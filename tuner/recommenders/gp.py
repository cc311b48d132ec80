"""Our own Gaussian process over mixed knobs, with expected improvement."""

from __future__ import annotations

import numpy as np

from tuner.history import History
from tuner.recommenders.base import Suggestion
from tuner.recommenders.search import suggest_by
from tuner.recommenders.sequential import State
from tuner.recommenders.start import propose_start
from tuner.recommenders.weighed import WeighingRecommender
from tuner.surrogates.fitting import fit_gaussian_process


class GaussianProcessRecommender(WeighingRecommender):
    """A process that adds up what each knob does alone and what knobs do together; `auto`'s
    leading lane by itself."""

    name = "gp"
    summary = "a Gaussian process for mixed knobs: careful with few trials"
    source = (
        "Jones, Schonlau and Welch, 1998; Duvenaud, Nickisch and Rasmussen, NeurIPS 2011; "
        "Hvarfner et al., ICML 2024"
    )

    def propose_one(
        self, history: History, state: State, rng: np.random.Generator
    ) -> tuple[Suggestion, State]:
        started = propose_start(history, state, rng)
        if started is not None:
            return started
        model = fit_gaussian_process(history)
        return suggest_by(history, model, rng, lane=self.name, by="Gaussian process"), state
