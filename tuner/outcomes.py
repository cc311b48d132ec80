"""Observations grouped by what acts the same, as they come in."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from targets.knobs import Value
from targets.metrics import Direction
from tuner.recommenders.base import Limit, Observation, Problem
from tuner.rows import RowSet
from tuner.space import Rows, SpaceEncoder
from tuner.tables import ValueTable


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """All that was seen of one configuration (canonical), over all its trials.

    `values` are the first objective's, `objectives` each one's where there are several, in the
    problem's order. `failures` counts only those the configuration is to blame for. `over_limit`:
    a problem's limit was broken while measured. `limit_windows`: for each limit the windows of what
    it bounds, none where that was not measured.

    All that but the failures was seen in full windows. `shorter` are the outcomes of windows of
    less, by their fidelity.
    """

    configuration: dict[str, Value]
    values: tuple[float, ...]
    failures: int
    over_limit: bool
    numbers: tuple[int, ...]
    objectives: tuple[tuple[float, ...], ...] = ()
    limit_windows: tuple[tuple[float, ...], ...] = ()
    shorter: Mapping[float, Outcome] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """Its `SpaceEncoder.key`."""
        return json.dumps(self.configuration)

    @cached_property
    def limited(self) -> tuple[float, ...]:
        """For each limit the mean of what it bounds, NaN where that was not measured."""
        return tuple(map(_mean, self.limit_windows))

    @property
    def acceptable(self) -> bool:
        """Whether it was measured, never failed, and kept every limit."""
        return bool(self.values) and not self.failures and not self.over_limit

    @property
    def means(self) -> tuple[float, ...]:
        """Each objective's mean, NaN where it was not measured."""
        return tuple(map(_mean, self.objectives or (self.values,)))

    @property
    def fidelity(self) -> float:
        """The longest windows it has values of, as a share of full ones; 0 where it has none."""
        if self.values:
            return 1.0
        return max((share for share, one in self.shorter.items() if one.values), default=0.0)

    def at(self, fidelity: float) -> Outcome:
        """What windows of that fidelity alone say, and every failure."""
        unseen = replace(
            self,
            values=(),
            over_limit=False,
            numbers=(),
            objectives=((),) * len(self.objectives),
            limit_windows=((),) * len(self.limit_windows),
        )
        return self.shorter.get(fidelity, unseen)


@dataclass(frozen=True)
class Placed:
    """Where configurations lie: (n, n_columns), NaN where a value is none of its knob's levels;
    and the set of those that keep the domain and the pins."""

    rows: Rows
    kept: RowSet

    @classmethod
    def of(cls, encoder: SpaceEncoder, table: ValueTable) -> Placed:
        """Of a table's configurations."""
        rows, kept = encoder.places(table), RowSet(encoder)
        kept.add(rows[encoder.holds(table)])
        return cls(rows, kept)

    def followed_by(self, other: Placed) -> Placed:
        """Of these configurations and more."""
        return Placed(np.vstack((self.rows, other.rows)), self.kept.joined(other.kept))


class Grouping:
    """One problem's observations by configuration, in the order first seen; it can grow.

    Args:
        problem: whose space, pins, objectives and limits count.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.encoder = SpaceEncoder(problem.space, problem.pins)
        self.observations: list[Observation] = []
        self.outcomes: list[Outcome] = []
        self.placed = Placed.of(self.encoder, self.encoder.table([]))
        self._groups: dict[tuple[Value, ...], tuple[int, list[Observation]]] = {}

    def add(self, observations: Sequence[Observation]) -> None:
        """Take in more observations; all, or none where one is refused.

        Raises:
            ValueError: an observed value is not finite.
            InvalidKnob: a configuration lacks a knob.
        """
        for observation in observations:
            observation.refuse_not_finite()
        table = self.encoder.table([one.configuration for one in observations])
        keys = table.tuples()
        new: list[int] = []
        again: dict[int, list[Observation]] = {}
        for place, (key, observation) in enumerate(zip(keys, observations, strict=True)):
            at, group = self._groups.setdefault(key, (len(self.outcomes) + len(new), []))
            group.append(observation)
            if len(group) == 1:
                new.append(place)
            else:
                again[at] = group
        self.outcomes += [
            self._outcome(dict(zip(table.columns, keys[place], strict=True)), [observations[place]])
            for place in new
        ]
        for at, group in again.items():
            self.outcomes[at] = self._outcome(self.outcomes[at].configuration, group)
        self.observations += observations
        self.placed = self.placed.followed_by(Placed.of(self.encoder, table.only(new)))

    def _outcome(self, configuration: dict[str, Value], group: list[Observation]) -> Outcome:
        full = self._outcome_at(1.0, configuration, group)
        shorter = sorted({one.fidelity for one in group} - {1.0})
        if not shorter:
            return full
        parts = {share: self._outcome_at(share, configuration, group) for share in shorter}
        return replace(full, shorter=parts)

    def _outcome_at(
        self, fidelity: float, configuration: dict[str, Value], everything: list[Observation]
    ) -> Outcome:
        group = [one for one in everything if one.fidelity == fidelity]
        first, *further = self.problem.objectives
        values = tuple(value for one in group for value in one.values.get(first.name, ()))
        return Outcome(
            configuration=configuration,
            values=values,
            failures=sum(
                one.failure is not None and one.failure.blames_configuration for one in everything
            ),
            over_limit=any(_breaks(limit, one) for limit in self.problem.limits for one in group),
            numbers=tuple(one.number for one in group),
            objectives=(values, *(_seen(one.name, group) for one in further)) if further else (),
            limit_windows=tuple(_seen(limit.name, group) for limit in self.problem.limits),
        )


class HistoryMemo:
    """What was worked out of the observations told so far, for whoever asks again with more.

    It changes how fast `History.of` answers, never what: observations count as known only if they
    begin with the very ones known, or equal ones, and the problem is the same; else all begins
    anew. An observation is not to be changed after it was told. Belongs to one session and thread.
    """

    def __init__(self) -> None:
        self._known: Grouping | None = None

    def grouping(self, problem: Problem, observations: Sequence[Observation]) -> Grouping:
        """The observations grouped; valid until the next call.

        Raises:
            As `Grouping.add`.
        """
        known = self._known
        if known is None or not _continues(known, problem, observations):
            known = Grouping(problem)
        known.add(observations[len(known.observations) :])
        self._known = known
        return known


def _continues(known: Grouping, problem: Problem, observations: Sequence[Observation]) -> bool:
    old = known.problem
    return (
        len(known.observations) <= len(observations)
        and (old.space, old.pins, old.limits) == (problem.space, problem.pins, problem.limits)
        and [one.name for one in old.objectives] == [one.name for one in problem.objectives]
        # A list of objects equals another at once where they are the same.
        and known.observations == list(observations[: len(known.observations)])
    )


def _seen(name: str, group: Sequence[Observation]) -> tuple[float, ...]:
    """An objective's windows, or what was measured as a metric of that name."""
    windows = [value for one in group for value in one.values.get(name, ())]
    windows = windows or [one.metrics[name] for one in group if name in one.metrics]
    return tuple(value for value in windows if math.isfinite(value))


def _mean(values: Sequence[float]) -> float:
    """Of finite values, even where their sum is none; NaN of none."""
    return math.fsum(value / len(values) for value in values) if values else math.nan


def _breaks(limit: Limit, observation: Observation) -> bool:
    windows = observation.values.get(limit.name, ())
    value = math.fsum(windows) / len(windows) if windows else observation.metrics.get(limit.name)
    if value is None or math.isnan(value):
        return False
    return value > limit.bound if limit.direction is Direction.MINIMISE else value < limit.bound
