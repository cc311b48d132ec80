"""A scrambled Sobol sequence: spreads more evenly than chance, whatever was seen."""

from __future__ import annotations

import numpy as np

from targets.knobs import Value
from tuner.history import History
from tuner.recommenders.base import Suggestion, SuggestionKind
from tuner.recommenders.sequential import SequentialRecommender, State
from tuner.repair import repaired_row
from tuner.sampling import sample_rows, sobol

POINTS = 64
"""Points of the sequence looked at for one that was not seen, before a random one is taken."""


class SobolRecommender(SequentialRecommender):
    """Walks along one sequence; the state keeps its seed and the place reached."""

    name = "sobol"
    summary = "a scrambled Sobol sequence: an even spread over the whole space"
    source = "Sobol, 1967; Owen's scrambling, 1998; scipy.stats.qmc"
    heeds_every_objective = True  # for it looks at none

    def propose(
        self, history: History, state: State, rng: np.random.Generator
    ) -> tuple[Suggestion, State]:
        seed = int(state.get("seed", rng.integers(2**31)))
        configuration, place = _next(history, int(state.get("place", 0)), rng, seed=seed)
        suggestion = Suggestion(
            configuration=configuration,
            kind=SuggestionKind.EXPLORE,
            lane=self.name,
            reason=f"Sobol sequence, point {place}: spread evenly, whatever was seen so far.",
        )
        return suggestion, {**state, "seed": seed, "place": place}


def _next(
    history: History, place: int, rng: np.random.Generator, *, seed: int
) -> tuple[dict[str, Value], int]:
    """The next point that is new, and the place behind it."""
    encoder = history.encoder
    for index in range(place, place + POINTS):
        [point] = sobol(encoder, index, seed=seed)
        row = repaired_row(encoder, point, rng)
        if row is not None and not history.seen_rows.holds(row[None, :], canonical=True)[0]:
            return encoder.decode(row), index + 1
    [row] = sample_rows(encoder, 1, rng, avoid=history.seen_rows)
    return encoder.decode(row), place + POINTS
