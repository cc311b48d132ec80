"""What was observed, as models want it: grouped by configuration, on one axis of cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from targets.knobs import Configuration, Value
from targets.metrics import Direction
from tuner.noise import PRIOR_SD, Noise, estimate_noise, shrink
from tuner.recommenders.base import Limit, Observation, Problem
from tuner.space import Rows, SpaceEncoder


@dataclass(frozen=True, kw_only=True)
class CostScale:
    """The objective on an axis where less is better; logarithmic when every value is positive.

    On the logarithmic axis a difference of 0.01 is a gain of about 1 %.
    """

    direction: Direction
    logarithmic: bool

    def cost(self, value: float) -> float:
        """An objective's value as a cost."""
        cost = math.log(value) if self.logarithmic else value
        return cost if self.direction is Direction.MINIMISE else -cost

    def value(self, cost: float) -> float:
        """A cost as a value of the objective."""
        value = cost if self.direction is Direction.MINIMISE else -cost
        # A model may extrapolate to anything; what a float cannot hold is told as its largest.
        return math.exp(min(value, 700.0)) if self.logarithmic else value

    def gain(self, better: float, worse: float) -> float | None:
        """How much better one cost is than another, relative: 0.1 is 10 %; None where undefined.

        It is the objective's ratio less 1 on the logarithmic axis, where more is always better.
        """
        if self.logarithmic:
            return math.expm1(min(worse - better, 700.0))
        return (worse - better) / abs(worse) if worse else None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """All that was seen of one configuration (canonical), over all its trials.

    `failures` counts only those the configuration is to blame for. `over_limit`: a problem's
    limit was broken while measured.
    """

    configuration: dict[str, Value]
    key: str
    values: tuple[float, ...]
    failures: int
    over_limit: bool
    numbers: tuple[int, ...]

    @property
    def acceptable(self) -> bool:
        """Whether it was measured, never failed, and kept every limit."""
        return bool(self.values) and not self.failures and not self.over_limit


@dataclass(frozen=True)
class History:
    """One problem's outcomes in the order first seen, and the configurations in flight.

    The arrays hold the measured outcomes that keep the pins, in that order.
    """

    problem: Problem
    encoder: SpaceEncoder
    outcomes: tuple[Outcome, ...]
    pending: tuple[dict[str, Value], ...]

    @classmethod
    def of(
        cls,
        problem: Problem,
        observations: Sequence[Observation],
        pending: Iterable[Configuration] = (),
    ) -> History:
        """Group observations by what acts the same.

        Raises:
            ValueError: an observed value is not finite.
        """
        encoder = SpaceEncoder(problem.space, problem.pins)
        grouped: dict[str, list[Observation]] = {}
        for observation in observations:
            _refuse_not_finite(observation)
            grouped.setdefault(encoder.key(observation.configuration), []).append(observation)
        outcomes = tuple(_outcome(problem, encoder, key, group) for key, group in grouped.items())
        return cls(problem, encoder, outcomes, tuple(map(encoder.canonical, pending)))

    def with_pending(self, configuration: Configuration) -> History:
        """The same with one more configuration in flight."""
        return replace(self, pending=(*self.pending, self.encoder.canonical(configuration)))

    @cached_property
    def seen(self) -> frozenset[str]:
        """The keys of everything observed or in flight."""
        return frozenset(one.key for one in self.outcomes) | frozenset(
            map(self.encoder.key, self.pending)
        )

    def unseen(self, configurations: Iterable[dict[str, Value]]) -> list[dict[str, Value]]:
        """Those that were neither observed nor are in flight."""
        return [one for one in configurations if self.encoder.key(one) not in self.seen]

    @cached_property
    def measured(self) -> tuple[Outcome, ...]:
        """The outcomes that have values and keep the pins."""
        return tuple(
            one
            for one in self.outcomes
            if one.values and self.encoder.keeps_pins(one.configuration)
        )

    @cached_property
    def failed(self) -> tuple[Outcome, ...]:
        """The outcomes without a value that are to blame for it, and keep the pins."""
        return tuple(
            one
            for one in self.outcomes
            if one.failures and not one.values and self.encoder.keeps_pins(one.configuration)
        )

    @cached_property
    def scale(self) -> CostScale:
        """The cost axis that fits every value seen."""
        positive = all(value > 0 for one in self.outcomes for value in one.values)
        return CostScale(direction=self.problem.objective.direction, logarithmic=positive)

    def costs_of(self, outcome: Outcome) -> NDArray[np.float64]:
        """(n_windows,): the outcome's values as costs."""
        return np.array([self.scale.cost(value) for value in outcome.values], float)

    @cached_property
    def rows(self) -> Rows:
        """(n, n_columns): the measured configurations, encoded."""
        return self.encoder.encode_many([one.configuration for one in self.measured])

    @cached_property
    def uninformative_rows(self) -> Rows:
        """(m, n_columns): what is in flight or failed: no cost is known, and none is to be sought
        there. A model that leaves them out finds them as uncertain, and as tempting, as ever."""
        failed = [one.configuration for one in self.failed]
        return self.encoder.encode_many([*self.pending, *failed])

    @cached_property
    def costs(self) -> NDArray[np.float64]:
        """(n,): each measured configuration's mean cost."""
        return np.array([self.costs_of(one).mean() for one in self.measured], float)

    @cached_property
    def counts(self) -> NDArray[np.float64]:
        """(n,): how many windows each mean rests on."""
        return np.array([len(one.values) for one in self.measured], float)

    @cached_property
    def noise(self) -> Noise:
        """How far one window scatters, from all repeats there are."""
        groups = [self.costs_of(one) for one in self.outcomes if one.values]
        prior = PRIOR_SD
        if not self.scale.logarithmic and groups:
            # No percentages here: assume that share of the spread between configurations.
            prior *= float(np.std([costs.mean() for costs in groups]))
        return estimate_noise(
            groups, deterministic=self.problem.objective.deterministic, prior_sd=prior
        )

    @cached_property
    def acceptable(self) -> NDArray[np.bool_]:
        """(n,): which of the measured configurations never failed and kept every limit."""
        return np.array([one.acceptable for one in self.measured], bool)

    @cached_property
    def ranking(self) -> NDArray[np.int_]:
        """Places in `measured`, the best first: acceptable ones, then by posterior mean cost."""
        if not self.measured:
            return np.array([], int)
        posterior, _ = shrink(self.costs, self.counts, self.noise)
        return np.lexsort((posterior, ~self.acceptable))

    @property
    def best(self) -> Outcome | None:
        """The acceptable configuration that looks best; None while there is none."""
        if not self.acceptable.any():
            return None
        return self.measured[int(self.ranking[0])]


def _outcome(
    problem: Problem, encoder: SpaceEncoder, key: str, group: list[Observation]
) -> Outcome:
    name = problem.objective.name
    return Outcome(
        configuration=encoder.canonical(group[0].configuration),
        key=key,
        values=tuple(value for one in group for value in one.values.get(name, ())),
        failures=sum(one.failure is not None and one.failure.blames_configuration for one in group),
        over_limit=any(_breaks(limit, one) for limit in problem.limits for one in group),
        numbers=tuple(one.number for one in group),
    )


def _breaks(limit: Limit, observation: Observation) -> bool:
    windows = observation.values.get(limit.name, ())
    value = math.fsum(windows) / len(windows) if windows else observation.metrics.get(limit.name)
    if value is None or math.isnan(value):
        return False
    return value > limit.bound if limit.direction is Direction.MINIMISE else value < limit.bound


def _refuse_not_finite(observation: Observation) -> None:
    for name, values in observation.values.items():
        for value in values:
            if not math.isfinite(value):
                raise ValueError(
                    f"observation of trial {observation.number}: {name}={value} is not finite; "
                    "tell a trial without a value as a failure"
                )
