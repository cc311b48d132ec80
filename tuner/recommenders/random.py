"""Uniform random configurations: the yardstick, and the best where nothing can be learnt."""

from __future__ import annotations

import numpy as np

from tuner.history import History
from tuner.recommenders.base import Suggestion, SuggestionKind
from tuner.recommenders.sequential import SequentialRecommender, State
from tuner.sampling import sample


class RandomRecommender(SequentialRecommender):
    """Draws every knob on its own scale; never the same configuration twice."""

    name = "random"
    summary = "uniform random search without repeats"
    source = "Bergstra and Bengio, JMLR 2012"
    heeds_every_objective = True  # for it looks at none

    def propose(
        self, history: History, state: State, rng: np.random.Generator
    ) -> tuple[Suggestion, State]:
        [configuration] = sample(history.encoder, 1, rng, avoid=history.seen)
        suggestion = Suggestion(
            configuration=configuration,
            kind=SuggestionKind.EXPLORE,
            lane=self.name,
            reason="Random search: drawn evenly from the whole space, whatever was seen so far.",
        )
        return suggestion, state
