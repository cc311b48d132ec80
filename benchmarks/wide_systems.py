"""Wide spaces of mixed knobs of which a few matter, with a truth that is known.

A space has reals, logarithmic integers (some with a special value), switches, categories and
ordinals, some of them conditional, and constraints between them; its truth is drawn with the seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from targets.knobs import Knob, KnobType, Scale, Special, Value
from targets.space import Constraint, KnobSpace
from tuner.sampling import neighbour_rows, sample_rows
from tuner.space import Rows, SpaceEncoder

LEAST_MATTERING, MOST_MATTERING = 4, 12
CLIMBED = 8

Configuration = dict[str, Value]
Vector = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Family:
    """A kind of truth.

    Attributes:
        mattering: how many knobs matter; None: drawn from 4 to 12.
        rest: how much each other knob can cost, of the strongest one's share.
        tuned: the other knobs are best at their default, and not anywhere.
    """

    mattering: int | None = None
    rest: float = 0.0
    tuned: bool = False


FAMILIES = {
    "sparse": Family(),
    "tail": Family(rest=0.03),
    "tuned": Family(rest=0.06, tuned=True),
    "dense": Family(mattering=0, rest=1.0),
}


class Instance:
    """One space, what it costs to stand somewhere, and what the best known and chance cost."""

    def __init__(self, family: Family, knobs: int, seed: int) -> None:
        rng = np.random.default_rng([knobs, seed])
        self.encoder = SpaceEncoder(wide_space(knobs, rng))
        self._levels = np.maximum(self.encoder.levels, 1)
        order = rng.permutation(knobs)
        count = family.mattering
        if count is None:
            count = int(rng.integers(LEAST_MATTERING, MOST_MATTERING + 1))
        strengths = np.full(knobs, family.rest)
        strengths[order[:count]] = 0.85 ** np.arange(count)
        self._effects = [
            effect(self.encoder, place, rng, tuned=family.tuned and place not in order[:count])
            for place in range(knobs)
        ]
        self._strengths = strengths * (rng.uniform(0.3, 1.0, knobs) if family.rest else 1.0)
        self._pairs = rng.permutation(order[:count])[: 2 * (count // 3)].reshape(-1, 2)
        self._centres = rng.uniform(0.2, 0.8, self._pairs.shape)
        ordered = [place for place in order[:count] if not self.encoder.levels[place]]
        self._edge = np.array(ordered[:2])
        self._corner = rng.uniform(0.5, 0.7, len(self._edge))
        drawn = sample_rows(self.encoder, 4_000, rng)
        costs = self.costs(drawn)
        self.chance = float(costs.mean())
        self.best = min(self._climbed(row) for row in drawn[np.argsort(costs)[:CLIMBED]])

    def costs(self, rows: Rows) -> Vector:
        """(n,): logarithms of the true objective at canonical rows; less is better."""
        columns = [effect(rows[:, place]) for place, effect in enumerate(self._effects)]
        total = np.stack(columns, axis=1) @ self._strengths
        places = rows / self._levels
        for (one, other), (mine, its) in zip(self._pairs, self._centres, strict=True):
            together = (places[:, one] - mine) * (places[:, other] - its)
            total += 1.5 * min(self._strengths[one], self._strengths[other]) * together
        if len(self._edge):
            total += 1.0 * (rows[:, self._edge] > self._corner).all(axis=1)
        return np.asarray(total)

    def regret(self, configuration: Configuration) -> float:
        """0 at the best known configuration, 1 at the average of random ones."""
        [cost] = self.costs(self.encoder.canonical_rows(self.encoder.encode_many([configuration])))
        return max(0.0, (float(cost) - self.best) / (self.chance - self.best))

    def _climbed(self, row: Vector) -> float:
        """The cost at the end of a steepest descent by single knobs."""
        [cost] = self.costs(row[None, :])
        while True:
            near = neighbour_rows(self.encoder, row)
            costs = self.costs(near)
            if costs.min() >= cost - 1e-9:
                return float(cost)
            row, cost = near[costs.argmin()], costs.min()


def wide_space(knobs: int, rng: np.random.Generator) -> KnobSpace:
    """Mixed knobs, one in ten conditional on a switch, and a few constraints."""
    made: list[Knob] = []
    for place in range(knobs):
        switches = [knob.name for knob in made if knob.type is KnobType.BOOLEAN]
        conditional = bool(switches) and rng.random() < 0.1
        under = str(switches[rng.integers(len(switches))]) if conditional else ""
        made.append(knob_of(f"knob_{place}", rng, active_when=under))
    sizes = [knob.name for knob in made if knob.scale is Scale.LOG and not knob.special]
    rules = []
    for one, other in np.reshape(sizes[: 2 * (1 + knobs // 40)], (-1, 2)).tolist():
        rules.append(Constraint(expression=f"{one} <= 64 * {other}"))
        rules.append(Constraint(expression=f"{one} * {other} <= {1 << 32}"))
    return KnobSpace(tuple(made), tuple(rules))


def knob_of(name: str, rng: np.random.Generator, *, active_when: str) -> Knob:
    """A knob of a kind that is drawn, with a default anywhere but at an end."""
    given: dict[str, Any] = {"name": name, "active_when": active_when}
    kind = rng.random()
    if kind < 0.25:
        default = float(rng.uniform(0.2, 0.8))
        return Knob(**given, type=KnobType.REAL, low=0.0, high=1.0, default=default)
    if kind < 0.55:
        special = (Special(value=0, meaning="off"),) if rng.random() < 0.3 else ()
        return Knob(
            **given, type=KnobType.INTEGER, low=1, high=1 << 20, scale=Scale.LOG,
            default=int(2 ** rng.uniform(7, 13)), special=special,
        )  # fmt: skip
    if kind < 0.75:
        return Knob(**given, type=KnobType.BOOLEAN, default=bool(rng.integers(2)))
    levels: tuple[Value, ...] = tuple("abcde"[: rng.integers(3, 6)])
    if kind < 0.9:
        return Knob(**given, type=KnobType.CATEGORICAL, levels=levels, default=levels[0])
    steps: tuple[Value, ...] = tuple(2 ** int(power) for power in range(rng.integers(4, 9)))
    return Knob(**given, type=KnobType.ORDINAL, levels=steps, default=steps[1])


def effect(
    encoder: SpaceEncoder, place: int, rng: np.random.Generator, *, tuned: bool
) -> Callable[[Vector], Vector]:
    """What one column does by itself, from 0 at its best to 1."""
    levels = int(encoder.levels[place])
    [default] = encoder.encode_many([encoder.space.default()])[:, place].tolist()
    if levels:
        table = rng.uniform(0.3, 1.0, levels)
        table[int(default) if tuned else rng.integers(levels)] = 0.0
        return lambda column: table[column.astype(int)] / table.max()
    best, shape = default if tuned else rng.uniform(), rng.integers(4)
    reach = max(best, 1.0 - best)
    if shape == 0 or tuned:
        return lambda column: ((column - best) / reach) ** 2
    if shape == 1:
        return lambda column: np.abs(column - best) / reach
    if shape == 2:
        sign = rng.choice([-1.0, 1.0])
        return lambda column: 0.5 + sign * (column - 0.5)
    threshold = rng.uniform(0.3, 0.7)
    return lambda column: 0.8 * (column < threshold) + 0.2 * (1.0 - column)
