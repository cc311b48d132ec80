"""AutoTVM's way: a cost model that ranks, annealing over the model, and a little chance.

Boosted trees learn which of two configurations is better (`tuner.surrogates.boosting`). Parallel
simulated annealing climbs their score over the whole space. Of what it met, the next trial is the
best that also brings values not among the latest; and now and then it is a random one.
"""

from __future__ import annotations

import math

import numpy as np

from targets.settings import Setting
from tuner.history import History
from tuner.recommenders.base import Suggestion, SuggestionKind
from tuner.recommenders.lanes import by_chance
from tuner.recommenders.sequential import SequentialRecommender, State
from tuner.recommenders.start import propose_start
from tuner.recommenders.wording import moves
from tuner.repair import repaired_rows
from tuner.sampling import neighbour_rows
from tuner.space import Rows, SpaceEncoder
from tuner.surrogates.acceptability import Acceptability
from tuner.surrogates.base import Vector
from tuner.surrogates.boosting import RankBoost
from tuner.surrogates.fitting import best_and_latest

LARGEST_FIT = 200
"""Configurations the model is fitted to; pairs, and time, grow with the square."""

CHAINS = 48
"""Walkers that anneal side by side."""

ANNEALING = 50
"""Steps of each."""

SHORT_STEP = 0.15
"""Standard deviation of half of the moves along an ordered axis; the others go anywhere."""

SHORTLIST = 400
"""The best met by the model's score are also asked how likely they are to work."""

LOOKED_AT = 120
"""The best of these are mended and compared."""

BATCH = 8
"""A trial is to differ from those of its batch, told or in flight; AutoTVM measures 64 at once."""

BINS = 8
"""An ordered column counts as that many values when new values are counted."""


class BoostedRankRecommender(SequentialRecommender):
    """Annealing over boosted trees that rank, with an epsilon of chance."""

    name = "boosted-rank"
    summary = "AutoTVM's way: boosted trees that rank, annealed: for compute kernels and schedules"
    source = "Chen et al., Learning to Optimize Tensor Programs, NeurIPS 2018; Burges, 2010"
    heeds_limits = True
    settings_declared = (
        Setting(
            name="epsilon",
            default=0.05,
            low=0.0,
            high=1.0,
            help="share of trials that are random, in case the model is wrong",
        ),
        Setting(
            name="diversity",
            default=0.5,
            low=0.0,
            high=10.0,
            help="what a configuration of all new values is worth, in log odds of being better",
        ),
    )

    def propose(
        self, history: History, state: State, rng: np.random.Generator
    ) -> tuple[Suggestion, State]:
        return propose_start(history, state, rng) or (self.search(history, rng), state)

    def search(self, history: History, rng: np.random.Generator) -> Suggestion:
        """A suggestion once there is something to learn from."""
        if rng.random() < float(self.options["epsilon"]):
            return by_chance(history, rng)
        model = _fit(history, rng)
        acceptability = Acceptability.fit(history, seed=int(rng.integers(2**31)))

        def worth_of(rows: Rows) -> Vector:
            return np.asarray(model.score(rows) + np.log(acceptability.chance(rows)))

        met = anneal(history, model, rng)[:SHORTLIST]
        pool = _new(history, met[np.argsort(-worth_of(met), kind="stable")], rng)
        if not len(pool):
            return by_chance(history, rng)
        worth, novelty = worth_of(pool), newness(history.encoder, pool, _batch(history))
        place = int((worth + float(self.options["diversity"]) * novelty).argmax())
        eligible = history.acceptable if history.acceptable.any() else slice(None)
        ahead = float(worth[place] - model.score(history.rows[eligible]).max())
        chosen = history.encoder.decode(pool[place])
        return Suggestion(
            configuration=chosen,
            kind=SuggestionKind.EXPLOIT if ahead >= 0 else SuggestionKind.EXPLORE,
            lane=self.name,
            reason=f"Boosted ranking: {1 / (1 + math.exp(-ahead)):.0%} odds against the best, "
            f"{novelty[place]:.0%} of its values not among the latest. "
            f"{moves(history, chosen)}",
        )


def _fit(history: History, rng: np.random.Generator) -> RankBoost:
    """What is in flight is taken for as bad as the worst measured, so that a batch is not one point
    and its neighbours (the constant liar of Ginsbourger, Le Riche and Carraro, 2010)."""
    places = best_and_latest(history, LARGEST_FIT)
    costs, in_flight = history.costs[places], history.in_flight_rows
    return RankBoost.fit(
        history.encoder,
        np.vstack((history.rows[places], in_flight)),
        np.concatenate((costs, np.full(len(in_flight), costs.max()))),
        seed=int(rng.integers(2**31)),
    )


def anneal(history: History, model: RankBoost, rng: np.random.Generator) -> Rows:
    """(m, n_columns): what the walkers met, the best first, each once.

    Half of them start from the best known, the others anywhere. The temperature falls linearly
    from 1 to 0 (AutoTVM's schedule); scores are log odds, so that 1 is their own unit.
    """
    encoder = history.encoder
    rows = encoder.from_unit(rng.random((CHAINS, encoder.n_columns)))
    best = history.rows[history.ranking[: CHAINS // 2]]
    rows[: len(best)] = best
    scores = model.score(rows)
    met, values = [rows], [scores]
    for turn in range(ANNEALING):
        moved = _moved(encoder, rows, rng)
        found = model.score(moved)
        temperature = 1.0 - turn / ANNEALING
        taken = rng.random(CHAINS) < np.exp(np.minimum(0.0, (found - scores) / temperature))
        rows, scores = np.where(taken[:, None], moved, rows), np.where(taken, found, scores)
        met.append(moved)
        values.append(found)
    every, first = np.unique(np.vstack(met), axis=0, return_index=True)
    return np.asarray(every[np.argsort(-np.concatenate(values)[first], kind="stable")])


def newness(encoder: SpaceEncoder, rows: Rows, batch: Rows) -> Vector:
    """(m,): the share of each row's values that no row of the batch has."""
    if not len(batch) or not encoder.n_columns:
        return np.zeros(len(rows))
    bins, taken = _bins(encoder, rows), _bins(encoder, batch)
    return np.asarray((bins[:, None, :] != taken[None, :, :]).all(axis=1).mean(axis=1))


def _bins(encoder: SpaceEncoder, rows: Rows) -> Rows:
    return np.where(encoder.levels > 0, rows, np.floor(rows * BINS))


def _moved(encoder: SpaceEncoder, rows: Rows, rng: np.random.Generator) -> Rows:
    """Every row with one column changed: a short step, or anywhere."""
    if not encoder.n_columns:
        return rows
    lines = np.arange(len(rows))
    columns = rng.integers(encoder.n_columns, size=len(rows))
    anywhere = encoder.from_unit(rng.random(rows.shape))[lines, columns]
    short = np.clip(rows[lines, columns] + SHORT_STEP * rng.standard_normal(len(rows)), 0.0, 1.0)
    far = (rng.random(len(rows)) < 0.5) | (encoder.levels[columns] > 0)
    moved = rows.copy()
    moved[lines, columns] = np.where(far, anywhere, short)
    return moved


def _batch(history: History) -> Rows:
    """What the next trial is to differ from: in flight, and told since the batch began."""
    told = len(history.outcomes) % BATCH
    since = {one.key for one in history.outcomes[len(history.outcomes) - told :]}
    latest = np.array([one.key in since for one in history.measured], bool)
    return np.vstack((history.uninformative_rows, history.rows[latest]))


def _new(history: History, rows: Rows, rng: np.random.Generator) -> Rows:
    """The first of the rows, made feasible, that were not seen before; else their neighbours."""
    known = history.seen_rows
    mended = repaired_rows(history.encoder, rows[:LOOKED_AT], rng)
    new = mended[known.fresh(mended, canonical=True)]
    if len(new):
        return new
    near = [neighbour_rows(history.encoder, row, avoid=known) for row in mended]
    return np.vstack((new, *near))
