"""The sessions under which the campaign strikes: begun, paused, counted through at their end."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ring import TARGET, Ring, wait_for

TRIAL_SECONDS = 90.0
SESSION_SECONDS = 600.0
IN_HAND = ("leased", "applying", "measuring")
PAGE = 100

PROMOTABLE = {
    "batch_records": 4,
    "flush_interval_ms": 1.0,
    "cache_blocks": 40,
    "queue_limit": 64,
}
"""Several times faster than the daemon's defaults on any machine, at any level of compression,
which alone is left to choose: what the session comes to will be promoted."""


class Sessions:
    """One session after another on the ring's target, of `trials` search trials each."""

    def __init__(self, ring: Ring, rng: random.Random, *, trials: int) -> None:
        self._ring = ring
        self._rng = rng
        self._search_trials = trials
        self._id = 0
        self._counted_through = True
        self._faults: list[str] = []
        self.counted = 0
        self.promoting = False

    def begin(self, *, promote: bool) -> None:
        """Start a session that will come to a promotion, or one that leaves the baseline be; the
        one before has ended."""
        self._count_through()
        body: dict[str, Any] = {
            "target": TARGET,
            "recommender": "random",
            "seed": self._rng.randrange(2**31),
            "confirm_pairs": 12,
            "trials": 1 if promote else self._search_trials,
        }
        if promote:
            body |= {"pins": PROMOTABLE, "promote": True}
        self._id = self._ring.api("/sessions", body)["id"]
        self._counted_through = False
        self.promoting = promote

    @property
    def state(self) -> str:
        """The present session's state; empty before the first. Raises OSError."""
        return str(self._ring.api(f"/sessions/{self._id}")["state"]) if self._id else ""

    @property
    def ended(self) -> bool:
        """Whether there is no session under way."""
        return self.state not in ("running", "paused")

    def keep_going(self) -> None:
        """Begin the next session where this one has ended, resume it where it is paused: a pause
        that was asked of a stopped server may be granted as late as when that goes on. Raises
        OSError."""
        state = self.state
        if state == "paused":
            with contextlib.suppress(OSError):  # it came to its end meanwhile
                self._ring.api(f"/sessions/{self._id}/resume", {})
        elif state != "running":
            self.begin(promote=False)

    @property
    def trials_ended(self) -> int:
        """How many trials of the present session have come to their end."""
        return sum(trial["finished_at"] is not None for trial in self._trials())

    @contextmanager
    def paused(self) -> Iterator[None]:
        """No more trials are handed out; the one in hand is finished."""
        with contextlib.suppress(OSError):  # ended already, which does as well
            self._ring.api(f"/sessions/{self._id}/pause", {"reason": "a look at the daemon"})
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                self._ring.api(f"/sessions/{self._id}/resume", {})

    def await_nothing_in_hand(self) -> None:
        """Let a paused session's agent finish the trial it holds. Raises Gone."""
        wait_for(
            "the end of the trial in hand",
            lambda: not any(trial["state"] in IN_HAND for trial in self._trials()),
            seconds=TRIAL_SECONDS,
            poll_seconds=0.2,
        )

    def await_end(self) -> None:
        """Let the present session come to its end. Raises Gone."""
        wait_for(
            f"the end of session {self._id}",
            lambda: self.ended,
            seconds=SESSION_SECONDS,
            poll_seconds=0.5,
        )

    def take_faults(self) -> list[str]:
        """What was wrong with the sessions that have ended since this was asked last."""
        if self.ended:
            self._count_through()
        faults, self._faults = self._faults, []
        return faults

    def _count_through(self) -> None:
        """Look through the session that has ended, once."""
        if self._counted_through:
            return
        self._counted_through = True
        self.counted += 1
        session = self._ring.api(f"/sessions/{self._id}")
        faults = [] if session["state"] == "finished" else [f"it ended as {session['state']}"]
        trials = self._trials()
        numbers = [trial["number"] for trial in trials]
        if numbers != list(range(len(numbers))):
            faults.append(f"its trials are numbered {numbers}")
        searched = [
            trial
            for trial in trials
            if trial["task"] == "trial"
            and trial["number"] > 0
            and trial["failure"] not in ("harness-failed", "cancelled")
        ]
        if len(searched) > session["budget"]["trials"]:
            faults.append(f"{len(searched)} trials for {session['budget']['trials']}")
        for trial in trials:
            windows = self._ring.api(f"/trials/{trial['id']}/windows")["items"]
            faults += (f"trial {trial['number']} {fault}" for fault in _trial(trial, windows))
        self._faults += (f"session {self._id}: {fault}" for fault in faults)

    def _trials(self) -> list[dict[str, Any]]:
        trials: list[dict[str, Any]] = []
        while True:
            query = f"?limit={PAGE}&offset={len(trials)}"
            page = self._ring.api(f"/sessions/{self._id}/trials{query}")
            trials += page["items"]
            if len(page["items"]) < PAGE:
                return trials


def _trial(trial: dict[str, Any], windows: list[dict[str, Any]]) -> Iterator[str]:
    """What is wrong with a trial of a session that has ended."""
    if trial["state"] not in ("completed", "failed") or trial["finished_at"] is None:
        yield f"was left {trial['state']}"
    counted = [window for window in windows if not window["late"]]
    positions = sorted(window["position"] for window in counted)
    if len(set(positions)) != len(positions):
        yield f"has windows at {positions}"
    if len({window["epoch"] for window in counted}) > 1:
        yield "has windows of several epochs that count"
    if trial["state"] == "completed" and positions != list(range(len(trial["sequence"]))):
        yield f"is completed with windows at {positions} of {len(trial['sequence'])}"
