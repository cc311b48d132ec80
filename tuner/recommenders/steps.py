"""Steps from one configuration: where they lead, how far, and what each promises.

What a step promises comes from a memory of what the same step did elsewhere, drawn with its doubt.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from targets.knobs import Value
from tuner.axes import ColumnKind
from tuner.history import History
from tuner.recommenders.search import UNLIKELY
from tuner.repair import repair
from tuner.space import SpaceEncoder
from tuner.surrogates.acceptability import Acceptability
from tuner.surrogates.base import Vector
from tuner.surrogates.fitting import best_and_latest

REMEMBERED = 120
"""Configurations among which pairs one knob apart are looked for."""

HOPE = 0.75
"""What a step never tried is hoped to gain, in standard deviations of the costs known."""

DOUBT = 0.5
"""How uncertain what one pair taught is about the same step elsewhere, in the same measure."""

ALIKE = 0.2
"""Steps between places this far apart on an ordered axis teach about each other."""

LEVEL_STEP = 0.3
"""How far apart two levels without order are for the bound of a trust region."""

Move = dict[str, Value]
"""A configuration one step away."""


@dataclass(frozen=True)
class Steps:
    """The new configurations one step from an origin, and how much cost each may add.

    `knobs` (n,): the column each changes; `costs` (n,): drawn from what the memory knows.
    """

    history: History
    origin: Move
    moves: list[Move]
    knobs: NDArray[np.int_]
    costs: Vector

    @classmethod
    def from_origin(
        cls,
        history: History,
        origin: Move,
        rng: np.random.Generator,
        *,
        step: float,
        reach: float = np.inf,
    ) -> Steps:
        """All that are feasible, new, within `reach`, and not likely to fail."""
        encoder = history.encoder
        found: dict[str, tuple[Move, int]] = {}
        for place, name in enumerate(encoder.axes):
            for value in _values(encoder, name, origin[name], step):
                other = encoder.canonical({**origin, name: value})
                key = encoder.key(other)
                if key in history.seen or key in found or encoder.broken(other):
                    continue
                if distance(encoder, origin, other) <= reach:
                    found[key] = other, place
        near, knobs = [one for one, _ in found.values()], [knob for _, knob in found.values()]
        rows = encoder.encode_many(near)
        if near:
            acceptability = Acceptability.fit(history, seed=int(rng.integers(2**31)))
            likely = acceptability.chance(rows) >= UNLIKELY
            if likely.any():
                near = [one for one, keep in zip(near, likely, strict=True) if keep]
                knobs = [one for one, keep in zip(knobs, likely, strict=True) if keep]
                rows = rows[likely]
        places = np.array(knobs, int)
        costs = _remembered(history, encoder.encode(origin), rows, places, rng)
        return cls(history, origin, near, places, costs)

    def best(self) -> Move | None:
        """The most promising; None where there is none."""
        return self.moves[int(self.costs.argmin())] if self.moves else None

    def joined(self, count: int, rng: np.random.Generator) -> Move | None:
        """The most promising steps of `count` knobs in one; None where that gives nothing new."""
        encoder = self.history.encoder
        names = list(encoder.axes)
        changed: Move = {}
        for place in np.argsort(self.costs):
            name = names[self.knobs[place]]
            if len(changed) < count and name not in changed:
                changed[name] = self.moves[place][name]
        mended = repair(encoder, {**self.origin, **changed}, rng)
        if mended is None or encoder.key(mended) in self.history.seen:
            return None
        return mended


def distance(encoder: SpaceEncoder, one: Move, other: Move) -> float:
    """How far apart two configurations are: the sum of their steps along all axes."""
    gaps = np.abs(encoder.encode(one) - encoder.encode(other))
    return float(np.where(encoder.levels > 0, LEVEL_STEP * (gaps > 0), gaps).sum())


def _values(encoder: SpaceEncoder, name: str, value: Value, step: float) -> list[Value]:
    """Where a knob may go: what the axis calls near, and one step of the search's own size."""
    axis = encoder.axes[name]
    near = axis.neighbours(value)
    if axis.kind is ColumnKind.ORDERED:
        place = axis.position(value)
        size = max(step, 1.0 / axis.count)
        near += [axis.value(min(max(place + signed, 0.0), 1.0)) for signed in (-size, size)]
    return [other for other in dict.fromkeys(near) if other != value]


def _remembered(
    history: History,
    origin: Vector,
    rows: NDArray[np.float64],
    knobs: NDArray[np.int_],
    rng: np.random.Generator,
) -> Vector:
    """(n,): what each step may add to the cost, drawn from what like steps did elsewhere.

    Pairs of measured configurations that differ in one knob tell what its step did. Drawing with
    the doubt that is left is Thompson's rule: steps never tried, and good ones, come first.
    """
    if not len(rows):
        return np.empty(0)
    places = best_and_latest(history, REMEMBERED)
    known, costs = history.rows[places], history.costs[places]
    scale = (float(costs.std()) if len(costs) else 0.0) or 1.0
    differ = known[:, None, :] != known[None, :, :]
    before, after = np.nonzero(differ.sum(axis=2) == 1)
    changed = differ[before, after].argmax(axis=1)
    gains = costs[after] - costs[before]
    result = np.empty(len(rows))
    for place, (row, knob) in enumerate(zip(rows, knobs, strict=True)):
        of_knob = changed == knob
        source, goal = known[before[of_knob], knob], known[after[of_knob], knob]
        if history.encoder.levels[knob]:
            weights = ((source == origin[knob]) & (goal == row[knob])).astype(float)
        else:
            squares = (source - origin[knob]) ** 2 + (goal - row[knob]) ** 2
            weights = np.exp(-0.5 * squares / ALIKE**2)
        total = weights.sum()
        # One more pair, imagined: that hopes for a gain. Real ones outweigh it soon.
        mean = (weights @ gains[of_knob] - 0.5 * HOPE * scale) / (total + 0.5)
        result[place] = mean + DOUBT * scale / np.sqrt(total + 1.0) * rng.standard_normal()
    return result
