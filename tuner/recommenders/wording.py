"""Reasons in words: what a suggestion changes, and what is expected of it."""

from __future__ import annotations

from targets.knobs import Configuration, Knob, Value
from targets.space import KnobSpace
from targets.units import SIZES
from tuner.history import CostScale, History

NAMED_CHANGES = 4
"""More changes than this are counted, not listed."""


def changes(space: KnobSpace, old: Configuration, new: Configuration) -> str:
    """What differs, in words: "mmap_size 0 -> 256 MiB, sync full -> normal and 2 more knobs"."""
    texts = [
        f"{name} {worded(space[name], before)} -> {worded(space[name], after)}"
        for name, (before, after) in space.differences(old, new).items()
        if space.is_active(name, new)
    ]
    more = len(texts) - NAMED_CHANGES
    text = ", ".join(texts[:NAMED_CHANGES]) or "nothing that acts"
    return text if more <= 0 else f"{text} and {more} more knob{'s' if more > 1 else ''}"


def worded(knob: Knob, value: Value) -> str:
    """A value with its unit; a size in the largest unit it fills."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, str):
        return value
    if value in knob.special_values or not value:
        return f"{value:g}"
    if knob.unit in SIZES:
        return _size(value * SIZES[knob.unit])
    return f"{value:.6g} {knob.unit}".rstrip()


def _size(size_bytes: float) -> str:
    unit, factor = "bytes", 1.0
    for name, bytes_each in SIZES.items():
        if factor < bytes_each <= size_bytes:
            unit, factor = name, bytes_each
    return f"{size_bytes / factor:.4g} {unit}"


def moves(history: History, new: Configuration) -> str:
    """A sentence on what a configuration changes against the best so far."""
    best = history.best
    if best is None:
        return "Nothing acceptable was measured yet to compare it with."
    known = [number for number in best.numbers if number >= 0]
    trial = f" (trial {known[0]})" if known else ""
    what = changes(history.problem.space, best.configuration, new)
    return f"Against the best so far{trial} it changes {what}."


def forecast(scale: CostScale, best: float, cost: float, low: float, high: float) -> str:
    """An expected cost beside the best one: "12 % better (95 % interval -3 % to 28 %)"."""
    gains = [scale.gain(one, best) for one in (cost, high, low)]
    if None in gains:
        ends = sorted((scale.value(low), scale.value(high)))
        return f"{scale.value(cost):.4g} (95 % interval {ends[0]:.4g} to {ends[1]:.4g})"
    gain, worst, most = (100.0 * float(one) for one in gains if one is not None)
    side = "better" if gain >= 0 else "worse"
    return f"{abs(gain):.1f} % {side} (95 % interval {worst:+.1f} % to {most:+.1f} %)"
