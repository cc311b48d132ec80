"""The owner's limits: what the agent will not do, whatever the server says.

`narrow` tells the server beforehand, in the space it is told of, and `check` is asked before
every apply all the same: the server may be wrong, old or somebody else's.
"""

from __future__ import annotations

import dataclasses
import difflib
import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from targets.agent.errors import InvalidConfig
from targets.errors import InvalidKnob, Rejected
from targets.knobs import Configuration, Effect, Knob, KnobType, Risk, Scale, Special, Value
from targets.space import KnobSpace


class OnExit(StrEnum):
    """What an agent that ends leaves in force."""

    RESTORE = "restore"
    KEEP = "keep"


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The owner's range for a number, each end optional; it can only narrow the catalogue's."""

    low: float | None = None
    high: float | None = None

    def admit(self, value: Value) -> bool:
        """Whether the value lies within; what is no number always does."""
        if isinstance(value, bool | str):
            return True
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        low = "" if self.low is None else f"{self.low:g}"
        high = "" if self.high is None else f"{self.high:g}"
        return f"{low}..{high}"


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What the owner of the target permits.

    A knob may be changed when a pattern of `allow` fits and none of `deny` does (shell patterns:
    `vm.*`), it is not pinned, its risk is `safe` (or `durability`, with `allow_durability`) and
    taking effect needs no restart or rebuild (or `allow_restart`). What is not permitted stays at
    its safe value, a pinned knob at its pin.
    """

    allow: tuple[str, ...] = ("*",)
    deny: tuple[str, ...] = ()
    pins: Mapping[str, Value] = field(default_factory=dict)
    bounds: Mapping[str, Bounds] = field(default_factory=dict)
    allow_restart: bool = False
    allow_durability: bool = False
    on_exit: OnExit = OnExit.RESTORE

    def withheld(self, knob: Knob) -> str:
        """Why the knob may not be changed; empty when it may."""
        if knob.name in self.pins:
            return f"pinned to {self.pins[knob.name]!r} by its owner (policy.pins)"
        if not _fits(knob.name, self.allow):
            return "not on its owner's allow-list (policy.allow)"
        if _fits(knob.name, self.deny):
            return "denied by its owner (policy.deny)"
        if knob.risk is Risk.NEVER:
            return "marked as never to be tuned by its catalogue"
        if knob.risk is Risk.DURABILITY and not self.allow_durability:
            return "a durability knob, and policy.allow_durability is false"
        if knob.effect in (Effect.RESTART, Effect.REBUILD) and not self.allow_restart:
            return f"a knob that needs a {knob.effect}, and policy.allow_restart is false"
        return ""

    def check(self, space: KnobSpace, configuration: Configuration, safe: Configuration) -> None:
        """Refuse what the owner does not permit. A knob at its safe value is always permitted.

        Raises:
            Rejected: names every knob, its value and the rule.
        """
        faults = []
        for knob in space:
            value = configuration.get(knob.name)
            if value is None or value == safe.get(knob.name):
                continue
            pin = self.pins.get(knob.name)
            if pin is not None and value == pin:
                continue
            bounds = self.bounds.get(knob.name)
            if reason := self.withheld(knob):
                faults.append(
                    f"knob {knob.name}={value!r} is {reason}; it stays at "
                    f"{pin if pin is not None else safe.get(knob.name)!r}"
                )
            elif bounds is not None and not bounds.admit(value):
                faults.append(
                    f"knob {knob.name}={value!r} is outside its owner's bounds {bounds} "
                    f"(policy.bounds.{knob.name})"
                )
        if faults:
            raise Rejected("refused by the agent's policy: " + "; ".join(faults))

    def narrow(self, space: KnobSpace, safe: Configuration) -> KnobSpace:
        """The space as the owner permits it: withheld knobs can only be at one value, ranges are
        the owner's, and the safe value is always within.

        Raises:
            InvalidConfig: the policy names a knob that the target has not, or a pin or bounds
                that do not fit it.
        """
        names = [knob.name for knob in space]
        self._check_names(names)
        return KnobSpace(
            tuple(self._narrow_knob(knob, safe[knob.name]) for knob in space), space.constraints
        )

    def _check_names(self, names: list[str]) -> None:
        patterns = (*(p for p in (*self.allow, *self.deny) if not _is_pattern(p)),)
        for name in (*patterns, *self.pins, *self.bounds):
            if name not in names:
                close = difflib.get_close_matches(name, names, n=1)
                raise InvalidConfig(
                    f"policy names {name!r}, which is no knob of this target"
                    + (f": did you mean {close[0]}?" if close else f": {', '.join(names)}")
                )

    def _narrow_knob(self, knob: Knob, safe: Value) -> Knob:
        if knob.name in self.pins:
            try:
                pin = knob.check(self.pins[knob.name])
            except InvalidKnob as error:
                raise InvalidConfig(f"policy.pins: {error}") from error
            return _fixed(knob, pin) if pin == safe else _fixed(knob, pin, safe)
        if self.withheld(knob):
            return _fixed(knob, safe)
        bounds = self.bounds.get(knob.name)
        return knob if bounds is None else _bounded(knob, bounds, safe)


def _fixed(knob: Knob, *values: Value) -> Knob:
    """The knob with these values left, the first being its default.

    One number stays a number, so that its unit and scale stay true; all else becomes categorical
    (a boolean always has two levels, and a special value may lie outside the range).
    """
    value = values[0]
    if len(values) == 1 and knob.is_number and value not in knob.special_values:
        number = float(value)
        return dataclasses.replace(knob, low=number, high=number, special=(), default=value)
    return dataclasses.replace(
        knob,
        type=KnobType.CATEGORICAL,
        levels=values,
        special=(),
        default=value,
        low=None,
        high=None,
        scale=Scale.LINEAR,
    )


def _bounded(knob: Knob, bounds: Bounds, safe: Value) -> Knob:
    """The knob within the owner's range; the safe value stays reachable as a special one."""
    if not knob.is_number or knob.low is None or knob.high is None:
        raise InvalidConfig(
            f"policy.bounds.{knob.name}: {knob.type} knobs have no bounds; pin it, or deny it"
        )
    low = knob.low if bounds.low is None else max(knob.low, bounds.low)
    high = knob.high if bounds.high is None else min(knob.high, bounds.high)
    if low > high:
        raise InvalidConfig(
            f"policy.bounds.{knob.name}: {bounds} leaves nothing of {knob.low:g}..{knob.high:g}"
        )
    special = tuple(item for item in knob.special if bounds.admit(item.value))
    within = isinstance(safe, int | float) and low <= safe <= high
    if not within and safe not in (item.value for item in special):
        special += (Special(value=safe, meaning="in force when the agent started"),)
    default_fits = bounds.admit(knob.default) or knob.default in (item.value for item in special)
    return dataclasses.replace(
        knob, low=low, high=high, special=special, default=knob.default if default_fits else safe
    )


def _fits(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _is_pattern(text: str) -> bool:
    return any(character in text for character in "*?[")
