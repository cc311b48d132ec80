"""What must survive what: the durability classes, and the part of the space each one is.

The owner fixes the class and the search stays inside it, because its space has no level outside.

| class      | killed application  | power loss or kernel crash                                   |
|------------|---------------------|--------------------------------------------------------------|
| durable    | nothing is lost     | every transaction that was committed is there                |
| consistent | nothing is lost     | the last commits may be missing; the file is whole           |
| none       | nothing is lost     | the file may be corrupt: only for data that can be made anew |

One gap is SQLite's own: with journal_mode=delete and synchronous=full, its default, the folder is
not synced after the journal is removed, so that a power loss right after a commit can bring the
journal back and with it undo the commit. synchronous=extra closes it; write-ahead mode has none.

Never offered: journal_mode=off and journal_mode=memory, with which even a killed application
leaves a corrupt file.

Sources: https://www.sqlite.org/pragma.html#pragma_synchronous,
https://www.sqlite.org/wal.html, https://www.sqlite.org/howtocorrupt.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum

from targets.errors import InvalidKnob
from targets.knobs import Configuration, Knob, Risk, Value
from targets.space import KnobSpace


class Durability(StrEnum):
    """What the owner wants to find again after a power loss."""

    DURABLE = "durable"
    CONSISTENT = "consistent"
    NONE = "none"


_SYNCHRONOUS: dict[Durability, tuple[str, ...]] = {
    Durability.DURABLE: ("full", "extra"),
    Durability.CONSISTENT: ("normal", "full", "extra"),
    Durability.NONE: ("off", "normal", "full", "extra"),
}
_JOURNALS = ("delete", "truncate", "persist", "wal")


def restrict(
    space: KnobSpace, durability: Durability, *, defaults: Mapping[str, Value]
) -> KnobSpace:
    """The part of the catalogue's space that is inside a class.

    A knob's default becomes SQLite's own (`defaults`) where that is inside. In the weaker classes
    `synchronous` keeps its durability risk, so that an agent's policy has a say as well. The rule
    on synchronous=normal is needed in class `consistent` alone: `durable` does not have that level,
    and `none` accepts what it guards against.
    """
    levels = _SYNCHRONOUS[durability]
    knobs = []
    for knob in space:
        if knob.name == "synchronous":
            risk = Risk.SAFE if durability is Durability.DURABLE else Risk.DURABILITY
            knob = replace(knob, levels=levels, risk=risk)  # noqa: PLW2901
        knobs.append(_with_default(knob, defaults.get(knob.name, knob.default)))
    rules = space.constraints if durability is Durability.CONSISTENT else ()
    return KnobSpace(tuple(knobs), rules)


def outside(configuration: Configuration, durability: Durability) -> str:
    """Why a configuration is outside a class, in words; empty when it is inside."""
    journal, synchronous = configuration["journal_mode"], configuration["synchronous"]
    inside = journal in _JOURNALS and synchronous in _SYNCHRONOUS[durability]
    if durability is Durability.CONSISTENT and synchronous == "normal" and journal != "wal":
        inside = False
    if inside:
        return ""
    return (
        f"journal_mode={journal} with synchronous={synchronous} is outside the durability class "
        f"{durability}"
    )


def _with_default(knob: Knob, default: Value) -> Knob:
    try:
        return replace(knob, default=default)
    except InvalidKnob:  # a build of SQLite with a default outside the class or the range
        return knob
