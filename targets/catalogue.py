"""Knob catalogues: TOML files that declare a target's knobs and the constraints between them.

docs/catalogue.md is the reference of the format. Domains may be relative to the machine
(`targets.units`), so that one catalogue is right on a laptop and in a small container.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from enum import StrEnum
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from targets.errors import InvalidExpression, InvalidKnob
from targets.expressions import Expression
from targets.knobs import Effect, Knob, KnobType, Risk, Scale, Scope
from targets.machine import Machine
from targets.space import Constraint, KnobSpace
from targets.units import resolve

_CATALOGUE_KEYS = ("kind", "version", "source")
_KNOB_KEYS = tuple(field.name for field in fields(Knob) if field.name != "name")
_CONSTRAINT_KEYS = ("expression", "reason")
_SPECIAL_KEYS = ("value", "meaning")
_TEXTS = ("unit", "active_when", "help", "source")
_WORDS: dict[str, type[StrEnum]] = {
    "type": KnobType,
    "scale": Scale,
    "effect": Effect,
    "scope": Scope,
    "risk": Risk,
}


def load_catalogue(path: Path | Traversable, machine: Machine) -> KnobSpace:
    """Read a catalogue file, its domains resolved on `machine`.

    `source` of the `[catalogue]` table is the source of every knob that names none.

    Raises:
        InvalidKnob: the file cannot be read or breaks a rule; names file, knob and rule.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidKnob(f"{path}: {error}") from error
    _check_keys(document, ("catalogue", "knobs", "constraints"), str(path))
    about = _table(document.get("catalogue"), f"{path}: [catalogue]")
    _check_keys(about, _CATALOGUE_KEYS, f"{path}: [catalogue]")
    about = {"source": "", **about}
    for key in _CATALOGUE_KEYS:
        if not isinstance(about.get(key), str):
            raise InvalidKnob(f"{path}: [catalogue]: {key} must be a text")
    return read_space(document, machine, file=str(path), source=about["source"])


def read_space(
    document: Mapping[str, Any], machine: Machine, *, file: str, source: str = ""
) -> KnobSpace:
    """The space in a parsed TOML document: its `knobs` and `constraints`; other keys are not read.

    For files that declare knobs among other things. `file` is named in errors.

    Raises:
        InvalidKnob: a rule is broken; names file, knob and rule.
    """
    tables = _table(document.get("knobs"), f"{file}: [knobs]")
    if not tables:
        raise InvalidKnob(f"{file}: no knob is declared: add a table [knobs.NAME]")
    knobs = tuple(_knob(name, table, machine, file, source) for name, table in tables.items())
    constraints = document.get("constraints", [])
    if not isinstance(constraints, list):
        raise InvalidKnob(f"{file}: constraints must be tables [[constraints]]")
    rules = tuple(
        _constraint(table, f"{file}: constraint {number}")
        for number, table in enumerate(constraints, start=1)
    )
    _check_expressions(knobs, rules, file)
    space = KnobSpace(knobs, rules)
    if broken := space.broken(space.default()):
        raise InvalidKnob(f"{file}: the defaults break a constraint: {'; '.join(broken)}")
    return space


def _knob(name: str, table: object, machine: Machine, file: str, source: str) -> Knob:
    where = f"{file}: knob {name}"
    data = dict(_table(table, where))
    _check_keys(data, _KNOB_KEYS, where)
    for key in ("type", "default"):
        if key not in data:
            raise InvalidKnob(f"{where}: {key} is missing")
    for key, words in _WORDS.items():
        if key in data and data[key] not in list(words):
            raise InvalidKnob(
                f"{where}: {key}={data[key]!r} is none of {', '.join(words)}"
                f"{_meant(str(data[key]), list(words))}"
            )
    for key in _TEXTS:
        if not isinstance(data.get(key, ""), str):
            raise InvalidKnob(f"{where}: {key} must be a text, not {data[key]!r}")
    for key in ("levels", "special"):
        if not isinstance(data.get(key, []), list):
            raise InvalidKnob(f"{where}: {key} must be a list, not {data[key]!r}")
    for special in data.get("special", []):
        _check_keys(_table(special, f"{where}: special"), _SPECIAL_KEYS, f"{where}: special")
        if special.keys() != set(_SPECIAL_KEYS):
            raise InvalidKnob(f"{where}: special: each needs a value and a meaning")
    data["source"] = data.get("source") or source
    _resolve(data, machine, where)
    try:
        return Knob.from_dict({**data, "name": name})
    except InvalidKnob as error:
        raise InvalidKnob(f"{file}: {error}") from error


def _resolve(data: dict[str, Any], machine: Machine, where: str) -> None:
    """Replace amounts by numbers; an integer's low goes up, its high and default go down."""
    rounding: dict[str, Callable[[float], float]] = {
        "low": math.ceil,
        "high": math.floor,
        "default": math.floor,
    }
    if data["type"] not in (KnobType.INTEGER, KnobType.REAL):
        return
    for key, whole in rounding.items():
        given = data.get(key)
        if not isinstance(given, str):
            continue  # a number is taken as it stands, and Knob says what is wrong with it
        try:
            value = resolve(given, data.get("unit", ""), machine)
        except InvalidKnob as error:
            raise InvalidKnob(f"{where}: {key}: {error}") from error
        data[key] = whole(value) if data["type"] == KnobType.INTEGER else value


def _constraint(table: object, where: str) -> Constraint:
    data = _table(table, where)
    _check_keys(data, _CONSTRAINT_KEYS, where)
    if not isinstance(data.get("expression"), str) or not isinstance(data.get("reason", ""), str):
        raise InvalidKnob(f"{where}: expression (and reason, where given) must be a text")
    return Constraint(expression=data["expression"], reason=data.get("reason", ""))


def _check_expressions(knobs: tuple[Knob, ...], rules: tuple[Constraint, ...], file: str) -> None:
    """What KnobSpace would refuse as well, but here with the place to look for it."""
    names = {knob.name for knob in knobs}
    places = [(f"knob {k.name}: active_when", k.active_when) for k in knobs if k.active_when]
    places += [(f"constraint {n}", rule.expression) for n, rule in enumerate(rules, start=1)]
    for place, text in places:
        try:
            unknown = Expression.parse(text).names - names
        except InvalidExpression as error:
            raise InvalidKnob(f"{file}: {place}: {error}") from error
        if unknown:
            name = min(unknown)
            raise InvalidKnob(
                f"{file}: {place}: {text!r} names {name}, which is no knob of this "
                f"catalogue{_meant(name, names)}"
            )


def _table(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidKnob(f"{where}: {'is missing' if value is None else 'must be a table'}")
    return value


def _check_keys(table: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise InvalidKnob(
                f"{where}: key {key} is unknown{_meant(key, known)}; the keys are: "
                f"{', '.join(known)}"
            )


def _meant(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""
