"""From configurations to rows of numbers and back, exactly.

A row has one column for every knob that is free to vary: an ordered knob's place in the unit
interval, or a categorical knob's level index (`tuner.axes`). Pinned knobs, and knobs with a single
value, have no column. Knobs that are not active stand at their default: the *canonical form*, in
which configurations that act the same are equal.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from targets.expressions import Expression
from targets.knobs import Configuration, Value
from targets.space import KnobSpace
from tuner.axes import Axis, ColumnKind, axis_of

Rows = NDArray[np.float64]
"""(n, n_columns) float64: encoded configurations."""

MAXIMUM_ENUMERATION = 10_000
"""Up to this many combinations a space is counted by listing it; a fraction of a second's work."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """What one column of a row is: its knob, its kind, and its number of distinct values.

    `count` is infinite for a real knob. `even` tells that an ordered column's values are `count`
    equally spaced places, value k at `(k + 0.5) / count`.
    """

    knob: str
    kind: ColumnKind
    count: float
    even: bool


class SpaceEncoder:
    """Encodes the configurations of one space, with some knobs pinned.

    `decode(encode(c)) == pinned(c)` for every configuration whose real values have at most
    `axes.REAL_DIGITS` digits and whose wide integers lie on their grid, hence for everything that
    `decode` gives, and for every default and special value; others come back as their nearest.

    Args:
        space: the knobs.
        pins: knobs fixed by their owner.

    Raises:
        InvalidKnob: a pin names no knob, or its value is not in the knob's domain.
    """

    def __init__(self, space: KnobSpace, pins: Mapping[str, Value] | None = None) -> None:
        self.space = space
        self.pins = {name: space[name].check(value) for name, value in (pins or {}).items()}
        axes = {knob.name: axis_of(knob) for knob in space if knob.name not in self.pins}
        self.axes: dict[str, Axis] = {name: axis for name, axis in axes.items() if axis}
        self.fixed = self.pins | {name: space[name].default for name in axes.keys() - self.axes}
        self.columns = tuple(
            Column(knob=name, kind=axis.kind, count=axis.count, even=axis.even)
            for name, axis in self.axes.items()
        )
        self._conditional = [name for name in self.axes if space[name].active_when]

    @property
    def n_columns(self) -> int:
        """How many knobs are free to vary."""
        return len(self.columns)

    @cached_property
    def levels(self) -> NDArray[np.int_]:
        """(n_columns,) int: how many levels a categorical column has, 0 for an ordered one."""
        return np.array(
            [
                int(column.count) if column.kind is ColumnKind.CATEGORICAL else 0
                for column in self.columns
            ],
            int,
        )

    @cached_property
    def _rules(self) -> dict[str, Expression]:
        return {
            rule.expression: Expression.parse(rule.expression) for rule in self.space.constraints
        }

    def broken(self, configuration: Configuration) -> list[str]:
        """The expressions of the constraints that a complete configuration breaks."""
        return [text for text, rule in self._rules.items() if not rule.holds(configuration)]

    def levers(self, rule: str) -> tuple[str, ...]:
        """The free knobs that can mend a constraint: those it reads or that switch these."""
        names = set(self._rules[rule].names)
        for name in tuple(names):
            if condition := self.space[name].active_when:
                names |= Expression.parse(condition).names
        return tuple(name for name in self.axes if name in names)

    def canonical(self, configuration: Configuration) -> dict[str, Value]:
        """The equal-acting configuration whose inactive free knobs are at their default.

        Setting one knob back may switch another one off, so this is done until nothing changes.
        """
        result = {knob.name: configuration[knob.name] for knob in self.space}
        active = self._conditional
        while inactive := [name for name in active if not self.space.is_active(name, result)]:
            result.update((name, self.space[name].default) for name in inactive)
            active = [name for name in active if name not in inactive]
        return result

    def pinned(self, configuration: Configuration) -> dict[str, Value]:
        """The configuration with the pins put in, in canonical form."""
        return self.canonical({**configuration, **self.fixed})

    def keeps_pins(self, configuration: Configuration) -> bool:
        """Whether every pinned knob has its pin's value."""
        return all(configuration[name] == value for name, value in self.pins.items())

    def key(self, configuration: Configuration) -> str:
        """A text equal for configurations that act the same, as `KnobSpace.key`.

        It also answers for what was measured outside the domain or the constraints.
        """
        return json.dumps(self.canonical(configuration))

    def encode(self, configuration: Configuration) -> NDArray[np.float64]:
        """The configuration's row: (n_columns,) float64.

        Numbers outside their knob's range are taken as its nearest end.

        Raises:
            InvalidKnob: a categorical value is none of its knob's levels.
        """
        canonical = self.canonical(configuration) if self._conditional else configuration
        return np.array([axis.position(canonical[name]) for name, axis in self.axes.items()], float)

    def encode_many(self, configurations: Sequence[Configuration]) -> Rows:
        """(n, n_columns) float64: a row for each configuration."""
        rows = [self.encode(configuration) for configuration in configurations]
        return np.array(rows, float).reshape(len(rows), self.n_columns)

    def decode(self, row: Iterable[float]) -> dict[str, Value]:
        """The configuration that a row means, in canonical form; it may break constraints."""
        values = {
            name: axis.value(position)
            for (name, axis), position in zip(self.axes.items(), row, strict=True)
        }
        return self.pinned(values)

    def decode_many(self, rows: Rows) -> list[dict[str, Value]]:
        """The configurations that rows mean."""
        return [self.decode(row) for row in rows.tolist()]

    def from_unit(self, points: Rows) -> Rows:
        """Rows for points of the unit cube, (n, n_columns): each level gets an equal share."""
        rows = [
            [axis.from_unit(share) for axis, share in zip(self.axes.values(), point, strict=True)]
            for point in points.tolist()
        ]
        return np.array(rows, float).reshape(len(rows), self.n_columns)

    def one_hot(self, rows: Rows) -> Rows:
        """(n, n_features) float64 in the unit cube: each categorical column as one per level.

        For models that take numbers only. A squared distance between two levels is 2.
        """
        parts = [
            np.eye(levels)[rows[:, column].astype(int)] if levels else rows[:, [column]]
            for column, levels in enumerate(self.levels)
        ]
        return np.hstack(parts) if parts else rows

    @property
    def listable(self) -> bool:
        """Whether there are at most `MAXIMUM_ENUMERATION` combinations of values."""
        return math.prod(column.count for column in self.columns) <= MAXIMUM_ENUMERATION

    @cached_property
    def listed(self) -> tuple[dict[str, Value], ...]:
        """Every distinct configuration that keeps constraints and pins, of a listable space."""
        levels = [tuple(dict.fromkeys(axis.values())) for axis in self.axes.values()]
        found: dict[str, dict[str, Value]] = {}
        for values in itertools.product(*levels):
            configuration = self.pinned(dict(zip(self.axes, values, strict=True)))
            if not self.broken(configuration):
                found.setdefault(self.key(configuration), configuration)
        return tuple(found.values())

    def size(self) -> float:
        """How many distinct configurations keep constraints and pins; infinite with a real knob.

        Exact for a listable space; else an upper bound that does not see what conditions and
        constraints take away.
        """
        if self.listable:
            return float(len(self.listed))
        return math.prod(column.count for column in self.columns)
