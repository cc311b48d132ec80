"""What can go wrong with the agent itself, drawn once. Trial failures are in `targets.errors`.

```
LontraError
├── InvalidConfig        agent.toml, an environment variable or a secret's file is wrong
├── StateDirHeld         another agent lives on this state directory
├── NoStateDir           the directory is not an agent's state directory
├── Unreachable          the server does not answer, or cannot now; try again later
├── UnknownToServer      the server does not know this agent (its history was replaced)
├── MessageRefused       the server refuses one message for good; sending it again will not help
├── JournalDamaged       the journal does not say what to put back
├── JournalFailed        a record could not be written; nothing may be changed
├── WatchdogLost         the watchdog died or hangs; what was under way must not go on
├── RestoreFailed        the safe configuration could not be put back
│   └── RestoreUnderWay  another process is at it
├── Abandoned            the trial is not this agent's to finish any more; no result is due
└── StoodDown            somebody else changed a knob; Lontra lets go
```
"""

from __future__ import annotations

from targets.errors import Cancelled, LontraError
from targets.knobs import Value

Changes = dict[str, tuple[Value | None, Value | None]]
"""What somebody else changed: knob -> (the value that should be in force, the value that is)."""


class InvalidConfig(LontraError):
    """The agent's own configuration is wrong; names file, key, value and rule."""


class StateDirHeld(LontraError):
    """Another agent lives on this state directory."""


class NoStateDir(LontraError):
    """The directory is not an agent's state directory."""


class Unreachable(LontraError):
    """The server does not answer, or says that it cannot now.

    `retry_after_seconds` is what the server asked for, or None.
    """

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class UnknownToServer(LontraError):
    """The server does not know what the agent speaks of; the agent registers again."""


class MessageRefused(LontraError):
    """The server refuses this message for good: its form or content is wrong."""


class JournalDamaged(LontraError):
    """The journal does not say what to put back."""


class JournalFailed(LontraError):
    """A record could not be made durable, so the act it announces must not happen."""


class WatchdogLost(LontraError):
    """The watchdog died or hangs. Another one guards by the time this is raised, if one could be
    started; what was under way is not to be trusted."""


class RestoreFailed(LontraError):
    """The safe configuration could not be put back; it is tried again."""


class RestoreUnderWay(RestoreFailed):
    """Another process is putting the safe configuration back."""


class Abandoned(LontraError):
    """The trial is not this agent's to finish any more (taken back, lease over, agent stopping):
    it sends no result, and the server gives the trial out again or not, as it sees fit."""


class StoodDown(Cancelled):
    """A knob was changed outside Lontra; `changes` says what."""

    def __init__(self, message: str, *, changes: Changes) -> None:
        super().__init__(message)
        self.changes = changes
