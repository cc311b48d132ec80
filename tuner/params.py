"""Spaces and past tasks from plain data: the `params` of a replay table, lists and dictionaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from targets.errors import FailureKind, InvalidKnob
from targets.knobs import Knob, KnobType, Scale, Value
from targets.metrics import Objective
from targets.space import KnobSpace
from tuner.recommenders.base import Observation, PastTask

Params = Sequence[Mapping[str, Any]]
"""A space as plain data: per knob `name` and `type`; `values`, or `low`, `high` and `log`."""

_TYPES = {
    "categorical": KnobType.CATEGORICAL,
    "ordinal": KnobType.ORDINAL,
    "int": KnobType.INTEGER,
    "integer": KnobType.INTEGER,
    "float": KnobType.REAL,
    "real": KnobType.REAL,
    "bool": KnobType.BOOLEAN,
    "boolean": KnobType.BOOLEAN,
}


def space_from_params(params: Params) -> KnobSpace:
    """The space that a replay table's `params` describe.

    >>> space = space_from_params([
    ...     {"name": "algorithm", "type": "categorical", "values": ["lru", "arc"]},
    ...     {"name": "cache_mb", "type": "int", "low": 1, "high": 1024, "log": True},
    ... ])
    >>> space.default()
    {'algorithm': 'lru', 'cache_mb': 32}

    A knob's default is its `default`, else its first level, or the middle of its range (which
    nothing leans on: plain params do not say where a system stands).

    Raises:
        InvalidKnob: there is no knob, or one has no name, an unknown type, or a domain that is
            none; says which.
    """
    if isinstance(params, str | Mapping) or not params:
        raise InvalidKnob(
            f"params {params!r} describe no knob: give a list with an object for each, such as "
            '{"name": "threads", "type": "int", "low": 1, "high": 64}'
        )
    return KnobSpace(tuple(_knob(place, param) for place, param in enumerate(params)))


def past_task(given: Mapping[str, Any], objective: Objective) -> PastTask:
    """Another task's history: `task` (its name), `params`, and `observations` as pairs of a
    configuration and its value, None for a failure.

    Raises:
        InvalidKnob: its params are no space.
        ValueError: it has no params or observations, or one is no such pair.
    """
    name = str(given.get("task", "unnamed"))
    missing = {"params", "observations"} - given.keys()
    if missing:
        raise ValueError(f"history {name}: {', '.join(sorted(missing))} is missing")
    space = space_from_params(given["params"])
    told: list[Observation] = []
    for place, pair in enumerate(given["observations"]):
        try:
            configuration, measured = pair
            checked = check_values(space, configuration)
            value = None if measured is None else number(measured)
            observation = Observation(
                configuration=checked,
                values={} if value is None else {objective.name: (value,)},
                failure=FailureKind.WORKLOAD_FAILED if value is None else None,
                number=place,
            )
            observation.refuse_not_finite()
        except (TypeError, ValueError, InvalidKnob) as error:
            raise ValueError(
                f"history {name}, observation {place}: {error}; it takes a configuration of its "
                "params and a value, or None for a failure"
            ) from error
        told.append(observation)
    return PastTask(name=name, space=space, observations=tuple(told))


def check_values(space: KnobSpace, configuration: Mapping[str, Any]) -> dict[str, Value]:
    """The configuration in catalogue order and normal form; it may break constraints, as what was
    measured before anybody tuned may.

    Raises:
        InvalidKnob: a knob is missing, unknown, or out of its domain.
    """
    unknown = [name for name in configuration if name not in space]
    missing = [knob.name for knob in space if knob.name not in configuration]
    if unknown or missing:
        faults = [f"{name}: no such knob" for name in unknown]
        faults += [f"{name}: missing" for name in missing]
        raise InvalidKnob(f"a configuration of this space has all its knobs: {', '.join(faults)}")
    return {knob.name: knob.check(plain(configuration[knob.name])) for knob in space}


def number(value: Any) -> float:
    """A measured value; raises TypeError for what is no real number, a text of one too."""
    held = plain(value)
    if isinstance(held, bool) or not isinstance(held, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(held)


def plain(value: Any) -> Any:
    """A numpy scalar as what it holds; anything else as it is."""
    return value.item() if hasattr(value, "item") else value


def _knob(place: int, param: Mapping[str, Any]) -> Knob:
    if not isinstance(param, Mapping):
        raise InvalidKnob(f"param {place}: {param!r} is no object with a name and a type")
    name = param.get("name")
    if not isinstance(name, str):
        raise InvalidKnob(f"param {place}: it has no name")
    kind = _TYPES.get(str(param.get("type")))
    if kind is None:
        raise InvalidKnob(
            f"param {name}: type={param.get('type')!r} is none of {', '.join(_TYPES)}"
        )
    if kind in (KnobType.INTEGER, KnobType.REAL):
        return _number(name, kind, param)
    levels = (
        (False, True) if kind is KnobType.BOOLEAN else tuple(map(plain, param.get("values", ())))
    )
    if not levels:
        raise InvalidKnob(f"param {name}: {param['type']} needs values")
    return Knob(
        name=name,
        type=kind,
        levels=levels,
        default=param.get("default", levels[0]),
    )


def _number(name: str, kind: KnobType, param: Mapping[str, Any]) -> Knob:
    low, high = plain(param.get("low")), plain(param.get("high"))
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        raise InvalidKnob(f"param {name}: {param['type']} needs numbers low and high")
    logarithmic = bool(param.get("log", False)) and low > 0
    middle = (low * high) ** 0.5 if logarithmic else (low + high) / 2
    return Knob(
        name=name,
        type=kind,
        low=low,
        high=high,
        scale=Scale.LOG if logarithmic else Scale.LINEAR,
        default=param.get("default", round(middle) if kind is KnobType.INTEGER else middle),
    )
