"""Which recommenders are installed: entry points of `lontra.recommenders`, loaded when asked.

Built-in recommenders and strangers' come the same way, as adapters do (`targets.registry`). One
that cannot be loaded is told by name and hurts no other.
"""

from __future__ import annotations

import difflib
import logging
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from tuner.errors import BrokenRecommender, UnknownRecommender
from tuner.recommenders.base import Recommender

GROUP = "lontra.recommenders"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RecommenderEntry:
    """One installed recommender: its summary and what it heeds (`Recommender`), or the error that
    keeps it from being used."""

    name: str
    distribution: str
    summary: str | None = None
    heeds_every_objective: bool = False
    heeds_limits: bool = False
    error: str | None = None


def load_recommender(name: str) -> type[Recommender]:
    """The recommender class of that name.

    Raises:
        UnknownRecommender: no recommender of that name is installed; lists those that are.
        BrokenRecommender: it cannot be imported, is no Recommender, or two distributions claim
            the name.
    """
    found = _entry_points()
    if name not in found:
        close = difflib.get_close_matches(name, found, n=1)
        raise UnknownRecommender(
            f"no recommender named {name!r} is installed"
            + (f" (did you mean {close[0]}?)" if close else "")
            + f"; installed: {', '.join(sorted(found)) or 'none'}"
        )
    return _load(found[name])


def installed_recommenders() -> list[RecommenderEntry]:
    """All recommenders by name, each loaded once to tell whether it works."""
    entries = []
    for name, claims in sorted(_entry_points().items()):
        distribution = ", ".join(map(_distribution, claims))
        try:
            loaded = _load(claims)
            entries.append(
                RecommenderEntry(
                    name=name,
                    distribution=distribution,
                    summary=loaded.summary,
                    heeds_every_objective=loaded.heeds_every_objective,
                    heeds_limits=loaded.heeds_limits,
                )
            )
        except BrokenRecommender as error:
            logger.warning("recommender is broken name=%s error=%s", name, error)
            entries.append(RecommenderEntry(name=name, distribution=distribution, error=str(error)))
    return entries


def _entry_points() -> dict[str, list[EntryPoint]]:
    """Name -> the entry points that claim it. One distribution found twice on the path (an
    editable install beside its source) claims once."""
    found: dict[str, dict[tuple[str, str], EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, {}).setdefault((_distribution(point), point.value), point)
    return {name: list(claims.values()) for name, claims in found.items()}


def _load(claims: list[EntryPoint]) -> type[Recommender]:
    point = claims[0]
    if len(claims) > 1:
        raise BrokenRecommender(
            f"recommender {point.name} is claimed by {len(claims)} distributions: "
            + " and ".join(f"{_distribution(claim)} ({claim.value})" for claim in claims)
            + "; uninstall all but one"
        )
    who = f"recommender {point.name} of {_distribution(point)} ({point.value})"
    try:
        loaded = point.load()
    # A stranger's module may fail at import with anything at all.
    except Exception as error:
        raise BrokenRecommender(
            f"{who} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, Recommender)):
        raise BrokenRecommender(f"{who} is no subclass of tuner.Recommender: {loaded!r}")
    for needed in ("name", "summary", "source"):
        text = getattr(loaded, needed, None)
        if not isinstance(text, str) or not text:
            raise BrokenRecommender(f"{who} has no {needed}: give its class one line of text")
    if loaded.name != point.name:
        raise BrokenRecommender(
            f"{who} has name {loaded.name!r}: it must equal the entry point's name"
        )
    return loaded


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an unknown distribution"
