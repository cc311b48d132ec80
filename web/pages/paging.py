"""Lists over several pages: `?page=2`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LAST_PAGE = 1_000_000


@dataclass(frozen=True)
class PageLinks:
    """Which page this is, and whether there are neighbours."""

    number: int
    pages: int

    @classmethod
    def of(cls, number: int, *, total: int, size: int) -> PageLinks:
        """From how many things there are and how many a page shows."""
        return cls(number, max(1, -(-total // size)))

    @property
    def previous(self) -> int | None:
        """The page before."""
        return self.number - 1 if self.number > 1 else None

    @property
    def next(self) -> int | None:
        """The page after."""
        return self.number + 1 if self.number < self.pages else None


def page_number(arguments: Mapping[str, str]) -> int:
    """The page asked for; the first one when the address says nothing sensible."""
    text = arguments.get("page", "1")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 1
    return min(max(1, number), LAST_PAGE)
