"""How long to wait before asking a server again that did not answer.

Full jitter: a uniform draw from 0 to a ceiling that doubles, so that agents which lost their
server together do not come back together (Brooker, "Exponential Backoff And Jitter", AWS
Architecture Blog, 2015).
"""

from __future__ import annotations

import random

BASE_SECONDS = 1.0
CAP_SECONDS = 60.0


class Backoff:
    """Pauses between attempts. `rng` is only for jitter, never for a secret."""

    def __init__(
        self,
        rng: random.Random,
        *,
        base_seconds: float = BASE_SECONDS,
        cap_seconds: float = CAP_SECONDS,
    ) -> None:
        self._rng = rng
        self._base_seconds = base_seconds
        self._cap_seconds = cap_seconds
        self._failures = 0

    def failed(self, *, retry_after_seconds: float | None = None) -> float:
        """An attempt failed: how long to wait. Never less than the server asked for."""
        ceiling = min(self._cap_seconds, self._base_seconds * 2 ** min(self._failures, 32))
        self._failures += 1
        return max(self._rng.uniform(0.0, ceiling), retry_after_seconds or 0.0)

    def succeeded(self) -> None:
        """An attempt succeeded: the next failure starts from the base again."""
        self._failures = 0
