"""Tree-structured Parzen estimators: a draw from where the good lie thick and the rest does not."""

from __future__ import annotations

import numpy as np

from tuner.history import History
from tuner.recommenders.base import Suggestion, SuggestionKind
from tuner.recommenders.search import UNLIKELY
from tuner.recommenders.sequential import State
from tuner.recommenders.start import propose_start
from tuner.recommenders.weighed import WeighingRecommender
from tuner.recommenders.wording import moves
from tuner.repair import repaired_rows
from tuner.sampling import neighbour_rows, sample_rows
from tuner.space import Rows
from tuner.surrogates.acceptability import Acceptability
from tuner.surrogates.fitting import best_and_latest
from tuner.surrogates.parzen import ParzenEstimator

LANE = "parzen"

CANDIDATES = 24
"""Drawn and compared, as Optuna's sampler does. Few enough that draws differ from one turn to the
next: the lane is there to look elsewhere than the models do."""

LARGEST = 200
"""Of more measured configurations, the best half and the latest half are told."""


class ParzenRecommender(WeighingRecommender):
    """A start design, then a draw of the estimators at every trial; `auto`'s quickest lane by
    itself."""

    name = "parzen"
    summary = "our own tree-structured Parzen estimators: draws from where the good lie thick"
    source = "Bergstra et al., NeurIPS 2011; Watanabe, arXiv 2304.11127"

    def propose_one(
        self, history: History, state: State, rng: np.random.Generator
    ) -> tuple[Suggestion, State]:
        return propose_start(history, state, rng) or (by_density(history, rng), state)


def by_density(history: History, rng: np.random.Generator) -> Suggestion:
    """The draw, not seen before, that is likeliest among the good rather than among the rest.

    Raises:
        SpaceExhausted: everything was tried.
    """
    places = best_and_latest(history, LARGEST)
    fit = history.acceptable[places]
    rows = history.rows[places]
    estimator = ParzenEstimator.of(
        rows[fit],
        history.costs[places][fit],
        history.encoder.levels,
        bad=np.vstack((history.uninformative_rows, rows[~fit])),
    )
    drawn = estimator.good.draw(CANDIDATES, rng)
    pool, why = _feasible(history, drawn, rng)
    chance = Acceptability.fit(history, seed=int(rng.integers(2**31))).chance(pool)
    likely = chance >= UNLIKELY
    if likely.any():
        pool = pool[likely]
    else:
        why = f"{why}, although it probably fails"
    row = pool[int(estimator.preference(pool).argmax())]
    [chosen] = history.encoder.decode_many(row[None, :])
    return Suggestion(
        configuration=chosen,
        kind=SuggestionKind.EXPLOIT,
        lane=LANE,
        reason=f"Parzen estimator: {why}. {moves(history, chosen)}",
    )


def _feasible(history: History, drawn: Rows, rng: np.random.Generator) -> tuple[Rows, str]:
    """(n, n_columns): what may be tried of what was drawn, or else of what is near; and why."""
    encoder, seen = history.encoder, history.seen_rows
    rows = encoder.canonical_rows(drawn)
    good = ~encoder.breaches(rows).any(axis=1)
    kept = rows[good]
    if not len(kept):
        kept = repaired_rows(encoder, rows, rng, enough=1)
    new = kept[seen.fresh(kept, canonical=True)]
    if len(new):
        return new, "likelier among the good configurations than among the rest"
    for wanted in kept[:1]:
        near = neighbour_rows(encoder, wanted, avoid=seen)
        if len(near):
            return near, "what it wants was tried, so a neighbour of it"
    return sample_rows(encoder, 1, rng, avoid=seen), "all it wants was tried, so at random"
