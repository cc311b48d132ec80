"""Choosing by a model of cost: candidates, expected improvement, and the reason in words."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from targets.knobs import Value
from tuner.history import History
from tuner.recommenders.base import Expectation, Suggestion, SuggestionKind
from tuner.recommenders.climbing import climbed
from tuner.recommenders.subspace import Subspace
from tuner.recommenders.wording import forecast, moves
from tuner.sampling import neighbour_rows, sample_rows
from tuner.space import Rows
from tuner.surrogates.acceptability import Acceptability
from tuner.surrogates.base import Predictor, Vector

LARGEST_LIST = 1_000
"""A finite space of up to this many configurations is scored as a whole."""

RANDOM_CANDIDATES = 400
"""Drawn all over a larger space."""

NEAR_BEST = 3
"""The neighbours of this many of the best are candidates too."""

CLIMBS = 3
"""How often the best candidate's own neighbours are looked at."""

INTERVAL_SDS = 1.96
"""Standard deviations either side that hold 95 % of a normal distribution."""

SURE = 0.95
"""A chance to work that is not worth a word."""

UNLIKELY = 0.25
"""A smaller chance to work is taken only where there is nothing else."""

LAST = 1e-9
"""The weight that puts such a one last, and still tells the better of two."""

Candidates = list[dict[str, Value]]


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """Scores configurations: expected improvement times the chance of being acceptable."""

    history: History
    model: Predictor
    acceptability: Acceptability
    best_cost: float

    @classmethod
    def of(cls, history: History, model: Predictor, rng: np.random.Generator) -> Scorer:
        """What counts as improvement is what beats the model's word on the best, not luck.

        What is in flight is believed to come to what the model says, if it is likely to work: else
        all around it would still seem an improvement, and a batch be one point and its neighbours.
        """
        acceptability = Acceptability.fit(history, seed=int(rng.integers(2**31)))
        costs, _ = model.predict(history.rows)
        eligible = history.acceptable if history.acceptable.any() else np.ones(len(costs), bool)
        best = costs[eligible].min()
        in_flight = history.in_flight_rows
        if len(in_flight):
            in_flight = in_flight[acceptability.chance(in_flight) > 0.5]
        if len(in_flight):
            best = min(best, model.predict(in_flight)[0].min())
        return cls(
            history=history,
            model=model,
            acceptability=acceptability,
            best_cost=float(best),
        )

    @property
    def feasibility_first(self) -> bool:
        """Whether there are limits, and nothing measured keeps them."""
        return bool(self.acceptability.limits) and not self.history.acceptable.any()

    def scores(self, rows: Rows) -> Vector:
        """(n,): higher is better, at rows (n, n_columns).

        While nothing measured keeps the limits, only the chance to keep them counts (Gelbart, Snoek
        and Adams, UAI 2014, section 3.2).
        """
        if self.feasibility_first:
            return self.acceptability.log_chance(rows)
        mean, sd = self.model.predict(rows)
        chance = self.acceptability.chance(rows)
        # Beyond a cliff a model promises so much that even a small chance would be taken, again
        # and again; so what probably fails comes last, whatever it promises.
        weight = np.where(chance < UNLIKELY, LAST * chance, chance)
        return expected_improvement(mean, sd, self.best_cost) * weight


def expected_improvement(mean: Vector, sd: Vector, best: float) -> Vector:
    """(n,): the mean of `max(0, best - cost)` (Jones, Schonlau and Welch, 1998)."""
    z = (best - mean) / sd
    density = np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)
    return np.asarray(sd * (z * ndtr(z) + density))


def choose(
    scorer: Scorer,
    rng: np.random.Generator,
    *,
    also: Candidates | None = None,
    within: Subspace | None = None,
) -> NDArray[np.float64]:
    """(n_columns,): the row of the configuration, not seen before, that scores best.

    Args:
        also: candidates beside those that are drawn.
        within: the part of a wide space to search; None for all of it.

    Raises:
        SpaceExhausted: there is none left.
    """
    history = scorer.history
    pool = np.empty((0, history.encoder.n_columns))
    if within:
        pool = within.candidates(history, rng, count=RANDOM_CANDIDATES)
    if not len(pool):
        pool = candidates(history, rng)
    if also:
        pool = np.vstack((pool, history.encoder.encode_many(history.unseen(also))))
    scores = scorer.scores(pool)
    place = int(scores.argmax())
    chosen, score = pool[place], scores[place]
    if within:
        return climbed(history, scorer.scores, chosen, columns=within.columns)
    for _ in range(CLIMBS):
        near = neighbour_rows(history.encoder, chosen, avoid=history.seen_rows)
        scores = scorer.scores(near) if len(near) else np.array([-np.inf])
        if scores.max() <= score:
            break
        chosen, score = near[int(scores.argmax())], scores.max()
    return np.asarray(chosen)


def candidates(
    history: History, rng: np.random.Generator, *, count: int = RANDOM_CANDIDATES
) -> Rows:
    """(n, n_columns): all that is left of a small space; else `count` draws, and the neighbours of
    the best.

    Raises:
        SpaceExhausted: there is none left.
    """
    encoder, seen = history.encoder, history.seen_rows
    if encoder.listable and len(encoder.listed_rows) <= LARGEST_LIST:
        return sample_rows(encoder, LARGEST_LIST, rng, avoid=seen)
    pool = [sample_rows(encoder, count, rng, avoid=seen)]
    for place in history.ranking[:NEAR_BEST]:
        pool.append(neighbour_rows(encoder, history.rows[place], avoid=seen))
    return np.vstack(pool)


def suggest_by(
    history: History,
    model: Predictor,
    rng: np.random.Generator,
    *,
    lane: str,
    by: str,
    also: Candidates | None = None,
) -> Suggestion:
    """The best-scoring configuration, with what the model expects of it.

    Args:
        lane: the suggestion's lane.
        by: the model's name, to begin the reason with.
        also: further candidates.

    Raises:
        SpaceExhausted: there is none left.
    """
    scorer = Scorer.of(history, model, rng)
    # Where nothing keeps the limits yet, what is good says little about where to look.
    within = None if scorer.feasibility_first else Subspace.of(history, model, rng)
    row = choose(scorer, rng, also=also, within=within)[None, :]
    [chosen] = history.encoder.decode_many(row)
    [cost], [sd] = model.predict(row)
    [chance] = scorer.acceptability.chance(row)
    exploits = cost < scorer.best_cost
    low, high = cost - INTERVAL_SDS * sd, cost + INTERVAL_SDS * sd
    ends = history.scale.value(low), history.scale.value(high)
    hopes = f"expected {forecast(history.scale, scorer.best_cost, cost, low, high)}"
    if history.aim is not None:
        odds = float(ndtr((scorer.best_cost - cost) / sd))
        hopes = f"{odds:.0%} likely to beat all that was measured, so weighed"
    if not exploits:
        hopes += ", but uncertain enough to be worth a trial"
    works = "work and keep the limits" if scorer.acceptability.limits else "work at all"
    if scorer.feasibility_first:
        hopes = "nothing measured keeps the limits yet, and this is likeliest to"
    return Suggestion(
        configuration=chosen,
        kind=SuggestionKind.EXPLOIT if exploits else SuggestionKind.EXPLORE,
        lane=lane,
        reason=f"{by}: {hopes}"
        f"{'' if chance > SURE else f', {chance:.0%} likely to {works}'}. "
        f"{within.words if within else ''}{moves(history, chosen)}",
        expected=Expectation(value=history.scale.value(cost), low=min(ends), high=max(ends)),
    )
