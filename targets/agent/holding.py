"""What the agent holds at this moment: the trial, its lease, and what made it stop, if anything.

Shared between the thread that works and those that watch; the first reason to stop counts.
"""

from __future__ import annotations

import threading

from targets.adapter import CancelToken
from targets.agent.errors import Abandoned
from targets.clock import Clock
from targets.errors import TrialFailure
from targets.protocol import Assignment


class Holding:
    """One assignment being carried out.

    `asked_at` is when the work was asked for, on the monotonic clock: the lease began later, so
    counting from there never takes it for longer than it is.
    """

    def __init__(self, assignment: Assignment, *, asked_at: float, clock: Clock) -> None:
        self.assignment = assignment
        self.cancel = CancelToken()
        self._clock = clock
        self._lock = threading.Lock()
        self._lease_ends = asked_at + assignment.lease_seconds
        self._times_out = asked_at + assignment.timeout_seconds
        self._failure: TrialFailure | Abandoned | None = None

    def interrupt(self, failure: TrialFailure | Abandoned) -> None:
        """Make the work end with this; the first counts."""
        with self._lock:
            if self._failure is None:
                self._failure = failure
        self.cancel.cancel(str(failure))

    def renew(self, asked_at: float) -> None:
        """The server renewed the lease when asked at this time."""
        with self._lock:
            self._lease_ends = max(self._lease_ends, asked_at + self.assignment.lease_seconds)

    @property
    def remaining_seconds(self) -> float:
        """Until the assignment times out."""
        return self._times_out - self._clock.monotonic()

    def check(self) -> None:
        """Raises the failure that interrupted the work, if any."""
        with self._lock:
            failure = self._failure
        if failure is not None:
            raise failure

    def check_may_apply(self) -> None:
        """Raises unless the configuration may be changed: not interrupted, and still leased.

        A lease that ran out may be another's by now; a change under it would be a stale one.
        """
        self.check()
        over = self._clock.monotonic() - self._lease_ends
        if over >= 0:
            raise Abandoned(
                f"the lease of trial {self.assignment.trial} ran out {over:.1f} s ago without being"
                " renewed: the server was away, or this agent was stopped"
            )
