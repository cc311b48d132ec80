"""A thread that does one thing again and again, whatever happens to it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Periodic:
    """Calls `act` every so many seconds until stopped. What `act` raises is logged and ends
    nothing."""

    def __init__(self, name: str, seconds: float, act: Callable[[], None]) -> None:
        self._seconds = seconds
        self._act = act
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin, with a first call at once."""
        self._thread.start()

    def stop(self, *, wait_seconds: float = 5.0) -> None:
        """End; a call under way is waited for so long. A second call does nothing."""
        self._stop.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(wait_seconds)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._act()
            # Adapters are read here, and may raise anything.
            except Exception:
                logger.exception("periodic act failed thread=%s", self._thread.name)
            self._stop.wait(self._seconds)
