"""Which model explains a history best: the data choose, by how well unseen trials are predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from tuner.history import History
from tuner.pipeline.arrays import Array
from tuner.pipeline.draws import Draws, Fitted, Trials
from tuner.pipeline.lasso import fit_lasso
from tuner.pipeline.sparse import fit_sparse
from tuner.pipeline.trees import fit_trees
from tuner.recommenders.base import Observation, Problem
from tuner.space import SpaceEncoder

LEAST_TRIALS = 8
"""With fewer configurations measured nothing is said of any knob."""

LEAST_EVIDENCE = 2.0
"""Standard errors by which predictions of unseen trials must beat the plain mean: one-sided
97.5 %."""

PREFERENCE = 0.05
"""The share of variance by which another model must predict better than the sparse one, whose
intervals come from its posterior, to be chosen instead; and by as many standard errors."""

OPEN = (0.03, 0.975)
"""While an effect's probability is between these it is open whether there is one."""

LEAST_SKILL = 0.01
"""What a model that predicts nothing counts as having in the average."""

NEGLIGIBLE = 0.01
"""A share below this is no effect worth a name: a tenth of the objective's spread at most."""

MODELS = {"sparse": fit_sparse, "lasso": fit_lasso, "forest": fit_trees}
"""The models to choose from, the preferred one first."""


@dataclass(frozen=True, kw_only=True)
class Estimated:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, draws: Array, *, slack: float = 0.0) -> Estimated:
        """Mean and middle 95 % of draws (n,), the upper end raised by `slack`.

        Where the draws leave open whether there is any effect at all, the interval is that of the
        effect if there is one, and 0.
        """
        effect = draws[draws != 0.0]
        if OPEN[0] <= len(effect) / len(draws) <= OPEN[1]:
            low, high = np.quantile(effect, [0.025, 0.975]).tolist()
            low, high = min(low, 0.0), max(high, 0.0)
        else:
            low, high = np.quantile(draws, [0.025, 0.975]).tolist()
        return cls(value=float(np.clip(draws.mean(), low, high)), low=low, high=high + slack)

    def times(self, factor: float) -> Estimated:
        """The interval stretched to hold itself and itself times a factor; for shares."""
        low, high = self.low * min(factor, 1.0), self.high * max(factor, 1.0)
        return replace(self, low=low, high=min(high, 1.0))

    def stretched(self, share: float) -> Estimated:
        """The interval with its ends moved outwards by a share of themselves; for shares."""
        return replace(self, low=self.low * (1.0 - share), high=min(self.high * (1.0 + share), 1.0))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {"value": self.value, "low": self.low, "high": self.high}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Estimated:
        """Read `to_dict`'s form."""
        return cls(value=data["value"], low=data["low"], high=data["high"])


@dataclass(frozen=True, kw_only=True)
class Effects:
    """What a history says about its knobs: draws of the objective as a function of them.

    Attributes:
        draws: None while too little was measured, or the objective never changed.
        skills: model -> share of the variance of unseen trials that it predicts.
        importance: (n_columns,) mean shares, over all models by the square of their skill: where
            trials are few, what one model overlooks another finds.
        evidence: by how many standard errors the chosen one predicts better than the mean.
    """

    history: History
    trials: Trials
    draws: Draws | None
    skills: Mapping[str, float]
    importance: Array
    evidence: float

    @classmethod
    def of(cls, history: History, *, seed: int = 0) -> Effects:
        """Fit the models and choose."""
        rng = np.random.default_rng(seed)
        trials = Trials.of(history, rng)
        encoder = history.encoder
        if len(trials.targets) < LEAST_TRIALS or not encoder.n_columns or not trials.targets.any():
            nothing = np.zeros(encoder.n_columns)
            return cls(
                history=history,
                trials=trials,
                draws=None,
                skills={},
                importance=nothing,
                evidence=0.0,
            )
        # Matrices are small: several threads cost up to four times what one does.
        with threadpool_limits(1):
            fitted = {name: fit(encoder, trials, rng) for name, fit in MODELS.items()}
        chosen = _choose(trials, fitted)
        skills = {name: trials.skill(one.unseen) for name, one in fitted.items()}
        weights = np.array([max(skill, LEAST_SKILL) ** 2 for skill in skills.values()])
        shares = [one.draws.shares(encoder, rng).mean(axis=0) for one in fitted.values()]
        return cls(
            history=history,
            trials=trials,
            draws=fitted[chosen].draws,
            skills=skills,
            importance=np.average(shares, axis=0, weights=weights),
            evidence=_standard_errors(trials.blind_losses(), trials.losses(fitted[chosen].unseen)),
        )

    @classmethod
    def fit(
        cls, problem: Problem, observations: Sequence[Observation], *, seed: int = 0
    ) -> Effects:
        """As `of`, from observations.

        Raises:
            ValueError: an observed value is not finite.
        """
        return cls.of(History.of(problem, observations), seed=seed)

    @property
    def encoder(self) -> SpaceEncoder:
        """Of the problem's space."""
        return self.history.encoder

    @property
    def skill(self) -> float:
        """The chosen model's."""
        return self.skills[self.draws.name] if self.draws else 0.0

    @property
    def can_tell(self) -> bool:
        """Whether the knobs predict anything at all."""
        return self.draws is not None and self.skill > 0.0 and self.evidence >= LEAST_EVIDENCE

    @property
    def missed(self) -> float:
        """The share of the objective's variance that the chosen model fails to predict, noise
        apart, and that any knob may account for.

        0 for the sparse model, whose draws say themselves what it does not know.
        """
        if self.draws is None:
            return 1.0
        if self.draws.name == "sparse":
            return 0.0
        noise = min(self.trials.noise_variance, 0.9)
        return float(np.clip((1.0 - self.skill - noise) / (1.0 - noise), 0.0, 1.0))

    def shares(self, rng: np.random.Generator) -> Array:
        """(n_draws, n_columns): each knob's share of the objective's variance, as far as the model
        predicts it; no draws where nothing was fitted."""
        if self.draws is None:
            return np.zeros((0, self.encoder.n_columns))
        shares = self.draws.shares(self.encoder, rng)
        if self.draws.name == "sparse":
            return shares
        # Refits to resamples keep what helps by chance in all of them.
        return np.where(shares < NEGLIGIBLE, 0.0, shares) * (1.0 - self.missed)


def _choose(trials: Trials, fitted: Mapping[str, Fitted]) -> str:
    preferred, *others = fitted
    best = max(others, key=lambda name: trials.skill(fitted[name].unseen))
    ahead = trials.skill(fitted[best].unseen) - trials.skill(fitted[preferred].unseen)
    losses = (trials.losses(fitted[name].unseen) for name in (preferred, best))
    return best if ahead > PREFERENCE and _standard_errors(*losses) > LEAST_EVIDENCE else preferred


def _standard_errors(losses: Array, fewer: Array) -> float:
    """By how many standard errors the second losses (n,) are below the first."""
    gain = losses - fewer
    error = float(gain.std(ddof=1)) * np.sqrt(len(gain))
    return float(gain.sum()) / error if error > 0.0 else 0.0
