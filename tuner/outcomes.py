"""Observations grouped by what acts the same, as they come in."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
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

    `failures` counts only those the configuration is to blame for. `over_limit`: a problem's
    limit was broken while measured.
    """

    configuration: dict[str, Value]
    values: tuple[float, ...]
    failures: int
    over_limit: bool
    numbers: tuple[int, ...]

    @cached_property
    def key(self) -> str:
        """Its `SpaceEncoder.key`."""
        return json.dumps(self.configuration)

    @property
    def acceptable(self) -> bool:
        """Whether it was measured, never failed, and kept every limit."""
        return bool(self.values) and not self.failures and not self.over_limit


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
        problem: whose space, pins, first objective and limits count.
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
        name = self.problem.objective.name
        return Outcome(
            configuration=configuration,
            values=tuple(value for one in group for value in one.values.get(name, ())),
            failures=sum(
                one.failure is not None and one.failure.blames_configuration for one in group
            ),
            over_limit=any(_breaks(limit, one) for limit in self.problem.limits for one in group),
            numbers=tuple(one.number for one in group),
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
        and old.objective.name == problem.objective.name
        # A list of objects equals another at once where they are the same.
        and known.observations == list(observations[: len(known.observations)])
    )


def _breaks(limit: Limit, observation: Observation) -> bool:
    windows = observation.values.get(limit.name, ())
    value = math.fsum(windows) / len(windows) if windows else observation.metrics.get(limit.name)
    if value is None or math.isnan(value):
        return False
    return value > limit.bound if limit.direction is Direction.MINIMISE else value < limit.bound
