"""What other sessions saw, each with a model of its own that can be asked about this session's
configurations. Spaces that differ are matched knob by knob.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

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
        """Fit it, or take up an earlier fit; None where too little was measured, or
        no knob that varies is one of this task's."""
        like = Problem(space=task.space, objectives=problem.objectives)
        history = History.of(like, task.observations)
        if len(history.measured) < LEAST_OBSERVED or not _comparable(history, problem):
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
        same = self.same_space and not encoder.pins
        return self.process.mean(rows if same else self._own_rows(encoder, rows))

    def best_here(self, encoder: SpaceEncoder) -> list[dict[str, Value]]:
        """The source's best configurations as this task's, best first: by what was measured and
        what its model makes of it alike, for the best of many was lucky, and no model is exact."""
        return [
            encoder.pinned({knob.name: carried(knob, one, knob.default) for knob in encoder.space})
            for one in self._best
        ]

    @cached_property
    def _best(self) -> list[dict[str, Value]]:
        measured = self.standard.targets(self.history.costs)
        score = measured + self.process.mean(self.history.rows)
        order = np.lexsort((score, ~self.history.acceptable))[:BEST_OF_SOURCE]
        return [self.history.measured[place].configuration for place in order]

    def column(self, encoder: SpaceEncoder, place: int) -> int | None:
        """Which of its columns is that of this task; None where it has no such knob."""
        names = list(self.history.encoder.axes)
        name = encoder.columns[place].knob
        return names.index(name) if name in names else None

    def _own_rows(self, encoder: SpaceEncoder, rows: Rows) -> Rows:
        """(m, n_own_columns): this task's rows as the source's: what it does not know stands as in
        the best it saw."""
        own, space = self.history.encoder, self.history.problem.space
        usual = self.history.measured[int(self.history.ranking[0])].configuration
        columns = {column.knob: place for place, column in enumerate(encoder.columns)}
        result = np.empty((len(rows), own.n_columns))
        for place, (name, axis) in enumerate(own.axes.items()):
            if name in columns:
                positions, back = np.unique(rows[:, columns[name]], return_inverse=True)
                values = encoder.axes[name].meant(positions)
            else:
                values, back = [encoder.fixed.get(name, usual[name])], np.zeros(len(rows), int)
            known = [carried(space[name], {name: value}, usual[name]) for value in values]
            result[:, place] = axis.positions(known)[back]
        return own.canonical_rows(result)


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

    def only(self, chosen: Sequence[bool]) -> Sources:
        """Those that are chosen."""
        return Sources(
            tuple(one for one, wanted in zip(self.sources, chosen, strict=True) if wanted)
        )

    def unit(self, history: History) -> float:
        """By how much of this task's cost its configurations are expected to differ: as far as the
        sources' do on average where costs are logarithms everywhere, hence ratios; else as far as
        those measured here do."""
        logarithmic = [source.history.scale.logarithmic for source in self.sources]
        if history.scale.logarithmic and all(logarithmic):
            return float(np.mean([source.standard.scale for source in self.sources]))
        return Standard.of(history.costs).scale if len(history.costs) else 1.0

    def kernel(self, encoder: SpaceEncoder) -> GaussianProcess:
        """A process of variance 1 for this task's rows that has seen nothing, and takes each knob
        to matter as much as the sources found, by the geometric mean; where none has the knob, as
        much as the middle one of the others."""
        width = encoder.n_columns
        weights, shares = np.full((2, len(self.sources), width), np.nan)
        for one, source in enumerate(self.sources):
            own = source.history.encoder.n_columns
            for place in range(width):
                column = source.column(encoder, place)
                if column is not None:
                    weights[one, place] = source.process.parameters[column]
                    shares[one, place] = source.process.parameters[own + column]
        signal = np.mean([source.process.parameters[-2] for source in self.sources])
        weights, shares = _middle(weights), _middle(shares)
        total = math.log(math.exp(signal) + np.exp(shares).sum())
        return GaussianProcess.fitted(
            np.empty((0, width)),
            np.empty(0),
            levels=encoder.levels,
            counts=np.empty(0),
            parameters=np.array([*weights, *(shares - total), signal - total, 0.0]),
        )


class SourcesMemo:
    """The sources of the problem last asked about, for whoever asks again and again.

    It changes how fast the answer comes, never what it is. Belongs to one session and thread.
    """

    def __init__(self) -> None:
        self._known: tuple[Problem, Any, Sources] | None = None

    def of(self, problem: Problem, state: Mapping[str, Any]) -> Sources:
        """As `Sources.of`."""
        fits = state.get("sources")
        if self._known is not None:
            known, began_with, sources = self._known
            if _alike(known, problem) and fits in (began_with, sources.fits):
                return sources
        sources = Sources.of(problem, state)
        self._known = problem, fits, sources
        return sources


def _alike(one: Problem, other: Problem) -> bool:
    return (
        (one.space, one.pins, one.objectives) == (other.space, other.pins, other.objectives)
        # Tuples of objects equal others at once where they are the same.
        and one.history == other.history
    )


def _comparable(history: History, problem: Problem) -> bool:
    own = SpaceEncoder(problem.space, problem.pins).axes
    return not own.keys().isdisjoint(history.encoder.axes)


def _middle(parameters: Rows) -> Vector:
    """(n_columns,): the mean of what sources say (n_sources, n_columns), NaN where they do not."""
    said = ~np.isnan(parameters)
    middle = np.where(said, parameters, 0.0).sum(axis=0) / np.maximum(said.sum(axis=0), 1)
    known = said.any(axis=0)
    return np.asarray(np.where(known, middle, np.median(middle[known])))
