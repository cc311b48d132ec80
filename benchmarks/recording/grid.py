"""A part of a target's space as a grid: its rows, and which of them act the same."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from targets.errors import InvalidKnob
from targets.expressions import Expression
from targets.knobs import Configuration, Knob, KnobType, Value
from targets.space import KnobSpace


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Every feasible combination of the levels of some knobs, the others held.

    `rows` are level indices, one a varied knob; `number_of[i]` says which of `configurations` row i
    is. Rows that differ only in knobs that are not active act the same and share one, so a grid
    has fewer configurations to measure than rows. `default` is the number of the target's default,
    and of a configuration beside the grid's when that is outside it.
    """

    names: tuple[str, ...]
    params: tuple[dict[str, Any], ...]
    constraints: tuple[dict[str, str], ...]
    held: dict[str, Value]
    product: int
    rows: tuple[tuple[int, ...], ...]
    number_of: tuple[int, ...]
    configurations: tuple[dict[str, Value], ...]
    default: int

    @classmethod
    def of(cls, space: KnobSpace, levels: Mapping[str, tuple[Value, ...]]) -> Grid:
        """The grid of `levels` in a space, knobs in catalogue order; `ALL` is all it declares.

        Raises:
            InvalidKnob: a knob is not of this space, a level not of its domain; or a constraint or
                condition ties a varied knob to one that is held, which a table cannot say.
        """
        checked = {name: _levels(space[name], given) for name, given in levels.items()}
        varied = {knob.name: checked[knob.name] for knob in space if knob.name in checked}
        held = {knob.name: knob.default for knob in space if knob.name not in varied}
        product: list[dict[str, Value]] = [
            {**held, **dict(zip(varied, values, strict=True))}
            for values in itertools.product(*varied.values())
        ]
        feasible = [configuration for configuration in product if not space.broken(configuration)]
        numbers: dict[str, int] = {}
        configurations: list[dict[str, Value]] = []
        number_of = []
        for configuration in feasible:
            number = numbers.setdefault(space.key(configuration), len(numbers))
            if number == len(configurations):
                configurations.append(configuration)
            number_of.append(number)
        default = numbers.setdefault(space.key(space.default()), len(numbers))
        if default == len(configurations):
            configurations.append(space.default())
        return cls(
            names=tuple(varied),
            params=tuple(_param(space, space[name], varied, feasible) for name in varied),
            constraints=tuple(_constraints(space, varied, product)),
            held=held,
            product=len(product),
            rows=tuple(
                tuple(values.index(configuration[name]) for name, values in varied.items())
                for configuration in feasible
            ),
            number_of=tuple(number_of),
            configurations=tuple(configurations),
            default=default,
        )


def _levels(knob: Knob, given: tuple[Value, ...]) -> tuple[Value, ...]:
    levels = tuple(knob.check(value) for value in given or knob.levels)
    if len(levels) < 2:
        raise InvalidKnob(f"knob {knob.name}: {levels} is no variation; leave it out to hold it")
    return levels


def _param(
    space: KnobSpace,
    knob: Knob,
    varied: Mapping[str, tuple[Value, ...]],
    feasible: list[dict[str, Value]],
) -> dict[str, Any]:
    """The knob as a table's json declares it; numbers are ordinals of the levels recorded."""
    unordered = knob.type in (KnobType.CATEGORICAL, KnobType.BOOLEAN)
    levels = varied[knob.name]
    param: dict[str, Any] = {
        "name": knob.name,
        "type": "categorical" if unordered else "ordinal",
        "values": list(levels),
    }
    if knob.default in levels:
        param["default"] = knob.default
    active = _needed(
        knob.active_when, lambda found: space.is_active(knob.name, found), varied, feasible
    )
    return {**param, "active_when": knob.active_when} if active else param


def _constraints(
    space: KnobSpace, varied: Mapping[str, tuple[Value, ...]], product: list[dict[str, Value]]
) -> list[dict[str, str]]:
    return [
        {"expression": rule.expression, "reason": rule.reason}
        for rule in space.constraints
        if _needed(rule.expression, Expression.parse(rule.expression).holds, varied, product)
    ]


def _needed(
    text: str,
    holds: Callable[[Configuration], bool],
    varied: Mapping[str, tuple[Value, ...]],
    configurations: list[dict[str, Value]],
) -> bool:
    """Whether an expression makes a difference in the grid."""
    if not text or all(holds(configuration) for configuration in configurations):
        return False
    if foreign := Expression.parse(text).names - set(varied):
        raise InvalidKnob(
            f"{text!r} makes a difference in this grid but names {', '.join(sorted(foreign))}, "
            "which it holds: vary that as well, or leave the knob out"
        )
    return True
