"""The survival campaign: kills and stops the parts of a real ring, and looks what becomes of it.

    python tests/survival/campaign.py --runs 66 --seed 1
    python tests/survival/campaign.py --short
    python tests/survival/campaign.py --only "watchdog kill -9 at promoted"

A session tunes a real daemon by its configuration file. Each run strikes some of agent, watchdog,
worker and server when a chosen record appears in the journal. Then, by the word of the inspector,
a program of its own:

- the daemon runs in a safe configuration within 15 s of what is left running or, where nothing is
  left that could see to it, of the restart;
- what was stopped and goes on after the recovery changes nothing for as long as is looked.

And by the API's word, for every session: it came to its end, its trials are numbered 0..N without
a gap or a double, each has exactly one result that counts, with each window of its plan once.

Prints a line a run; exit status 1 when anything was not so.
"""

from __future__ import annotations

import contextlib
import random
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parent))

from inspector import JournalTail
from plan import AGENT, RANDOM, SERVER, TRIAL_RECORDS, WATCHDOG, WORKER, Run
from ring import PROMOTABLE, TARGET, Gone, Inspection, Ring, wait_for
from sessions import faults_of, finished_trials

SAFE_SECONDS = 15.0
"""What is promised."""

STEADY_SECONDS = 1.5
"""How long the daemon must stay safe before it is believed: an orphan of the struck agent's, one
of its commands, may still be at work. Not counted."""

STALE_SECONDS = 3.0
"""How long what was resumed is watched."""

RECORD_SECONDS = 180.0
SESSION_SECONDS = 600.0
RANDOM_SECONDS = 2.5
TRIALS = 12


@dataclass(frozen=True)
class Outcome:
    """A line of the table."""

    run: int
    what: str
    when: str
    seconds_to_safe: float | None
    trials: int
    verdict: str


class Campaign:
    """One ring and the runs on it, one after another."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.ring = Ring(folder)
        self._rng = rng
        self._session = 0
        self._promoting = False
        self._checked: set[int] = set()

    def start(self) -> None:
        self.ring.start()
        self._inspection = Inspection(self.ring.run_folder, self.ring.journal)

    def close(self) -> None:
        self._inspection.close()
        self.ring.close()

    def strike(self, number: int, run: Run) -> Outcome:
        """Carry out one run; whatever is wrong becomes its verdict."""
        faults: list[str] = []
        seconds = None
        try:
            self._ensure_session(promote=run.promotes)
            struck_at, stopped = self._await_and_strike(run)
            seconds = self._safe_again(run, struck_at)
            self._bring_back(run, stopped)
        except Gone as error:
            faults.append(str(error))
        if seconds is not None and seconds > SAFE_SECONDS:
            faults.append(f"safe only after {seconds:.1f} s")
        faults += self._inspection.faults
        self._inspection.faults.clear()
        with contextlib.suppress(OSError):
            if self._session_state() not in ("running", "paused"):
                faults += self._check_session()
        return Outcome(
            run=number,
            what=" + ".join(map(str, run.blows)),
            when=run.when,
            seconds_to_safe=seconds,
            trials=self._trials(),
            verdict="; ".join(faults) or "ok",
        )

    def finish(self) -> list[str]:
        """Let the last session come to its end; what is wrong with it."""
        try:
            return self._end_session()
        except (Gone, OSError) as error:
            return [str(error)]

    # -- sessions

    def _ensure_session(self, *, promote: bool) -> None:
        """A running session; for a promotion one that will come to it, from the defaults."""
        if promote or self._promoting:
            self._end_session()
            self._defaults_by_hand()
        elif self._session and self._session_state() == "running":
            return
        body: dict[str, Any] = {
            "target": TARGET,
            "recommender": "random",
            "seed": self._rng.randrange(2**31),
            "confirm_pairs": 12,
            "trials": 1 if promote else TRIALS,
        }
        if promote:
            body |= {"pins": PROMOTABLE, "promote": True}
        self._promoting = promote
        self._session = self.ring.api("/sessions", body)["id"]

    def _session_state(self) -> str:
        return str(self.ring.api(f"/sessions/{self._session}")["state"])

    def _trials(self) -> int:
        with contextlib.suppress(OSError):
            return finished_trials(self.ring, self._session)
        return -1

    def _end_session(self) -> list[str]:
        if not self._session:
            return []
        wait_for(
            f"the end of session {self._session}",
            lambda: self._session_state() not in ("running", "paused"),
            seconds=SESSION_SECONDS,
        )
        return self._check_session()

    def _check_session(self) -> list[str]:
        if self._session in self._checked:
            return []
        self._checked.add(self._session)
        return faults_of(self.ring, self._session)

    def _defaults_by_hand(self) -> None:
        """Undo a promotion, as a person would who does not want it: with the agent away."""
        self.ring.end_agent()
        wait_for("the agent's end", self.ring.agent_ended, seconds=60)
        self._inspection.close()
        self.ring.set_by_hand("")
        self._inspection = Inspection(self.ring.run_folder, self.ring.journal)
        self._start_agent()

    def _start_agent(self) -> None:
        """Start it, and wait until it has told the server what is safe."""
        before = self._registered_at()
        self.ring.launch(AGENT)
        wait_for("the agent", lambda: self._registered_at() != before, seconds=60)

    def _registered_at(self) -> Any:
        return self.ring.api("/agents")["items"][0]["registered_at"]

    # -- one run

    def _await_and_strike(self, run: Run) -> tuple[float, list[tuple[str, psutil.Process]]]:
        """Wait for the record and strike; when that was, and who was stopped by it."""
        tail = JournalTail(self.ring.journal)
        tail.new()
        if run.after:
            self._await_record(tail, "set", run)
            self._bring_about(run.after)
        if run.after == "start":  # only now there is a new one to strike
            self._await_record(tail, run.at, run)
            targets = self._targets(run)
        else:
            targets = self._targets(run)
            self._await_record(tail, "intent" if run.at == RANDOM else run.at, run)
            if run.at == RANDOM:
                time.sleep(self._rng.uniform(0.0, RANDOM_SECONDS))
        for _, process, blow in targets:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(blow)
        stopped = [(role, process) for role, process, blow in targets if blow == signal.SIGSTOP]
        return time.monotonic(), stopped

    def _bring_about(self, after: str) -> None:
        """Do to the agent what has the record written that is waited for."""
        if after in ("start", "end"):
            self.ring.end_agent()
        else:
            for process in self.ring.processes(AGENT):
                process.send_signal(signal.SIGKILL if after == "kill" else signal.SIGSTOP)
        if after == "start":
            wait_for("the agent's end", self.ring.agent_ended, seconds=60)
            self.ring.launch(AGENT)

    def _targets(self, run: Run) -> list[tuple[str, psutil.Process, signal.Signals]]:
        return [
            (blow.victim, process, blow.signal)
            for blow in run.blows
            for process in self.ring.processes(blow.victim)
        ]

    def _await_record(self, tail: JournalTail, kind: str, run: Run) -> None:
        """Wait until it newly appears; of the records of a trial only those of a configuration
        that is not the safe one."""
        safe = self._inspection.last_safe
        unsafe_trial = False
        began = looked = time.monotonic()
        while time.monotonic() < began + RECORD_SECONDS:
            for record in tail.new():
                if record["kind"] == "intent":
                    unsafe_trial = record["configuration"] != safe
                if record["kind"] == kind and (unsafe_trial or kind not in TRIAL_RECORDS):
                    return
            if time.monotonic() > looked + 1.0 and not run.promotes and not run.after:
                looked = time.monotonic()
                self._ensure_session(promote=False)
            time.sleep(0.001)
        raise Gone(f"no record {kind} within {RECORD_SECONDS:g} s")

    def _safe_again(self, run: Run, struck_at: float) -> float:
        """Wait until the daemon is safe for good; after how many seconds it was."""
        ring = self.ring
        if run.resume_seconds is not None:
            self._pause()
            time.sleep(run.resume_seconds)
            begin = time.monotonic()
            ring.resume_stopped()
        elif ring.runs(AGENT) or ring.runs(WATCHDOG):
            begin = struck_at
        else:
            if ring.runs(SERVER):
                self._pause()
            time.sleep(run.restart_seconds)
            begin = time.monotonic()
            ring.launch(AGENT)
        goes_on = all(map(ring.runs, (AGENT, SERVER, WORKER))) and run.resume_seconds is None
        if goes_on and run.struck(WATCHDOG) and not self._paused():
            # The session goes on under another watchdog, so the daemon does not stay safe.
            steady = 0.0
        else:
            steady = STEADY_SECONDS
        since = wait_for(
            "a safe configuration",
            lambda: self._inspection.safe_since(begin, steady_seconds=steady),
            seconds=6 * SAFE_SECONDS,
        )
        return float(since - begin)
