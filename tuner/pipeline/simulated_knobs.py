"""Knob spaces whose truth is known: a few decisive knobs among many inert ones.

The objective, or its logarithm, is a sum of effects of single knobs, effects of two together, and
noise. Which knobs are decisive, and how much each accounts for, is drawn and can be asked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from targets.errors import FailureKind
from targets.knobs import Configuration, Knob, KnobType, Scale, Value
from targets.metrics import Direction, Objective
from targets.space import KnobSpace
from tuner.pipeline.arrays import Array, Mask
from tuner.recommenders.base import Observation, Problem
from tuner.space import Rows, SpaceEncoder

TRUTH_POINTS = 20_000
"""Points of the space over which true shares are averaged."""

VALUES = 240
"""Even places of an axis from which its values are drawn; a multiple of 2 to 6 levels."""


@dataclass(frozen=True, kw_only=True)
class KnobTraits:
    """What a family of knob spaces is like.

    `noise` is the standard deviation of one window's logarithm, `strength` the range of the
    logarithm over the values of a decisive knob: 0.5 is a factor of 1.6 from worst to best.
    `interaction`: two knobs act together by the product of their places. `cliff`: the objective
    falls where two knobs are both in the upper half of their values. `signed`: all this is of the
    objective itself, which then takes values below 0. `steered`: after a third of the trials the
    others are changes of the best so far, as a tuner makes them. `windows` is of each trial.
    """

    knobs: int = 20
    decisive: int = 4
    trials: int = 60
    windows: int = 1
    noise: float = 0.07
    strength: tuple[float, float] = (0.3, 1.0)
    interaction: bool = True
    cliff: bool = False
    signed: bool = False
    steered: bool = False
    failures: float = 0.05

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> KnobTraits:
        """Any family of the kind: 5 to 100 knobs, and 15 to 200 trials, no fewer than knobs."""
        knobs = round(math.exp(rng.uniform(math.log(5), math.log(100))))
        return cls(
            knobs=knobs,
            decisive=int(rng.integers(2, min(8, knobs // 2) + 1)),
            trials=int(rng.integers(max(15, knobs), 201)),
            windows=int(rng.choice([1, 1, 3])),
            noise=float(rng.uniform(0.0, 0.2)),
            interaction=bool(rng.random() < 0.5),
            cliff=bool(rng.random() < 0.25),
            signed=bool(rng.random() < 0.25),
            failures=float(rng.choice([0.0, 0.05])),
        )


@dataclass(frozen=True, kw_only=True)
class KnobFamily:
    """A problem, its decisive knobs, and what each of them does.

    Attributes:
        shapes: decisive knob -> its effect at 11 places of its axis, or at its levels.
        pair: two decisive knobs that act together, and how strongly; None for none.
        cliff: two decisive knobs, and how far the objective falls where both are high.
    """

    traits: KnobTraits
    problem: Problem
    shapes: dict[str, Array]
    pair: tuple[str, str, float] | None
    cliff: tuple[str, str, float] | None

    @classmethod
    def drawn(cls, traits: KnobTraits, rng: np.random.Generator) -> KnobFamily:
        """A family with these traits."""
        space = KnobSpace(tuple(_knob(place, rng) for place in range(traits.knobs)))
        chosen = rng.permutation(traits.knobs)[: traits.decisive]
        decisive = [space.knobs[place] for place in chosen]
        shapes = {knob.name: _shape(knob, rng) * rng.uniform(*traits.strength) for knob in decisive}
        ordered = [knob.name for knob in decisive if knob.is_number]
        pair = None
        if traits.interaction and len(ordered) >= 2:
            pair = (ordered[0], ordered[1], float(rng.uniform(*traits.strength)))
        cliff = None
        if traits.cliff and len(decisive) >= 2:
            cliff = (decisive[0].name, decisive[-1].name, float(rng.uniform(*traits.strength)))
        direction = Direction.MAXIMISE if rng.random() < 0.5 else Direction.MINIMISE
        objective = Objective(name="objective", direction=direction)
        problem = Problem(space=space, objectives=(objective,))
        return cls(traits=traits, problem=problem, shapes=shapes, pair=pair, cliff=cliff)

    @cached_property
    def encoder(self) -> SpaceEncoder:
        """Of the problem's space."""
        return SpaceEncoder(self.problem.space)

    @property
    def sign(self) -> float:
        """1 where more is better, else -1."""
        return 1.0 if self.problem.objective.direction is Direction.MAXIMISE else -1.0

    @property
    def decisive(self) -> tuple[str, ...]:
        """The knobs that matter."""
        return tuple(self.shapes)

    @property
    def inert(self) -> tuple[str, ...]:
        """The knobs that do not."""
        return tuple(knob.name for knob in self.problem.space if knob.name not in self.shapes)

    def truth(self, rows: Rows) -> Array:
        """(n,): the objective's logarithm, or itself where it is signed, at encoded rows."""
        columns = {column.knob: place for place, column in enumerate(self.encoder.columns)}
        total = np.zeros(len(rows))
        for name, shape in self.shapes.items():
            column = rows[:, columns[name]]
            levels = self.encoder.levels[columns[name]]
            places = column if levels else column * (len(shape) - 1)
            total += np.interp(places, np.arange(len(shape)), shape)
        if self.pair:
            one, other, strength = self.pair
            total += (
                2.0 * strength * (rows[:, columns[one]] - 0.5) * (rows[:, columns[other]] - 0.5)
            )
        if self.cliff:
            one, other, strength = self.cliff
            high = self._high(rows, columns[one]) & self._high(rows, columns[other])
            total -= self.sign * strength * high
        return total

    def _high(self, rows: Rows, column: int) -> Mask:
        levels = self.encoder.levels[column]
        return np.asarray(rows[:, column] > (0.5 * (levels - 1) if levels else 0.5))

    @cached_property
    def _values(self) -> Rows:
        """(VALUES, n_columns): each column's values, drawn evenly."""
        even = (np.arange(VALUES) + 0.5) / VALUES
        points = np.repeat(even[:, None], self.encoder.n_columns, axis=1)
        return self.encoder.encode_many(self.encoder.decode_many(self.encoder.from_unit(points)))

    def draw(self, count: int, rng: np.random.Generator) -> Rows:
        """(count, n_columns): configurations drawn evenly from the space, encoded."""
        columns = self.encoder.n_columns
        return self._values[rng.integers(VALUES, size=(count, columns)), np.arange(columns)]

    def observe(
        self, configurations: Sequence[Configuration], rng: np.random.Generator, *, first: int = 0
    ) -> list[Observation]:
        """The windows of each, or a failure that knows no cause; numbered from `first`."""
        truth = self.truth(self.encoder.encode_many(list(configurations)))
        noise = rng.normal(size=(len(truth), self.traits.windows)) * self.traits.noise
        noisy = truth[:, None] + noise
        values = noisy if self.traits.signed else 1000.0 * np.exp(noisy)
        return [
            Observation(configuration=configuration, failure=FailureKind.TIMED_OUT, number=number)
            if rng.random() < self.traits.failures
            else Observation(
                configuration=configuration, values={"objective": tuple(windows)}, number=number
            )
            for number, (configuration, windows) in enumerate(
                zip(configurations, values.tolist(), strict=True), first
            )
        ]

    def trials(self, rng: np.random.Generator) -> list[Observation]:
        """The baseline and as many further configurations as the traits say."""
        count = self.traits.trials - 1
        start = count // 3 if self.traits.steered else count
        drawn = self.encoder.decode_many(self.draw(start, rng))
        result = self.observe([self.problem.space.default(), *drawn], rng)
        while len(result) <= count:
            best = max(
                (one for one in result if one.values),
                key=lambda one: self.sign * one.values["objective"][0],
            )
            [row], [other] = self.encoder.encode_many([best.configuration]), self.draw(1, rng)
            changed = rng.random(len(row)) < 0.2
            step = self.encoder.decode(np.where(changed, other, row))
            result += self.observe([step], rng, first=len(result))
        return result

    def shares(self, rng: np.random.Generator) -> dict[str, float]:
        """Each knob's true share: its total-effect index (Sobol, 2001; Jansen, 1999).

        The share of the variance of the truth over the space that goes when the knob is held
        fixed, averaged over `TRUTH_POINTS` configurations without noise.
        """
        here, there = self.draw(TRUTH_POINTS, rng), self.draw(TRUTH_POINTS, rng)
        values = self.truth(here)
        result = dict.fromkeys(self.inert, 0.0)
        for place, column in enumerate(self.encoder.columns):
            if column.knob in self.shapes:
                moved = here.copy()
                moved[:, place] = there[:, place]
                difference = self.truth(moved) - values
                result[column.knob] = float(0.5 * (difference**2).mean() / values.var())
        return result

    def gains(self, baseline: Configuration, configuration: Configuration) -> dict[str, float]:
        """What each changed decisive knob truly contributes to the truth, as Shapley values.

        Positive for the better; a pair's effect is shared equally between the two.
        """
        old, new = self.encoder.encode_many([baseline, configuration])
        result = {}
        for place, column in enumerate(self.encoder.columns):
            if column.knob in self.shapes and old[place] != new[place]:
                steps = [
                    self.truth(np.vstack((start, np.where(self._is(place), new, start))))
                    for start in (old, np.where(self._is(place), old, new))
                ]
                result[column.knob] = self.sign * float(
                    np.mean([after - before for before, after in steps])
                )
        return result

    def _is(self, place: int) -> Mask:
        return np.asarray(np.arange(self.encoder.n_columns) == place)


def _knob(place: int, rng: np.random.Generator) -> Knob:
    name = f"k{place}"
    kind = rng.integers(6)
    if kind == 0:
        return Knob(name=name, type=KnobType.BOOLEAN, default=bool(rng.integers(2)))
    if kind == 1:
        levels: tuple[Value, ...] = tuple("abcde"[: rng.integers(2, 6)])
        return Knob(name=name, type=KnobType.CATEGORICAL, levels=levels, default=levels[0])
    if kind == 2:
        sizes: tuple[Value, ...] = tuple(2 ** int(k) for k in range(9, 9 + rng.integers(3, 8)))
        return Knob(name=name, type=KnobType.ORDINAL, levels=sizes, default=sizes[1])
    if kind == 3:
        return Knob(name=name, type=KnobType.REAL, low=0.0, high=1.0, default=float(rng.random()))
    if kind == 4:
        return Knob(
            name=name, type=KnobType.INTEGER, low=1, high=1 << 30, default=4096, scale=Scale.LOG
        )
    return Knob(name=name, type=KnobType.INTEGER, low=0, high=100, default=int(rng.integers(101)))


def _shape(knob: Knob, rng: np.random.Generator) -> Array:
    """An effect of range 1: at the levels of a categorical knob, else at 11 places."""
    if knob.type in (KnobType.CATEGORICAL, KnobType.BOOLEAN):
        effect = rng.normal(size=len(knob.levels))
        effect[0] -= 0.5
    else:
        place, sign = np.linspace(0.0, 1.0, 11), rng.choice([-1.0, 1.0])
        effect = (
            sign
            * (
                place,
                -((place - rng.uniform(0.2, 0.8)) ** 2),
                1.0 - np.exp(-4.0 * place),
                1.0 / (1.0 + np.exp(-20.0 * (place - rng.uniform(0.25, 0.75)))),
                place > rng.uniform(0.2, 0.8),
            )[rng.integers(5)]
        )
    return np.asarray(effect / np.ptp(effect))
