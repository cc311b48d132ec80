"""From configurations to rows of numbers and back, exactly.

A row has one column for every knob that is free to vary: an ordered knob's place in the unit
interval, or a categorical knob's level index (`tuner.axes`). Pinned knobs, and knobs with a single
value, have no column. Knobs that are not active stand at their default: the *canonical form*, in
which configurations that act the same are equal. A canonical row has every position exactly where
its value lies, so that two of them mean the same configuration just when they are equal.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from targets.knobs import Configuration, Value
from targets.space import KnobSpace
from tuner.axes import Axis, ColumnKind, axis_of
from tuner.rules import Rule
from tuner.tables import OwnForm, RowTable, ValueTable, settle

Rows = NDArray[np.float64]
"""(n, n_columns) float64: encoded configurations."""

MAXIMUM_ENUMERATION = 10_000
"""Up to this many combinations a space is counted by listing it; milliseconds' work."""


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
        self._forms = {knob.name: OwnForm(knob) for knob in space}
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
    def rules(self) -> dict[str, Rule]:
        """The constraints, by expression."""
        return {one.expression: Rule(one.expression) for one in self.space.constraints}

    @cached_property
    def _conditions(self) -> dict[str, Rule]:
        """When each conditional free knob is active."""
        texts = {name: self.space[name].active_when for name in self._conditional}
        rules = {text: Rule(text) for text in set(texts.values())}
        return {name: rules[text] for name, text in texts.items()}

    # -- one configuration

    def broken(self, configuration: Configuration) -> list[str]:
        """The expressions of the constraints that a complete configuration breaks.

        One that cannot be evaluated under it (a division by a knob that is 0) is broken as well.
        """
        return [text for text, rule in self.rules.items() if not rule.holds_for(configuration)]

    def levers(self, rule: str) -> tuple[str, ...]:
        """The free knobs that can mend a constraint: those it reads or that switch these."""
        names: set[str] = set()
        found = set(self.rules[rule].expression.names)
        while found := found - names:
            names |= found
            rules = [self._conditions[name] for name in found if name in self._conditions]
            found = {name for one in rules for name in one.expression.names}
        return tuple(name for name in self.axes if name in names)

    def canonical(self, configuration: Configuration) -> dict[str, Value]:
        """The equal-acting configuration whose inactive free knobs are at their default.

        Setting one knob back may switch another one off, so this is done until nothing changes.
        Values are in their knob's own form (3 for 3.0 of an integer), if they are of its domain.
        """
        result = {name: form.of(configuration[name]) for name, form in self._forms.items()}
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
        """The configuration's row: (n_columns,) float64; as `encode_many`."""
        return np.asarray(self.encode_many([configuration])[0])

    def decode(self, row: Iterable[float]) -> dict[str, Value]:
        """The configuration that a row means, in canonical form; it may break constraints."""
        return self.decode_many(np.array([list(row)], float))[0]

    # -- many at once

    def nearest(self, configuration: Configuration) -> dict[str, Value]:
        """The configuration within every domain that is nearest to one that was measured outside;
        it may break constraints.

        Raises:
            InvalidKnob: a categorical value is none of its knob's levels.
        """
        return self.decode(self.encode(configuration))

    def table(self, configurations: Sequence[Configuration]) -> ValueTable:
        """The configurations knob by knob, in canonical form.

        Raises:
            InvalidKnob: a configuration lacks a knob.
        """
        table = ValueTable.of(self._forms, configurations)
        settle(table, self._conditions)
        return table

    def places(self, table: ValueTable) -> Rows:
        """(n, n_columns): a table's rows; NaN where a value is none of its knob's levels."""
        rows = np.empty((len(table), self.n_columns))
        for place, (name, axis) in enumerate(self.axes.items()):
            rows[:, place] = axis.positions(table.columns[name])
        return rows

    def holds(self, table: ValueTable) -> NDArray[np.bool_]:
        """(n,): which of a table's configurations keep every knob's domain and the pins."""
        holds = np.ones(len(table), bool)
        for name, axis in self.axes.items():
            holds &= axis.holds(table.columns[name])
        for name, value in self.fixed.items():
            holds &= np.array([other == value for other in table.columns[name]], bool)
        return holds

    def takes(self, table: ValueTable) -> NDArray[np.bool_]:
        """(n,): which of a table's configurations keep domains, pins and constraints."""
        takes = self.holds(table)
        for rule in self.rules.values():
            takes &= rule.holds(table)
        return takes

    def encode_many(self, configurations: Sequence[Configuration]) -> Rows:
        """(n, n_columns) float64: a row for each configuration.

        Numbers outside their knob's range are taken as its nearest end.

        Raises:
            InvalidKnob: a categorical or ordinal value is none of its knob's levels, or a
                configuration lacks a knob.
        """
        table = self.table(configurations)
        rows = self.places(table)
        for place, column in np.argwhere(np.isnan(rows)).tolist():
            name = self.columns[column].knob
            self.axes[name].position(table.columns[name][place])  # raises, and says what is wrong
        return rows

    def decode_many(self, rows: Rows) -> list[dict[str, Value]]:
        """The configurations that rows mean, in canonical form; they may break constraints."""
        rows = self.settled(rows)
        values = {
            name: axis.meant(rows[:, place]) for place, (name, axis) in enumerate(self.axes.items())
        }
        values |= {name: [value] * len(rows) for name, value in self.fixed.items()}
        names = [knob.name for knob in self.space]
        columns = [values[name] for name in names]
        return [dict(zip(names, one, strict=True)) for one in zip(*columns, strict=True)]

    def canonical_rows(self, rows: Rows) -> Rows:
        """(n, n_columns): the canonical rows that mean the same."""
        return self.snapped(self.settled(rows))

    def settled(self, rows: Rows) -> Rows:
        """(n, n_columns): the rows with every knob that is not active at its default."""
        if not self._conditional:
            return rows
        table = RowTable(self.axes, self.fixed, rows.copy())
        settle(table, self._conditions)
        return table.rows

    def snapped(self, rows: Rows) -> Rows:
        """(n, n_columns): the rows with every position exactly where its value lies."""
        snapped = np.empty(rows.shape)
        for place, axis in enumerate(self.axes.values()):
            snapped[:, place] = axis.snapped(rows[:, place])
        return snapped

    def row_keys(self, rows: Rows, *, canonical: bool = False) -> list[bytes]:
        """A key each, equal for rows that mean the same configuration.

        Args:
            canonical: the rows are canonical already, which saves most of the work.
        """
        if not self.n_columns:
            return [b""] * len(rows)
        whole = np.ascontiguousarray(rows if canonical else self.canonical_rows(rows))
        keys: list[bytes] = whole.view(f"V{whole.itemsize * self.n_columns}").ravel().tolist()
        return keys

    def breaches(self, rows: Rows) -> NDArray[np.bool_]:
        """(n, n_constraints): which constraints rows in canonical form break."""
        table = RowTable(self.axes, self.fixed, rows)
        broken = np.zeros((len(rows), len(self.rules)), bool)
        for place, rule in enumerate(self.rules.values()):
            broken[:, place] = ~rule.holds(table)
        return broken

    def from_unit(self, points: Rows) -> Rows:
        """Rows for points of the unit cube, (n, n_columns): each level gets an equal share."""
        rows = points.copy()
        for place in np.flatnonzero(self.levels).tolist():
            rows[:, place] = self.axes[self.columns[place].knob].from_unit(points[:, place])
        return rows

    def one_hot(self, rows: Rows) -> Rows:
        """(n, n_features) float64 in the unit cube: each categorical column as one per level.

        For models that take numbers only. A squared distance between two levels is 2.
        """
        widths = np.maximum(self.levels, 1)
        starts = np.cumsum(widths) - widths
        features = np.zeros((len(rows), int(widths.sum())))
        ordered = self.levels == 0
        features[:, starts[ordered]] = rows[:, ordered]
        hot = starts[~ordered] + rows[:, ~ordered].astype(int)
        features[np.arange(len(rows))[:, None], hot] = 1.0
        return features

    # -- the whole space

    @property
    def combinations(self) -> float:
        """How many combinations of the free knobs' values there are."""
        return math.prod(column.count for column in self.columns)

    @property
    def listable(self) -> bool:
        """Whether there are at most `MAXIMUM_ENUMERATION` combinations of values."""
        return self.combinations <= MAXIMUM_ENUMERATION

    @cached_property
    def listed_rows(self) -> Rows:
        """(n, n_columns): every distinct configuration of a finite space that keeps constraints
        and pins, as canonical rows."""
        every = [axis.all() for axis in self.axes.values()]
        grid = np.meshgrid(*every, indexing="ij")
        rows = np.stack([one.ravel() for one in grid], axis=1) if grid else np.empty((1, 0))
        rows = self.settled(rows)
        rows = rows[~self.breaches(rows).any(axis=1)]
        first: dict[bytes, int] = {}
        for place, key in enumerate(self.row_keys(rows, canonical=True)):
            first.setdefault(key, place)
        return np.asarray(rows[list(first.values())])

    @cached_property
    def listed(self) -> tuple[dict[str, Value], ...]:
        """Every distinct configuration that keeps constraints and pins, of a listable space."""
        return tuple(self.decode_many(self.listed_rows))

    def size(self) -> float:
        """How many distinct configurations keep constraints and pins; infinite with a real knob.

        Exact for a listable space; else an upper bound that does not see what conditions and
        constraints take away.
        """
        return float(len(self.listed_rows)) if self.listable else self.combinations
