"""What other sessions teach about this one: their models as the prior mean of this one's.

Each source, another task's observations, has a Gaussian process of its own. What is expected here
is `level + sum of share_s * source_s(x)`, and a process of this session's own models what is left
over, as in Golovin et al. (KDD 2017, section 3.3.3) but of all sources at once. The shares are
fitted to what was seen here, from a prior that trusts every source alike: they cannot be negative,
and fall fast where a source's ranking disagrees with what is measured, as the weights of Feurer,
Letham and Bakshy (RGPE, arXiv 1802.02219) do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import lsq_linear
from scipy.stats import rankdata

from targets.errors import InvalidKnob
from targets.knobs import Knob, KnobType, Value
from tuner.history import History
from tuner.recommenders.base import PastTask, Problem
from tuner.space import Rows, SpaceEncoder
from tuner.surrogates.base import Standard, Vector
from tuner.surrogates.fitting import best_and_latest
from tuner.surrogates.gaussian_process import GaussianProcess

LEAST_OBSERVED = 8
"""A source of fewer measured configurations has nothing to say."""

MOST_SOURCES = 6
"""Those with the most observations are used."""

LARGEST_SOURCE = 200
"""Configurations of a source that its model is fitted to: half the best, half the latest."""

BEST_OF_SOURCE = 10
"""So many of a source's best configurations are candidates here."""

SHARE_SD = 0.5
"""How far a share may be off its prior, relative to that: a source is trusted, not believed."""

AGREEMENT_NEEDED = 0.3
"""A source whose ranking of what was measured here correlates less is not listened to."""

AGREEMENT_REGAINED = 0.6
"""The same once a configuration of the start design did better than what sources said is best."""

LEAST_COMPARED = 3
"""From this many measured configurations on, rankings are compared."""

_NOISE_SHARE = 0.05


@dataclass(frozen=True)
class Source:
    """Another task's model, asked about this task's configurations."""

    name: str
    history: History
    process: GaussianProcess
    standard: Standard
    same_space: bool

    @classmethod
    def of(cls, task: PastTask, problem: Problem, fitted: list[float] | None) -> Source | None:
        """Fit it, or take up an earlier fit; None where too little was measured."""
        like = Problem(space=task.space, objectives=problem.objectives)
        history = History.of(like, task.observations)
        if len(history.measured) < LEAST_OBSERVED:
            return None
        places = best_and_latest(history, LARGEST_SOURCE)
        costs, counts = history.costs[places], history.counts[places]
        standard = Standard.of(costs)
        rows, targets = history.rows[places], standard.targets(costs)
        levels = history.encoder.levels
        if fitted is not None and len(fitted) == 2 * rows.shape[1] + 2:
            process = GaussianProcess.fitted(
                rows, targets, levels=levels, counts=counts, parameters=np.array(fitted)
            )
        else:
            process = GaussianProcess.fit(
                rows, targets, levels=levels, counts=counts, noise=_NOISE_SHARE
            )
        return cls(task.name, history, process, standard, task.space == problem.space)

    def means(self, encoder: SpaceEncoder, rows: Rows) -> Vector:
        """(m,): what the source expects at this task's rows, in its standard deviations."""
        own = rows
        if not self.same_space or encoder.pins:
            translated = [self._translated(one) for one in encoder.decode_many(rows)]
            own = self.history.encoder.encode_many(translated)
        return self.process.mean(own)

    def best_here(self, encoder: SpaceEncoder) -> list[dict[str, Value]]:
        """The source's best configurations as this task's."""
        space = encoder.space
        best = [
            self.history.measured[place].configuration
            for place in self.history.ranking[:BEST_OF_SOURCE]
        ]
        return [
            encoder.pinned({knob.name: carried(knob, one, knob.default) for knob in space})
            for one in best
        ]

    def _translated(self, configuration: Mapping[str, Value]) -> dict[str, Value]:
        usual = self.history.measured[int(self.history.ranking[0])].configuration
        space = self.history.problem.space
        return {knob.name: carried(knob, configuration, usual[knob.name]) for knob in space}


def carried(knob: Knob, configuration: Mapping[str, Value], otherwise: Value) -> Value:
    """What a knob of one space has by a configuration of another: the same value, the nearest one
    where numbers differ, `otherwise` where the knob or the level is unknown there."""
    if knob.name not in configuration:
        return otherwise
    value = configuration[knob.name]
    try:
        return knob.check(value)
    except InvalidKnob:
        pass
    if isinstance(value, str | bool):
        return otherwise
    if knob.is_number and knob.low is not None and knob.high is not None:
        near = min(max(value, knob.low), knob.high)
        return knob.check(round(near) if knob.type is KnobType.INTEGER else near)
    numbers = [level for level in knob.levels if not isinstance(level, str | bool)]
    return min(numbers, key=lambda level: abs(level - value)) if numbers else otherwise


@dataclass(frozen=True)
class Sources:
    """The sources of one problem."""

    sources: tuple[Source, ...]

    @classmethod
    def of(cls, problem: Problem, state: Mapping[str, Any]) -> Sources:
        """Every source that has enough to say; fits in `state` (`fits`) are taken up."""
        tasks = sorted(problem.history, key=lambda task: -len(task.observations))[:MOST_SOURCES]
        fits = state.get("sources") or {}
        found = [Source.of(task, problem, fits.get(task.name)) for task in tasks]
        return cls(tuple(source for source in found if source is not None))

    @property
    def fits(self) -> dict[str, list[float]]:
        """Each source's fitted parameters, to be kept in the state."""
        return {source.name: source.process.parameters.tolist() for source in self.sources}

    def __bool__(self) -> bool:
        return bool(self.sources)

    def means(self, encoder: SpaceEncoder, rows: Rows) -> Rows:
        """(m, n_sources): what each expects at rows, in its own standard deviations."""
        return np.stack([source.means(encoder, rows) for source in self.sources], axis=1)

    def candidates(self, encoder: SpaceEncoder) -> list[dict[str, Value]]:
        """What was best elsewhere."""
        return [one for source in self.sources for one in source.best_here(encoder)]


@dataclass(frozen=True)
class TransferModel:
    """A cost model (`surrogates.base.CostModel`'s `predict`) that begins with what sources say.

    `shares` (n_sources,): how much of each source's word is taken, in cost.
    """

    encoder: SpaceEncoder
    sources: Sources
    shares: Vector
    level: float
    scale: float
    process: GaussianProcess | None

    @classmethod
    def fit(
        cls, history: History, sources: Sources, *, agreement: float = AGREEMENT_NEEDED
    ) -> TransferModel | None:
        """None where no source ranks what was measured with at least that agreement."""
        expected = sources.means(history.encoder, history.rows)
        costs = history.costs
        spread = np.array([source.standard.scale for source in sources.sources])
        agreeing = np.array([_agreement(column, costs) for column in expected.T])
        heard = agreeing > agreement
        if not heard.any():
            return None
        clipped = np.minimum(costs, Standard.of(costs).ceiling) if len(costs) > 1 else costs
        prior = np.where(heard, agreeing * spread / heard.sum(), 0.0)
        shares, level = _shares(expected, clipped, prior)
        left = clipped - level - expected @ shares
        usual = 0.3 * float(spread.mean())
        n = len(costs)
        scale = math.sqrt((float(left @ left) + 3.0 * usual**2) / (n + 3.0)) or 1.0
        process = None
        if n >= LEAST_COMPARED:
            noise = (history.noise.sd / scale) ** 2
            process = GaussianProcess.fit(
                history.rows,
                left / scale,
                levels=history.encoder.levels,
                counts=history.counts,
                noise=float(np.clip(noise, 1e-4, 0.5)),
            ).believing(history.uninformative_rows)
        return cls(history.encoder, sources, shares, level, scale, process)

    @property
    def heard(self) -> list[Source]:
        """The sources whose word is taken, the weightiest first."""
        order = np.argsort(-self.shares)
        return [self.sources.sources[place] for place in order if self.shares[place] > 0.0]

    def predict(self, rows: Rows) -> tuple[Vector, Vector]:
        """Mean cost and its standard deviation at `rows`: (m,), (m,)."""
        mean = self.level + self.sources.means(self.encoder, rows) @ self.shares
        if self.process is None:
            return mean, np.full(len(rows), self.scale)
        left, sd = self.process.predict(rows)
        return mean + self.scale * left, self.scale * sd


def _agreement(expected: Vector, costs: Vector) -> float:
    """Spearman's rank correlation; 1 while too little was measured to tell."""
    if len(costs) < LEAST_COMPARED or np.ptp(costs) == 0.0 or np.ptp(expected) == 0.0:
        return 1.0
    ranks = np.corrcoef(rankdata(expected), rankdata(costs))
    return float(ranks[0, 1])


def _shares(expected: Rows, costs: Vector, prior: Vector) -> tuple[Vector, float]:
    """Shares (n_sources,), none negative, and the level: ridge least squares around the prior."""
    if len(costs) == 0:
        return prior, 0.0
    middle, centre = expected.mean(axis=0), float(costs.mean())
    off = 0.3 * max(float(prior.sum()), 1e-12)
    weight = np.where(prior > 0.0, 1.0 / (SHARE_SD * np.maximum(prior, 1e-12)), 1e6)
    design = np.vstack(((expected - middle) / off, np.diag(weight)))
    goal = np.concatenate(((costs - centre) / off, weight * prior))
    shares = np.asarray(lsq_linear(design, goal, bounds=(0.0, np.inf)).x)
    return shares, centre - float(middle @ shares)
