"""The writes under way in this process, so that a copy does not overtake its original.

Two processes do not see each other's: there, what a write touches keeps it single (a trial's
epoch, one unended session a target).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from web.errors import Problem


class InFlight:
    """Holds the keys of the writes being carried out."""

    def __init__(self) -> None:
        self._keys: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    @contextmanager
    def claim(self, owner: str, key: str) -> Iterator[None]:
        """Hold the key while the write runs.

        Raises:
            Problem: in-progress, when it is held already.
        """
        with self._lock:
            if (owner, key) in self._keys:
                raise Problem(
                    "in-progress",
                    f"the write with key {key!r} is being carried out: ask again",
                    headers={"Retry-After": "1"},
                )
            self._keys.add((owner, key))
        try:
            yield
        finally:
            with self._lock:
                self._keys.discard((owner, key))
