"""What one round of the agent came to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ActivityKind(StrEnum):
    """`worked`: one assignment was carried out; `idle`: the server had none; `away`: the server
    was not reached; `unsafe`: the safe configuration could not be put back yet, no work is
    taken."""

    WORKED = "worked"
    IDLE = "idle"
    AWAY = "away"
    UNSAFE = "unsafe"


@dataclass(frozen=True, kw_only=True)
class Activity:
    """One round: what it came to, why, and how long to wait before the next makes sense."""

    kind: ActivityKind
    reason: str = ""
    trial: int | None = None
    wait_seconds: float = 0.0

    @property
    def worked(self) -> bool:
        """Whether an assignment was carried out."""
        return self.kind is ActivityKind.WORKED
