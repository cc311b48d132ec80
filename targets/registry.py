"""Which adapters are installed: entry points of the group `lontra.targets`, loaded when asked.

Built-in adapters and strangers' come the same way. One that cannot be loaded is told by name and
hurts no other.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from targets.adapter import Adapter
from targets.errors import BrokenAdapter, UnknownAdapter

GROUP = "lontra.targets"


@dataclass(frozen=True, kw_only=True)
class AdapterEntry:
    """One installed adapter: its summary, or the error that keeps it from being used."""

    name: str
    distribution: str
    summary: str | None = None
    error: str | None = None


def load_adapter(name: str) -> type[Adapter]:
    """The adapter class of that name.

    Raises:
        UnknownAdapter: no adapter of that name is installed; lists those that are.
        BrokenAdapter: it cannot be imported, is no Adapter, or two distributions claim the name.
    """
    found = _entry_points()
    if name not in found:
        close = difflib.get_close_matches(name, found, n=1)
        raise UnknownAdapter(
            f"no adapter named {name!r} is installed"
            + (f" (did you mean {close[0]}?)" if close else "")
            + f"; installed: {', '.join(sorted(found)) or 'none'}"
        )
    return _load(found[name])


def installed_adapters() -> list[AdapterEntry]:
    """All adapters by name, each loaded once to tell whether it works."""
    entries = []
    for name, claims in sorted(_entry_points().items()):
        distribution = ", ".join(map(_distribution, claims))
        try:
            summary = _load(claims).summary
            entries.append(AdapterEntry(name=name, distribution=distribution, summary=summary))
        except BrokenAdapter as error:
            entries.append(AdapterEntry(name=name, distribution=distribution, error=str(error)))
    return entries


def _entry_points() -> dict[str, list[EntryPoint]]:
    """Name -> the entry points that claim it; more than one where distributions clash.

    importlib.metadata counts a distribution once that is found twice on the path (an editable
    install beside its source).
    """
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, []).append(point)
    return found


def _load(claims: list[EntryPoint]) -> type[Adapter]:
    point = claims[0]
    if len(claims) > 1:
        raise BrokenAdapter(
            f"adapter {point.name} is claimed by {len(claims)} distributions: "
            + " and ".join(f"{_distribution(claim)} ({claim.value})" for claim in claims)
            + "; uninstall all but one"
        )
    who = f"adapter {point.name} of {_distribution(point)} ({point.value})"
    try:
        loaded = point.load()
    # A stranger's module may fail at import with anything at all.
    except Exception as error:
        raise BrokenAdapter(f"{who} cannot be loaded: {type(error).__name__}: {error}") from error
    if not (isinstance(loaded, type) and issubclass(loaded, Adapter)):
        raise BrokenAdapter(f"{who} is no subclass of targets.Adapter: {loaded!r}")
    kind, summary = getattr(loaded, "kind", None), getattr(loaded, "summary", None)
    if kind != point.name:
        raise BrokenAdapter(f"{who} has kind {kind!r}: it must equal the entry point's name")
    if not isinstance(summary, str) or not summary:
        raise BrokenAdapter(f"{who} has no summary: give its class one line of text")
    return loaded


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an unknown distribution"
