"""Which knobs matter, how much, and how sure that is.

A knob's *share* is its total-effect index (Homma and Saltelli, 1996): the share of the variance of
the objective, over configurations drawn evenly from the space, that would go if the knob were held
fixed. For a positive objective it is the variance of its logarithm, and the interval holds the
share of the objective itself as well. Shares of knobs that act together overlap, so that they may
add up to more than 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from scipy.stats import rankdata

from tuner.pipeline.arrays import Array
from tuner.pipeline.basis import Basis
from tuner.pipeline.effects import LEAST_TRIALS, NEGLIGIBLE, Effects, Estimated
from tuner.pipeline.lasso import entering_order
from tuner.pipeline.linear import Terms
from tuner.pipeline.units import unit_factors
from tuner.recommenders.base import Observation, Problem

SURE = 0.975
"""From this probability on that a knob's share is above 0, it is said to matter."""

MISFIT = 0.07
"""Functions of degree 7 follow a step to within this share of its variance: no share is known
better, be there ever so many trials."""

UNKNOWN = Estimated(value=0.0, low=0.0, high=1.0)
"""The share of a knob of which nothing can be told."""


class Verdict(StrEnum):
    """Whether a knob matters."""

    MATTERS = "matters"
    NO_EFFECT = "no measurable effect"
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True)
class KnobImportance:
    """One knob's share, 0 to 1, with a 95 % interval.

    `chance`: the probability that the share is above 0. `place` is 1 for the most important knob,
    with a 95 % interval. `enters` is the place at which it enters the Lasso path, OtterTune's
    ranking; None for never.
    """

    knob: str
    share: Estimated
    chance: float
    place: int
    place_low: int
    place_high: int
    enters: int | None
    verdict: Verdict

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {**vars(self), "share": self.share.to_dict(), "verdict": str(self.verdict)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> KnobImportance:
        """Read `to_dict`'s form."""
        share, verdict = Estimated.from_dict(data["share"]), Verdict(data["verdict"])
        return cls(**{**data, "share": share, "verdict": verdict})


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The knobs by falling importance: by their mean shares over all models.

    `model` is the one the data chose, which gives the intervals; "" where nothing could be fitted.
    `skills` are the shares of the variance of unseen trials that each model predicted.
    """

    knobs: tuple[KnobImportance, ...]
    model: str
    skills: Mapping[str, float]
    trials: int
    failures: int
    reason: str

    def __getitem__(self, knob: str) -> KnobImportance:
        return next(one for one in self.knobs if one.knob == knob)

    @property
    def deciding(self) -> tuple[str, ...]:
        """The knobs that matter, the most important first."""
        return tuple(one.knob for one in self.knobs if one.verdict is Verdict.MATTERS)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {
            **vars(self),
            "knobs": [one.to_dict() for one in self.knobs],
            "skills": dict(self.skills),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Ranking:
        """Read `to_dict`'s form."""
        return cls(**{**data, "knobs": tuple(map(KnobImportance.from_dict, data["knobs"]))})


def rank_knobs(problem: Problem, observations: Sequence[Observation], *, seed: int = 0) -> Ranking:
    """Which knobs matter for the problem's first objective, by all that was measured.

    Pinned knobs and knobs with one value are left out, and so are failures, which have no value.

    >>> from tuner import Optimizer, space_from_params
    >>> optimizer = Optimizer(space_from_params([
    ...     {"name": "cache", "type": "int", "low": 1, "high": 1024, "log": True},
    ...     {"name": "idle", "type": "float", "low": 0.0, "high": 1.0},
    ... ]), "sobol")
    >>> for one in optimizer.ask_many(24):
    ...     optimizer.tell(one, 90.0 / one["cache"] ** 0.2)
    >>> ranking = rank_knobs(optimizer.problem, optimizer.observations)
    >>> ranking.deciding
    ('cache',)
    >>> ranking["cache"].share.low > 0.8 > 0.1 > ranking["idle"].share.high
    True

    Raises:
        ValueError: an observed value is not finite.
    """
    return ranking_of(Effects.fit(problem, observations, seed=seed), seed=seed)


def ranking_of(effects: Effects, *, seed: int = 0) -> Ranking:
    """The same for effects that were fitted before."""
    rng = np.random.default_rng(seed)
    shares = effects.shares(rng)
    factors = unit_factors(effects, shares, rng).tolist()
    columns = effects.encoder.columns
    order = np.argsort(-effects.importance, kind="stable")
    places = _places(shares)
    entered = _entered(effects)
    knobs = []
    for place, column in enumerate(order.tolist(), start=1):
        share, chance = UNKNOWN, 0.5
        low, high = 1, len(columns)
        if effects.can_tell:
            share = Estimated.of(shares[:, column], slack=effects.missed)
            share = share.times(factors[column]).stretched(MISFIT)
            chance = float((shares[:, column] > 0).mean())
            low, high = np.quantile(places[:, column], [0.025, 0.975]).round().astype(int).tolist()
        knobs.append(
            KnobImportance(
                knob=columns[column].knob,
                share=share,
                chance=chance,
                place=place,
                place_low=min(low, place),
                place_high=max(high, place),
                enters=entered.get(column),
                verdict=_verdict(share, chance),
            )
        )
    return Ranking(
        knobs=tuple(knobs),
        model=effects.draws.name if effects.draws else "",
        skills=effects.skills,
        trials=len(effects.history.measured),
        failures=len(effects.history.failed),
        reason=_reason(effects, knobs),
    )


def _places(shares: Array) -> Array:
    """(n_draws, n_columns): each column's place in each draw, equals sharing their middle."""
    return np.asarray(rankdata(-shares, axis=1)) if len(shares) else shares


def _entered(effects: Effects) -> dict[int, int]:
    """Each column's place on the Lasso path."""
    if effects.draws is None:
        return {}
    order = entering_order(Terms(Basis.of(effects.encoder)), effects.trials)
    return {column: place for place, column in enumerate(order, start=1)}


def _verdict(share: Estimated, chance: float) -> Verdict:
    if share.low > 0.0 and chance >= SURE:
        return Verdict.MATTERS
    return Verdict.NO_EFFECT if share.high < NEGLIGIBLE else Verdict.UNDECIDED


def _reason(effects: Effects, knobs: Sequence[KnobImportance]) -> str:
    measured = len(effects.history.measured)
    if measured < LEAST_TRIALS:
        return f"nothing can be told from {measured} configurations: it takes {LEAST_TRIALS}"
    if effects.draws is None:
        return f"nothing can be told: no knob is free, or all {measured} trials gave the same value"
    if not effects.can_tell:
        return (
            f"nothing can be told: from {measured} configurations no model predicts unseen trials "
            "better than their mean does"
        )
    deciding = [one.knob for one in knobs if one.verdict is Verdict.MATTERS]
    none = sum(one.verdict is Verdict.NO_EFFECT for one in knobs)
    undecided = len(knobs) - none - len(deciding)
    return (
        f"sure to matter: {', '.join(deciding) or 'none'}; no measurable effect: {none} of "
        f"{len(knobs)} knobs; undecided: {undecided}; {effects.draws.words} predicted "
        f"{100 * effects.skill:.0f} % of the variance of unseen trials, from {measured} "
        "configurations"
    )
