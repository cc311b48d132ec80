"""The simulated system's truth: how well each configuration performs, and which is the best.

With u the knobs' positions in 0..1 and o those of the optimum under the workload, the loss is

    L(u) = sum_i weight_i distance_i(u_i, o_i) + sum_pairs coupling ((u_i - o_i) + (u_j - o_j))^2

over the active knobs: zero at the optimum and above it elsewhere, quadratic near it, with
rotated valleys between neighbouring numbers. Throughput is `PEAK * headroom^(-L(u) / L(default))`,
so the optimum is exactly `headroom` times better than the default. Weights fall off, as they do
in real systems: few knobs matter much.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from targets.knobs import Configuration, Knob, KnobType, Scale, Value
from targets.space import KnobSpace

PEAK = 1_000.0
"""Throughput at the optimum, operations a second."""

WEIGHT_DECAY = 0.7
COUPLING = 1.0
SPECIAL_DISTANCE = 0.3
"""What "chosen by the system itself" costs: less than most values, more than the best ones."""

CLIFF_DISTANCE = 0.1
"""How far above its best position the first number may go before performance collapses."""


@dataclass(frozen=True, kw_only=True)
class Landscape:
    """One system: `number` places its optimum, `read_share` (the workload, 0..1) moves it.

    `cliff` is the share of throughput lost beyond the edge; `crash_share` the upper part of the
    second number's range in which the system dies.
    """

    space: KnobSpace
    number: int
    read_share: float
    headroom: float
    cliff: float = 0.0
    crash_share: float = 0.0

    def throughput(self, configuration: Configuration) -> float:
        """The true throughput of a valid configuration, operations a second."""
        exponent = self._loss(configuration) / self._loss(self.space.default())
        fallen = self.cliff if self.beyond_cliff(configuration) else 0.0
        return PEAK * math.pow(self.headroom, -exponent) * (1 - fallen)

    @cached_property
    def optimum(self) -> Mapping[str, Value]:
        """The best configuration under this workload."""
        return {knob.name: self._best(knob) for knob in self.space}

    def beyond_cliff(self, configuration: Configuration) -> bool:
        """Whether performance collapses here."""
        for knob in self._numbers[:1]:
            edge = position(knob, self.optimum[knob.name]) + CLIFF_DISTANCE
            return self.cliff > 0 and position(knob, configuration[knob.name]) > edge
        return False

    def crashes(self, configuration: Configuration) -> bool:
        """Whether the system dies of this configuration."""
        return any(
            position(knob, configuration[knob.name]) > 1 - self.crash_share
            for knob in self._numbers[1:2]
        )

    @cached_property
    def _numbers(self) -> list[Knob]:
        return [knob for knob in self.space if knob.is_number and not knob.active_when]

    @cached_property
    def _constrained(self) -> set[str]:
        return {
            name
            for knob in self.space
            for rule in self.space.constraints
            if (name := knob.name) in rule.expression.split()
        }

    @cached_property
    def _weights(self) -> dict[str, float]:
        names = [knob.name for knob in self.space]
        self._random("order").shuffle(names)
        return {name: WEIGHT_DECAY**rank for rank, name in enumerate(names)}

    def _random(self, purpose: str) -> random.Random:
        return random.Random(f"{self.number}/{purpose}")

    def _best(self, knob: Knob) -> Value:
        """The knob's value at the optimum: the workload moves it between two seeded places.

        Two numbers that share a limit get less than half of it each, so that the optimum is valid.
        """
        rng = self._random(knob.name)
        if knob.type is KnobType.BOOLEAN:
            return not knob.default
        if knob.type is KnobType.CATEGORICAL:
            choices = [level for level in knob.levels if level != knob.default]
            reading, writing = rng.choice(choices), rng.choice(choices)
            return reading if self.read_share >= 0.5 else writing
        highest = 0.45 if knob.name in self._constrained else 0.8
        writing_at, reading_at = rng.uniform(0.2, highest), rng.uniform(0.2, highest)
        return at_position(knob, writing_at + self.read_share * (reading_at - writing_at))

    def _loss(self, configuration: Configuration) -> float:
        loss = 0.0
        previous: float | None = None
        for knob in self.space:
            if not self.space.is_active(knob.name, configuration):
                continue
            value = configuration[knob.name]
            loss += self._weights[knob.name] * self._distance(knob, value)
            if knob.is_number and value not in knob.special_values:
                offset = position(knob, value) - position(knob, self.optimum[knob.name])
                if previous is not None:
                    loss += COUPLING * (offset + previous) ** 2
                previous = offset
        return loss

    def _distance(self, knob: Knob, value: Value) -> float:
        """How far from its best a knob is: 0 there, about 1 at the other end of its domain."""
        best = self.optimum[knob.name]
        if value == best:
            return 0.0
        if value in knob.special_values:
            return SPECIAL_DISTANCE
        if knob.type is KnobType.CATEGORICAL:
            return self._random(f"{knob.name}={value}").uniform(0.3, 1.0)
        return 2 * (position(knob, value) - position(knob, best)) ** 2


def position(knob: Knob, value: Value) -> float:
    """Where a value lies in its domain, 0..1 on the knob's scale. A special value lies at 0."""
    if value in knob.special_values:
        return 0.0
    if not knob.is_number:
        return knob.levels.index(value) / max(1, len(knob.levels) - 1)
    low, high = _bounds(knob)
    if low == high:
        return 0.0
    if knob.scale is Scale.LOG:
        return math.log(float(value) / low) / math.log(high / low)
    return (float(value) - low) / (high - low)


def at_position(knob: Knob, place: float) -> Value:
    """The value nearest to a position; the inverse of `position`."""
    if not knob.is_number:
        return knob.levels[round(place * (len(knob.levels) - 1))]
    low, high = _bounds(knob)
    number = low * (high / low) ** place if knob.scale is Scale.LOG else low + place * (high - low)
    number = min(max(number, low), high)
    return knob.check(round(number) if knob.type is KnobType.INTEGER else number)


def _bounds(knob: Knob) -> tuple[float, float]:
    assert knob.low is not None and knob.high is not None  # noqa: S101 - a number has both
    return float(knob.low), float(knob.high)
