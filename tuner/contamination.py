"""Which windows something else disturbed, told by what the host did meanwhile.

A window's value never enters the judgement, so that leaving a disturbed one out favours neither
side. What is usual is learnt from earlier windows of the same arm: a target that is a service of
its own counts as foreign load itself, more under one configuration than under another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from knowledge_base.records import Window


@dataclass(frozen=True)
class Sign:
    """One sign of a disturbance: how far above the usual is too much.

    `each_core`: the figure is in cores, and `beyond` is of all of them.
    """

    words: str
    beyond: float
    each_core: bool = False


SIGNS: Mapping[str, Sign] = {
    "foreign_cpu": Sign("other processes took {now:.0%} of the processor", 0.2, each_core=True),
    "steal": Sign("the hypervisor took {now:.0%} of the processor", 0.05, each_core=True),
    "memory_pressure": Sign("tasks waited for memory {now:.0%} of the time", 0.1),
    "io_pressure": Sign("tasks waited for disks {now:.0%} of the time", 0.25),
}
"""By the name in a window's `contamination` (`targets.agent.host`)."""


def disturbances(windows: Iterable[Window], *, cores: float) -> dict[int, str]:
    """Window id -> what disturbed it, in words, for those that were.

    Each is judged by the undisturbed windows before it alone, so that what was said of one never
    changes; the first of an arm by none. A load that comes to stay disturbs all that follow: who
    leaves such windows out must have a limit.

    Args:
        windows: in the order they were measured.
        cores: how many the machine has.
    """
    usual: dict[str, list[Window]] = {}
    found = {}
    for window in windows:
        known = usual.setdefault(window.arm, [])
        what = [
            text
            for name, sign in SIGNS.items()
            if (text := _told(window, known, name, sign, cores=cores))
        ]
        if what:
            found[window.id] = "; ".join(what)
        else:
            known.append(window)
    return found


def _told(
    window: Window, before: Sequence[Window], name: str, sign: Sign, *, cores: float
) -> str | None:
    whole = max(cores, 1.0) if sign.each_core else 1.0
    now = window.contamination.get(name)
    seen = [value for one in before if (value := one.contamination.get(name)) is not None]
    if now is None or not seen:
        return None
    now, usual = now / whole, median(seen) / whole
    if now <= usual + sign.beyond:
        return None
    return f"{sign.words.format(now=now)}, usually {usual:.0%}"
