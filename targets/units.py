"""Amounts in catalogues: numbers, sizes and times with units, and shares of the machine.

An amount is resolved to a number in its knob's unit:

    128                        a number, in the knob's unit already
    1 MiB, 250 ms              a quantity; the knob's unit must be a size, or a time
    25 % of memory             a share of the memory this process may use
    memory, 0.5 * memory       likewise
    cpus, 2 * cpus, 50 % of cpus     CPUs it may use, whole ones, at least 1; of any unit
    2 * cpus, at least 4, at most 64 bounds, each an amount itself

A knob's unit is any text. It is a size when it is one of `SIZES`, or counts pieces of one
("pages of 4 KiB", "8 KiB"); it is a time when it is one of `TIMES`.
"""

from __future__ import annotations

import math
import re

from targets.errors import InvalidKnob
from targets.machine import Machine

SIZES = {
    "bytes": 1.0,
    "B": 1.0,
    "KiB": 1024.0,
    "MiB": 1024.0**2,
    "GiB": 1024.0**3,
    "TiB": 1024.0**4,
}
"""Unit -> bytes. `kB` and `MB` are left out: some manuals mean 1000 by them and some 1024."""

TIMES = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
"""Unit -> seconds."""

_NUMBER = r"(?P<number>\d+(?:\.\d+)?)"
_SHARE = re.compile(rf"{_NUMBER} ?% of (?P<of>memory|cpus)")
_MULTIPLE = re.compile(rf"(?:{_NUMBER} ?\* ?)?(?P<of>memory|cpus)")
_QUANTITY = re.compile(rf"{_NUMBER}(?: ?(?P<unit>[A-Za-z]+))?")
_BOUND = re.compile(r", ?(at least|at most) ")
_PIECES = re.compile(r"(?:[A-Za-z]+ of )?(?:(?P<count>\d+) ?)?(?P<unit>[A-Za-z]+)")


def resolve(amount: object, unit: str, machine: Machine) -> float:
    """The amount as a number in `unit` on this machine. Not rounded.

    Raises:
        InvalidKnob: it is no amount, or does not fit the unit; the text says what would.
    """
    if isinstance(amount, bool) or not isinstance(amount, int | float | str):
        raise InvalidKnob(f"{amount!r} is neither a number nor an amount")
    if not isinstance(amount, str):
        return amount
    first, *bounds = _BOUND.split(amount.strip())
    value = _single(first, unit, machine)
    for word, bound in zip(bounds[::2], bounds[1::2], strict=True):
        limit = _single(bound, unit, machine)
        value = max(value, limit) if word == "at least" else min(value, limit)
    return value


def _single(text: str, unit: str, machine: Machine) -> float:
    if match := _SHARE.fullmatch(text):
        return float(match["number"]) / 100 * _whole(match["of"], text, unit, machine)
    if match := _MULTIPLE.fullmatch(text):
        return float(match["number"] or 1) * _whole(match["of"], text, unit, machine)
    if not (match := _QUANTITY.fullmatch(text)):
        raise InvalidKnob(
            f"{text!r} is no amount: write a number, '1 MiB', '250 ms', '25 % of memory' or "
            "'2 * cpus', with ', at least ...' or ', at most ...' behind it"
        )
    number, given = float(match["number"]), match["unit"]
    if given is None or given == unit:
        return number
    for family in (SIZES, TIMES):
        if given in family:
            return number * family[given] / _unit_in(family, text, unit)
    raise InvalidKnob(f"{text!r}: {given} is no unit; use {', '.join((*SIZES, *TIMES))}")


def _whole(word: str, text: str, unit: str, machine: Machine) -> float:
    if word == "memory":
        return machine.memory_bytes / _unit_in(SIZES, text, unit)
    return max(1.0, math.ceil(machine.cpus))


def _unit_in(family: dict[str, float], text: str, unit: str) -> float:
    """How many bytes, or seconds, one of the knob's unit is."""
    match = _PIECES.fullmatch(unit)
    if match and match["unit"] in family:
        return int(match["count"] or 1) * family[match["unit"]]
    raise InvalidKnob(
        f"{text!r} does not fit the knob's unit {unit!r}: make the unit one of "
        f"{', '.join(family)}, or pieces of one ('pages of 4 KiB')"
    )
