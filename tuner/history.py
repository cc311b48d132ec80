"""What was observed, as models want it: grouped by configuration, on one axis of cost."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from targets.knobs import Configuration, Value
from targets.metrics import Direction
from tuner.noise import PRIOR_SD, Noise, estimate_noise, shrink
from tuner.outcomes import HistoryMemo, Outcome, Placed
from tuner.recommenders.base import Observation, Problem
from tuner.rows import RowSet
from tuner.space import Rows, SpaceEncoder

if TYPE_CHECKING:
    from tuner.aims import Aim

__all__ = ["CostScale", "History", "HistoryMemo", "Outcome"]

LARGEST = sys.float_info.max
LARGEST_LOGARITHM = 709.7
"""exp() of more is no float."""

ORDINARY = (1e-100, 1e100)
"""Values between these, squared, are floats."""


@dataclass(frozen=True, kw_only=True)
class CostScale:
    """The objective on an axis where less is better; logarithmic when every value is positive.

    On the logarithmic axis a difference of 0.01 is a gain of about 1 %. On the other, costs count
    in `unit`s, a power of two: 1 unless values are so large or small that their squares are none.
    """

    direction: Direction
    logarithmic: bool
    unit: float = 1.0

    @classmethod
    def of(cls, values: NDArray[np.float64], direction: Direction) -> CostScale:
        """The axis that fits values: (n,)."""
        if (values > 0).all():
            return cls(direction=direction, logarithmic=True)
        largest = float(np.abs(values).max())
        ordinary = largest == 0.0 or ORDINARY[0] < largest < ORDINARY[1]
        unit = 1.0 if ordinary else math.ldexp(1.0, math.frexp(largest)[1] - 1)
        return cls(direction=direction, logarithmic=False, unit=unit)

    def costs(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,): an objective's values as costs."""
        costs = np.log(values) if self.logarithmic else values / self.unit
        return costs if self.direction is Direction.MINIMISE else -costs

    def cost(self, value: float) -> float:
        """An objective's value as a cost."""
        return float(self.costs(np.array([value], float))[0])

    def value(self, cost: float) -> float:
        """A cost as a value of the objective."""
        value = cost if self.direction is Direction.MINIMISE else -cost
        # A model may extrapolate to anything; what a float cannot hold is told as its largest.
        if self.logarithmic:
            return math.exp(min(value, LARGEST_LOGARITHM))
        return max(-LARGEST, min(float(value) * self.unit, LARGEST))

    def gain(self, better: float, worse: float) -> float | None:
        """How much better one cost is than another, relative: 0.1 is 10 %; None where undefined.

        It is the objective's ratio less 1 on the logarithmic axis, where more is always better.
        """
        if self.logarithmic:
            return math.expm1(min(worse - better, LARGEST_LOGARITHM))
        return (worse - better) / abs(worse) if worse else None


@dataclass(frozen=True)
class History:
    """One problem's outcomes in the order first seen, and the configurations in flight.

    The arrays hold the measured outcomes that keep the pins, in that order. Measured means in full
    windows: what shorter ones show is had by `at`. What was seen in those alone counts as seen.
    """

    problem: Problem
    encoder: SpaceEncoder
    outcomes: tuple[Outcome, ...]
    pending: tuple[dict[str, Value], ...]
    placed: Placed | None = field(default=None, repr=False, compare=False)
    """Where the outcomes lie, if that was worked out before."""
    aim: Aim | None = field(default=None, compare=False)
    """What several objectives were made one by (`tuner.aims`)."""

    @classmethod
    def of(
        cls,
        problem: Problem,
        observations: Sequence[Observation],
        pending: Iterable[Configuration] = (),
        *,
        memo: HistoryMemo | None = None,
    ) -> History:
        """Group observations by what acts the same.

        Args:
            memo: what an earlier call worked out, for a caller that asks again and again.

        Raises:
            ValueError: an observed value is not finite.
            InvalidKnob: a configuration lacks a knob.
        """
        known = (memo or HistoryMemo()).grouping(problem, observations)
        in_flight = tuple(map(known.encoder.canonical, pending))
        return cls(problem, known.encoder, tuple(known.outcomes), in_flight, known.placed)

    def with_pending(self, configuration: Configuration) -> History:
        """The same with one more configuration in flight."""
        other = replace(self, pending=(*self.pending, self.encoder.canonical(configuration)))
        for name in _OF_OUTCOMES & self.__dict__.keys():
            other.__dict__[name] = self.__dict__[name]
        return other

    def at(self, fidelity: float) -> History:
        """What windows of that fidelity alone say, in place of full ones, and every failure.

        What was seen at any fidelity stays seen.
        """
        if fidelity == 1.0:
            return self
        outcomes = tuple(one.at(fidelity) for one in self.outcomes)
        return replace(self, outcomes=outcomes, placed=self._placed)

    @cached_property
    def in_flight(self) -> frozenset[str]:
        """The keys of what is in flight."""
        return frozenset(map(self.encoder.key, self.pending))

    @cached_property
    def seen(self) -> frozenset[str]:
        """The keys of everything observed or in flight."""
        return frozenset(one.key for one in self.outcomes) | self.in_flight

    @cached_property
    def seen_rows(self) -> RowSet:
        """The same as a set of rows, much sooner had, for `sample_rows` and `neighbour_rows`; of
        what was measured outside the domain or off the pins nothing."""
        return self._placed.kept.joined(self._in_flight.kept)

    def unseen(self, configurations: Iterable[dict[str, Value]]) -> list[dict[str, Value]]:
        """Those that were neither observed nor are in flight."""
        return [one for one in configurations if self.encoder.key(one) not in self.seen]

    @cached_property
    def _placed(self) -> Placed:
        configurations = [one.configuration for one in self.outcomes]
        return self.placed or Placed.of(self.encoder, self.encoder.table(configurations))

    @cached_property
    def _in_flight(self) -> Placed:
        return Placed.of(self.encoder, self.encoder.table(self.pending))

    @cached_property
    def _usable(self) -> NDArray[np.bool_]:
        """(n_outcomes,): which have a row, and keep the pins."""
        rows = ~np.isnan(self._placed.rows).any(axis=1)
        if not self.encoder.pins:
            return np.asarray(rows)
        pins = [self.encoder.keeps_pins(one.configuration) for one in self.outcomes]
        return rows & np.array(pins, bool)

    @cached_property
    def _measured(self) -> NDArray[np.int_]:
        """(n,): the places among the outcomes of those that have values and are usable."""
        valued = np.array([bool(one.values) for one in self.outcomes], bool)
        return np.flatnonzero(valued & self._usable)

    @cached_property
    def measured(self) -> tuple[Outcome, ...]:
        """The outcomes that have values and keep the pins."""
        return tuple(self.outcomes[place] for place in self._measured)

    @cached_property
    def _failed(self) -> NDArray[np.int_]:
        blamed = np.array([bool(one.failures and not one.values) for one in self.outcomes], bool)
        return np.flatnonzero(blamed & self._usable)

    @cached_property
    def failed(self) -> tuple[Outcome, ...]:
        """The outcomes without a value that are to blame for it, and keep the pins."""
        return tuple(self.outcomes[place] for place in self._failed)

    @cached_property
    def _values(self) -> NDArray[np.float64]:
        """Every outcome's values, one after the other."""
        return np.array(list(chain.from_iterable(one.values for one in self.outcomes)), float)

    @cached_property
    def scale(self) -> CostScale:
        """The cost axis that fits every value seen."""
        if self.aim is not None:
            return CostScale(direction=Direction.MINIMISE, logarithmic=False)
        return CostScale.of(self._values, self.problem.objective.direction)

    def costs_of(self, outcome: Outcome) -> NDArray[np.float64]:
        """(n_windows,): the outcome's values as costs."""
        return self.scale.costs(np.array(outcome.values, float))

    @cached_property
    def outcome_costs(self) -> NDArray[np.float64]:
        """(n_outcomes,): each outcome's mean cost; NaN for one without values."""
        windows = np.array([len(one.values) for one in self.outcomes], int)
        means = np.full(len(windows), np.nan)
        valued = windows > 0
        if valued.any():
            starts = (np.cumsum(windows) - windows)[valued]
            means[valued] = np.add.reduceat(self.scale.costs(self._values), starts)
            means[valued] /= windows[valued]
        return means

    @cached_property
    def rows(self) -> Rows:
        """(n, n_columns): the measured configurations, encoded."""
        return np.asarray(self._placed.rows[self._measured])

    @cached_property
    def uninformative_rows(self) -> Rows:
        """(m, n_columns): what is in flight or failed: no cost is known, and none is to be sought
        there. A model that leaves them out finds them as uncertain, and as tempting, as ever."""
        return np.vstack((self.in_flight_rows, self.failed_rows))

    @cached_property
    def in_flight_rows(self) -> Rows:
        """(m, n_columns): what is in flight, encoded."""
        rows = self._in_flight.rows
        return np.asarray(rows[~np.isnan(rows).any(axis=1)])

    @cached_property
    def failed_rows(self) -> Rows:
        """(m, n_columns): the failed configurations, encoded."""
        return np.asarray(self._placed.rows[self._failed])

    @cached_property
    def costs(self) -> NDArray[np.float64]:
        """(n,): each measured configuration's mean cost."""
        return np.asarray(self.outcome_costs[self._measured])

    @cached_property
    def counts(self) -> NDArray[np.float64]:
        """(n,): how many windows each mean rests on."""
        return np.array([len(one.values) for one in self.measured], float)

    @cached_property
    def noise(self) -> Noise:
        """How far one window scatters, from all repeats there are."""
        groups = [self.costs_of(one) for one in self.outcomes if len(one.values) > 1]
        prior = PRIOR_SD
        if not self.scale.logarithmic and len(self._values):
            # No percentages here: assume that share of the spread between configurations.
            prior *= float(np.nanstd(self.outcome_costs))
        return estimate_noise(
            groups, deterministic=self.problem.objective.deterministic, prior_sd=prior
        )

    @cached_property
    def acceptable(self) -> NDArray[np.bool_]:
        """(n,): which of the measured configurations never failed and kept every limit."""
        return np.array([one.acceptable for one in self.measured], bool)

    @cached_property
    def _excess(self) -> NDArray[np.float64]:
        """(n_outcomes, n_limits): how far beyond each limit's bound was what it bounds, on that
        quantity's own cost axis, in its typical distance; NaN where it was not measured."""
        limits = self.problem.limits
        values = np.array([one.limited for one in self.outcomes], float)
        values = values.reshape(len(self.outcomes), len(limits))
        excess = np.full(values.shape, np.nan)
        for place, limit in enumerate(limits):
            known = ~np.isnan(values[:, place])
            seen = np.append(values[known, place], limit.bound)
            costs = CostScale.of(seen, limit.direction).costs(seen)
            beyond = costs[:-1] - costs[-1]
            if known.any():
                excess[known, place] = beyond / (float(np.median(np.abs(beyond))) or 1.0)
        return excess

    @cached_property
    def excess(self) -> NDArray[np.float64]:
        """(n, n_limits): the same of the measured configurations."""
        return np.asarray(self._excess[self._measured])

    def beyond(self, place: int) -> tuple[Rows, NDArray[np.float64], NDArray[np.float64]]:
        """(k, n_columns), (k,), (k,): where one limit's quantity is known, its excess there and how
        many trials that rests on."""
        known = np.flatnonzero(self._usable & ~np.isnan(self._excess[:, place]))
        trials = np.array([len(self.outcomes[one].numbers) for one in known], float)
        return self._placed.rows[known], self._excess[known, place], trials

    def explained(self, places: Sequence[int]) -> NDArray[np.bool_]:
        """(n,): which of the measured configurations never failed, and broke a limit, if any, only
        of those in these places, whose quantities are known of them."""
        known = ~np.isnan(self.excess)
        others = [place for place in range(known.shape[1]) if place not in places]
        failed = np.array([one.failures > 0 for one in self.measured], bool)
        over = self.excess[:, others]
        whole = known[:, list(places)].all(axis=1) & ~(over > 0.0).any(axis=1)
        return np.asarray(whole & ~failed)

    @cached_property
    def repeatable(self) -> NDArray[np.bool_]:
        """(n,): which of the measured configurations could be suggested again: a baseline may have
        been found outside its owner's bounds, or breaking a constraint."""
        configurations = [one.configuration for one in self.measured]
        return self.encoder.takes(self.encoder.table(configurations))

    @cached_property
    def ranking(self) -> NDArray[np.int_]:
        """Places in `measured`, the best first: acceptable ones, then what breaks limits the least,
        then by posterior mean cost."""
        if not self.measured:
            return np.array([], int)
        posterior, _ = shrink(self.costs, self.counts, self.noise)
        broken = np.nansum(np.maximum(self.excess, 0.0), axis=1)
        return np.lexsort((posterior, broken, ~self.acceptable))

    @property
    def best(self) -> Outcome | None:
        """The acceptable configuration that looks best; None while there is none."""
        if not self.acceptable.any():
            return None
        return self.measured[int(self.ranking[0])]


_OF_OUTCOMES = frozenset(
    name for name, value in vars(History).items() if isinstance(value, cached_property)
) - {
    "in_flight",
    "seen",
    "seen_rows",
    "uninformative_rows",
    "_in_flight",
    "in_flight_rows",
}
"""What does not change with what is in flight."""
