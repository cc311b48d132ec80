"""A brake on guessing: who fails to log in too often has to wait.

Tokens cannot be guessed (256 random bits); the brake keeps a broken or hostile client from
costing a database look-up a try. It counts in this process alone.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from ipaddress import IPv6Address, ip_address
from typing import Any

from targets.clock import Clock

WINDOW_SECONDS = 60.0
# Failures of different tokens from one address, e.g. of a fleet behind one gateway.
ADDRESS_FACTOR = 10
# Enough for every source that fails within a minute; a flood forgets the oldest ones first.
MAXIMUM_SOURCES = 10_000


class FailureLimiter:
    """Counts failures by (address, token id) and by address, a minute at a time.

    Counting by token too keeps one agent with a revoked token from locking out all others that
    share its address; so does letting tokens through that were good from there before.
    """

    def __init__(self, clock: Clock, *, per_minute: int) -> None:
        self._clock = clock
        self._per_token = per_minute
        self._per_address = per_minute * ADDRESS_FACTOR
        self._failures: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._lock = threading.Lock()

    def wait_seconds(self, address: str, token_id: str) -> float:
        """How long this source must wait before its next try; 0 when it need not."""
        source = network(address)
        with self._lock:
            wait = self._wait((source, token_id), self._per_token)
            if (source, token_id) in self._known:
                return wait
            return max(wait, self._wait((source, ""), self._per_address))

    def failed(self, address: str, token_id: str) -> None:
        """Note a failure."""
        source = network(address)
        now = self._clock.monotonic()
        with self._lock:
            for key in {(source, token_id), (source, "")}:
                began, failures = self._failures.get(key, (now, 0))
                if began + WINDOW_SECONDS <= now:
                    began, failures = now, 0
                self._failures[key] = (began, failures + 1)
                self._failures.move_to_end(key)
            _forget_oldest(self._failures)

    def succeeded(self, address: str, token_id: str) -> None:
        """Note a token that is good from this address."""
        with self._lock:
            self._known[network(address), token_id] = None
            self._known.move_to_end((network(address), token_id))
            _forget_oldest(self._known)

    def _wait(self, key: tuple[str, str], limit: int) -> float:
        began, failures = self._failures.get(key, (0.0, 0))
        if failures < limit:
            return 0.0
        return max(0.0, began + WINDOW_SECONDS - self._clock.monotonic())


def _forget_oldest(sources: OrderedDict[tuple[str, str], Any]) -> None:
    while len(sources) > MAXIMUM_SOURCES:
        sources.popitem(last=False)


def network(address: str) -> str:
    """What counts as one source: an IPv4 address, or the /64 that one IPv6 host can roam in."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return str(IPv6Address(int(parsed) >> 64 << 64))
    return address
