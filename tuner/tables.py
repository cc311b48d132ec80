"""Many configurations at once, knob by knob: as rows of positions, or as lists of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from targets.errors import InvalidKnob
from targets.knobs import Configuration, Knob, KnobType, Value
from tuner.axes import Axis
from tuner.rules import Mask, Rule, Table, vector_of

_OWN: dict[KnobType, set[type]] = {KnobType.INTEGER: {int}, KnobType.REAL: {float}}


class OwnForm:
    """A knob's values as `Knob.check` gives them: 3 for an integer's 3.0.

    Unlike there, what is not of the knob's domain stays as it is: it was measured all the same.
    """

    def __init__(self, knob: Knob) -> None:
        self.default = knob.default
        self._type = knob.type
        self._exact = {value: value for value in (*knob.special_values, *knob.levels)}
        kinds = set(map(type, self._exact)) | _OWN.get(knob.type, set())
        # Where all values are of one type, whatever is of that type is in its form.
        self._plain = kinds if len(kinds) == 1 else set()

    def of(self, value: Value) -> Value:
        """One value."""
        if type(value) in self._plain:
            return value
        if value in self._exact:
            return self._exact[value]
        if self._type is KnobType.INTEGER and isinstance(value, float) and value.is_integer():
            return int(value)
        if self._type is KnobType.REAL and type(value) is int and abs(value) < 2**1023:
            return float(value)
        return value

    def of_all(self, values: list[Value]) -> list[Value]:
        """Many; the list itself where all are in their form."""
        return values if set(map(type, values)) <= self._plain else list(map(self.of, values))


class Resettable(Table, Protocol):
    """A table whose knobs can be set back."""

    def reset(self, name: str, where: Mask) -> None:
        """Give a knob its default in some configurations."""


class RowTable:
    """Configurations as rows: (n, n_columns), which `reset` changes in place."""

    def __init__(
        self, axes: Mapping[str, Axis], fixed: Mapping[str, Value], rows: NDArray[np.float64]
    ) -> None:
        self.rows = rows
        self._axes = axes
        self._fixed = fixed
        self._places = {name: place for place, name in enumerate(axes)}

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> NDArray[Any]:
        """(n,), or () for a fixed knob: a knob's values."""
        if name not in self._axes:
            return vector_of([self._fixed[name]]).reshape(())
        return self._axes[name].vector(self.rows[:, self._places[name]])

    def values(self, name: str, places: NDArray[np.int_]) -> list[Value]:
        """A knob's values in some of the rows."""
        if name not in self._axes:
            return [self._fixed[name]] * len(places)
        return self._axes[name].meant(self.rows[places, self._places[name]])

    def reset(self, name: str, where: Mask) -> None:
        """Give a knob its default in some rows."""
        self.rows[where, self._places[name]] = self._axes[name].default


class ValueTable:
    """Configurations as lists of values, one list a knob, each value in its knob's own form."""

    def __init__(
        self, forms: Mapping[str, OwnForm], columns: dict[str, list[Value]], length: int
    ) -> None:
        self.columns = columns
        self._forms = forms
        self._length = length

    @classmethod
    def of(
        cls, forms: Mapping[str, OwnForm], configurations: Sequence[Configuration]
    ) -> ValueTable:
        """The table of some configurations, given every knob's form.

        Raises:
            InvalidKnob: a configuration lacks a knob.
        """
        try:
            columns = {
                name: form.of_all([one[name] for one in configurations])
                for name, form in forms.items()
            }
        except KeyError as error:
            raise InvalidKnob(f"a configuration has no value for knob {error.args[0]}") from error
        return cls(forms, columns, len(configurations))

    def __len__(self) -> int:
        return self._length

    def column(self, name: str) -> NDArray[Any]:
        """(n,): a knob's values."""
        return vector_of(self.columns[name])

    def values(self, name: str, places: NDArray[np.int_]) -> list[Value]:
        """A knob's values in some of the configurations."""
        column = self.columns[name]
        return [column[place] for place in places.tolist()]

    def reset(self, name: str, where: Mask) -> None:
        """Give a knob its default in some configurations."""
        column = self.columns[name]
        for place in np.flatnonzero(where).tolist():
            column[place] = self._forms[name].default

    def only(self, places: Sequence[int]) -> ValueTable:
        """Some of the configurations."""
        columns = {
            name: [column[place] for place in places] for name, column in self.columns.items()
        }
        return ValueTable(self._forms, columns, len(places))

    def tuples(self) -> list[tuple[Value, ...]]:
        """Each configuration's values, in catalogue order."""
        return list(zip(*self.columns.values(), strict=True)) or [()] * len(self)


def settle(table: Resettable, conditions: Mapping[str, Rule]) -> None:
    """Set every conditional knob that is not active to its default.

    Setting one back may switch another one off, so this is done until nothing changes.

    Args:
        conditions: knob -> when it is active.
    """
    undecided = {name: np.ones(len(table), bool) for name in conditions}
    rules = {rule.text: rule for rule in conditions.values()}
    while True:
        active = {text: rule.holds(table) for text, rule in rules.items()}
        inactive = {name: undecided[name] & ~active[rule.text] for name, rule in conditions.items()}
        if not any(where.any() for where in inactive.values()):
            return
        for name, where in inactive.items():
            table.reset(name, where)
            undecided[name] &= ~where
