"""Lanes of the portfolio that are no recommenders of their own."""

from __future__ import annotations

import numpy as np

from tuner.history import History
from tuner.recommenders.base import Suggestion, SuggestionKind
from tuner.recommenders.search import suggest_by
from tuner.recommenders.wording import moves
from tuner.sampling import neighbours, sample
from tuner.surrogates.base import CostModel
from tuner.surrogates.fitting import fit_gaussian_process

ORIGINS = 3
"""How many of the best configurations a neighbour is looked for around."""


MODEL = "model"


def by_model(history: History, model: CostModel, rng: np.random.Generator) -> Suggestion:
    """The mixed-kernel Gaussian process with expected improvement."""
    return suggest_by(history, model, rng, lane=MODEL, by="Gaussian process")


def by_gaussian_process(history: History, rng: np.random.Generator) -> Suggestion:
    """The same, with a model of its own."""
    return by_model(history, fit_gaussian_process(history), rng)


def by_neighbour(history: History, rng: np.random.Generator) -> Suggestion:
    """One step of one knob from the best that still has an untried neighbour.

    Coordinate-wise search was the best peer on databases at about 50 trials.

    Raises:
        SpaceExhausted: everything was tried.
    """
    encoder = history.encoder
    for place in history.ranking[:ORIGINS]:
        new = history.unseen(neighbours(encoder, history.measured[place].configuration))
        if new:
            chosen = new[rng.integers(len(new))]
            return Suggestion(
                configuration=chosen,
                kind=SuggestionKind.EXPLOIT,
                lane="neighbour",
                reason=f"One step from a good configuration. {moves(history, chosen)}",
            )
    return by_chance(history, rng)


def by_chance(history: History, rng: np.random.Generator) -> Suggestion:
    """A random configuration: what is best where nothing can be learnt.

    Raises:
        SpaceExhausted: everything was tried.
    """
    [chosen] = sample(history.encoder, 1, rng, avoid=history.seen)
    return Suggestion(
        configuration=chosen,
        kind=SuggestionKind.EXPLORE,
        lane="random",
        reason="Drawn at random, in case the models are wrong about where to look.",
    )
