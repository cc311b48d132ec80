"""Knob spaces: the knobs of one target together, with the rules that tie them to each other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from targets.errors import InvalidExpression, InvalidKnob, Rejected
from targets.expressions import Expression
from targets.knobs import Configuration, Knob, Value


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """A rule over knobs that must hold, e.g. `min_wal_size <= max_wal_size`, and why."""

    expression: str
    reason: str = ""


@dataclass(frozen=True)
class KnobSpace:
    """The knobs of one target and the constraints between them.

    Iterates over its knobs in catalogue order; `space["name"]` is one knob.

    Raises:
        InvalidKnob: two knobs share a name.
        InvalidExpression: a constraint or an `active_when` does not parse or names no knob.
    """

    knobs: tuple[Knob, ...]
    constraints: tuple[Constraint, ...] = ()

    def __post_init__(self) -> None:
        names = [knob.name for knob in self.knobs]
        doubled = {name for name in names if names.count(name) > 1}
        if doubled:
            raise InvalidKnob(f"knob {', '.join(sorted(doubled))} is declared twice")
        for text, expression in (*self._conditions.items(), *self._rules):
            unknown = expression.names - set(names)
            if unknown:
                raise InvalidExpression(
                    f"expression {text!r} names {', '.join(sorted(unknown))}, "
                    f"which is no knob of this space: {', '.join(names)}"
                )

    def __iter__(self) -> Iterator[Knob]:
        return iter(self.knobs)

    def __len__(self) -> int:
        return len(self.knobs)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> Knob:
        try:
            return self._by_name[name]
        except KeyError:
            raise InvalidKnob(
                f"{name!r} is no knob of this space: {', '.join(self._by_name)}"
            ) from None

    @cached_property
    def _by_name(self) -> dict[str, Knob]:
        return {knob.name: knob for knob in self.knobs}

    @cached_property
    def _conditions(self) -> dict[str, Expression]:
        return {
            knob.active_when: Expression.parse(knob.active_when)
            for knob in self.knobs
            if knob.active_when
        }

    @cached_property
    def _rules(self) -> list[tuple[str, Expression]]:
        return [(rule.expression, Expression.parse(rule.expression)) for rule in self.constraints]

    def default(self) -> dict[str, Value]:
        """Every knob at its default."""
        return {knob.name: knob.default for knob in self.knobs}

    def check(self, configuration: Configuration) -> dict[str, Value]:
        """The configuration complete, in catalogue order and in normal form.

        Raises:
            Rejected: a knob is missing, unknown or out of its domain, or a constraint is
                broken; the text lists every fault, not only the first.
        """
        faults: list[str] = []
        unknown = [name for name in configuration if name not in self._by_name]
        if unknown:
            faults.append(f"{', '.join(map(str, unknown))}: no such knob")
        checked: dict[str, Value] = {}
        for knob in self.knobs:
            if knob.name not in configuration:
                faults.append(f"knob {knob.name} has no value")
                continue
            try:
                checked[knob.name] = knob.check(configuration[knob.name])
            except InvalidKnob as error:
                faults.append(str(error))
        if not faults:
            faults = self.broken(checked)
        if faults:
            raise Rejected("configuration refused: " + "; ".join(faults))
        return checked

    def broken(self, configuration: Configuration) -> list[str]:
        """The constraints that a complete configuration breaks, in words.

        One that cannot be evaluated under it (a division by a knob that is 0) is broken as well.
        """
        faults: list[str] = []
        for rule, (_, expression) in zip(self.constraints, self._rules, strict=True):
            try:
                holds = expression.holds(configuration)
            except InvalidExpression as error:
                faults.append(str(error))
                continue
            if not holds:
                reason = f" ({rule.reason})" if rule.reason else ""
                faults.append(f"{rule.expression} does not hold{reason}")
        return faults

    def is_active(self, name: str, configuration: Configuration) -> bool:
        """Whether the knob has any effect under this configuration.

        A condition that cannot be evaluated under it does not hold.
        """
        condition = self[name].active_when
        if not condition:
            return True
        try:
            return self._conditions[condition].holds(configuration)
        except InvalidExpression:
            return False

    def key(self, configuration: Configuration) -> str:
        """A text equal for two configurations exactly when they act the same.

        Knobs that are not active do not count.
        """
        acting = {
            name: value
            for name, value in self.check(configuration).items()
            if self.is_active(name, configuration)
        }
        return json.dumps(acting, sort_keys=True)

    def differences(self, old: Configuration, new: Configuration) -> dict[str, tuple[Any, Any]]:
        """Knob by knob what differs: `{name: (old value, new value)}`."""
        return {
            knob.name: (old.get(knob.name), new.get(knob.name))
            for knob in self.knobs
            if old.get(knob.name) != new.get(knob.name)
        }

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form; `from_dict` reads it back exactly."""
        return {
            "knobs": [knob.to_dict() for knob in self.knobs],
            "constraints": [
                {"expression": rule.expression, "reason": rule.reason} for rule in self.constraints
            ],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> KnobSpace:
        """Read `to_dict`'s form; raises as the constructor and `Knob.from_dict` do."""
        try:
            return cls(
                tuple(Knob.from_dict(knob) for knob in data["knobs"]),
                tuple(Constraint(**rule) for rule in data.get("constraints", ())),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise InvalidKnob(f"knob space: {error!r}") from error

    def digest(self) -> str:
        """A fingerprint of the space, equal for equal spaces: 16 hexadecimal digits."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
