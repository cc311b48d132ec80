"""The lane of `auto` that begins with what other sessions saw."""

from __future__ import annotations

import numpy as np

from tuner.history import History
from tuner.recommenders.base import Suggestion, SuggestionKind
from tuner.recommenders.search import suggest_by
from tuner.surrogates.transfer_model import TransferModel

LANE = "transfer"


def by_sources(history: History, learnt: TransferModel, rng: np.random.Generator) -> Suggestion:
    """What other sessions' models and what was measured here together promise most of.

    Raises:
        SpaceExhausted: everything was tried.
    """
    names = ", ".join(source.name for source in learnt.weightiest)
    known = learnt.heard.candidates(history.encoder)
    return suggest_by(history, learnt, rng, lane=LANE, by=f"With what {names} taught", also=known)


def by_what_was_best(history: History, learnt: TransferModel, *, turn: int) -> Suggestion | None:
    """The best that one other session measured, which of them going by turns: where they disagree,
    what all together expect is the best of none. None where all was tried.

    Measured, for what a model promises beyond that may not even be allowed.
    """
    sources = learnt.heard.sources
    source = sources[turn % len(sources)]
    pool = history.unseen(source.best_here(history.encoder))
    if not pool:
        return None
    return Suggestion(
        configuration=pool[0],
        kind=SuggestionKind.WARM_START,
        lane=LANE,
        reason=f"Among the best in {source.name}.",
    )
