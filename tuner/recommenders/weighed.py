"""The frame of recommenders that search for one objective, for problems that have several."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

import numpy as np

from tuner.aims import aimed
from tuner.history import History
from tuner.recommenders.base import Suggestion
from tuner.recommenders.sequential import SequentialRecommender, State
from tuner.recommenders.start import LANE


class WeighingRecommender(SequentialRecommender):
    """Proposes for several objectives by weighing them anew for each suggestion (`tuner.aims`).

    With one objective it adds nothing.
    """

    heeds_every_objective = True
    heeds_limits = True

    def propose(
        self, history: History, state: State, rng: np.random.Generator
    ) -> tuple[Suggestion, State]:
        weighed = aimed(history, rng)
        suggestion, state = self.propose_one(weighed, state, rng)
        if weighed.aim is None or suggestion.lane == LANE:
            return suggestion, state
        # What weighed objectives are expected to come to is in no unit a user knows.
        words = f"{weighed.aim.words} {suggestion.reason}"
        return replace(suggestion, reason=words, expected=None), state

    @abstractmethod
    def propose_one(
        self, history: History, state: State, rng: np.random.Generator
    ) -> tuple[Suggestion, State]:
        """As `SequentialRecommender.propose`, for a history of one objective."""
