"""One run: wait for the record, strike, see the daemon safe again, bring everything back."""

from __future__ import annotations

import contextlib
import functools
import random
import signal
import time

import psutil
from inspector import JournalTail
from plan import AGENT, RANDOM, ROLES, SERVER, TRIAL_RECORDS, WATCHDOG, WORKER, Run
from ring import Gone, Inspection, Ring, running, wait_for
from sessions import Sessions

STEADY_SECONDS = 1.5
"""How long the daemon must stay safe before it is believed: an orphan of the struck agent's, one
of its commands, might still be at work. Not counted."""

STALE_SECONDS = 3.0
"""How long the daemon is watched after a stale agent or watchdog was resumed."""

GUARDED_SECONDS = 1.0
"""How long agent and watchdog must live to count as back."""

RECORD_SECONDS = 180.0
RECOVERY_SECONDS = 90.0
"""Far more than is promised, so that a failure is told with its figure."""

RANDOM_SECONDS = 2.5

Stopped = list[tuple[str, psutil.Process]]


class Striker:
    """Carries out runs on a ring under the eyes of the inspector."""

    def __init__(self, ring: Ring, sessions: Sessions, rng: random.Random) -> None:
        self._ring = ring
        self._sessions = sessions
        self._rng = rng
        self._faults: list[str] = []
        self._inspection: Inspection | None = None

    @property
    def inspection(self) -> Inspection:
        """The inspector at work."""
        assert self._inspection is not None, "begin() has not been called"
        return self._inspection

    def begin(self) -> None:
        """Have the inspector look at the daemon, whose configuration now is the safe one."""
        self._inspection = Inspection(self._ring.run_folder, self._ring.journal)

    def end(self) -> None:
        """End the inspector; what it found wrong is still there to be taken."""
        if self._inspection is not None:
            self._inspection.close()
            self._faults += self._inspection.take_faults()
            self._inspection = None

    def prepare(self, run: Run) -> list[str]:
        """A session under way that will come to what the run waits for; who died unstruck."""
        died = [role for role in ROLES if not self._ring.processes(role)]
        for role in (SERVER, WORKER):
            if role in died:
                self._ring.launch(role)
        self._have_agent_guarded()
        if self._sessions.promoting or run.promotes:
            if self._sessions.state:
                self._sessions.await_end()
            self._defaults_by_hand()
        if self._sessions.ended:
            self._sessions.begin(promote=run.promotes)
        return [f"the {role} had died by itself" for role in died]

    def strike(self, run: Run) -> tuple[float, Stopped]:
        """Wait for the record and strike; when that was, and who was stopped by it."""
        tail = JournalTail(self._ring.journal)
        tail.new()
        if run.after:
            self._await_record(tail, "set")
            self._bring_about(run.after, tail)
        targets = self._targets(run)
        self._await_record(tail, "intent" if run.at == RANDOM else run.at)
        if run.after == "start":
            targets = self._targets(run)  # its watchdog has only now been born
        if run.at == RANDOM:
            time.sleep(self._rng.uniform(0.0, RANDOM_SECONDS))
        for _, process, blow in targets:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(blow)
        struck_at = time.monotonic()
        wait_for(
            "the blows' effect",
            lambda: not any(running(process) for _, process, _ in targets),
            seconds=10,
        )
        if run.after == "end":
            wait_for("the agent's end", self._ring.agent_ended, seconds=60)
        return struck_at, [
            (role, process) for role, process, blow in targets if blow == signal.SIGSTOP
        ]

    def see_safe(self, run: Run, struck_at: float) -> float:
        """Wait until the daemon is safe; after how many seconds it was. Raises Gone."""
        ring = self._ring
        if run.resume_seconds is not None:
            with self._sessions.paused():
                time.sleep(run.resume_seconds)
                begin = time.monotonic()
                ring.resume_stopped()
                return self._await_safe(begin, STEADY_SECONDS)
        if ring.runs(AGENT) or ring.runs(WATCHDOG):
            # With agent, server and worker alive the session goes on under another watchdog:
            # the daemon is safe for a moment only.
            goes_on = all(map(ring.runs, (AGENT, SERVER, WORKER)))
            return self._await_safe(struck_at, 0.0 if goes_on else STEADY_SECONDS)
        with self._sessions.paused():
            time.sleep(run.restart_seconds)
            begin = time.monotonic()
            ring.launch(AGENT)
            # It may be given the trial again that it holds, which is why this comes first.
            seconds = self._await_safe(begin, 0.0)
            self._have_agent_guarded()
            return seconds

    def bring_back(self, stopped: Stopped) -> list[str]:
        """Restart what died, as a supervisor would, and resume what was stopped; what is wrong."""
        ring = self._ring
        for role in (SERVER, WORKER):
            for process in (process for victim, process in stopped if victim == role):
                process.resume()
            if not ring.processes(role):
                ring.launch(role)
        wait_for("the server", ring.answers, seconds=60)
        stale = [process for role, process in stopped if role in (AGENT, WATCHDOG)]
        self._have_agent_guarded()
        if not stale:
            return []
        with self._sessions.paused():
            self._sessions.await_nothing_in_hand()
            self._await_safe(time.monotonic(), STEADY_SECONDS)
            begin = time.monotonic()
            for process in stale:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()
            time.sleep(STALE_SECONDS)
            if self.inspection.safe_throughout(begin):
                return []
            return ["something stale that was resumed changed the daemon"]

    def take_faults(self) -> list[str]:
        """What the inspectors found wrong since this was asked last."""
        faults, self._faults = self._faults + self.inspection.take_faults(), []
        return faults

    def _await_safe(self, begin: float, steady_seconds: float) -> float:
        since = wait_for(
            "a safe configuration",
            lambda: self.inspection.safe_since(begin, steady_seconds=steady_seconds),
            seconds=RECOVERY_SECONDS,
        )
        return float(since) - begin

    def _bring_about(self, after: str, tail: JournalTail) -> None:
        """Do to the agent what has the record written that is waited for."""
        if after in ("start", "end"):
            self._ring.end_agent()
        else:
            for process in self._ring.processes(AGENT):
                process.send_signal(signal.SIGKILL if after == "kill" else signal.SIGSTOP)
        if after == "start":
            wait_for("the agent's end", self._ring.agent_ended, seconds=60)
            tail.new()  # an orderly end leaves a journal that begins anew
            self._ring.launch(AGENT)

    def _targets(self, run: Run) -> list[tuple[str, psutil.Process, signal.Signals]]:
        """Whom to send which signal. Raises Gone for a victim that is not there."""
        return [
            (blow.victim, process, blow.signal)
            for blow in run.blows
            for process in wait_for(
                f"a living {blow.victim}",
                functools.partial(self._ring.processes, blow.victim),
                seconds=30,
            )
        ]

    def _await_record(self, tail: JournalTail, kind: str) -> None:
        """Wait until it newly appears; of the records of a trial only those of a configuration
        that is not the safe one. Should the session end meanwhile, the next one has such trials.
        Raises Gone, OSError."""
        safe = self.inspection.last_safe
        unsafe_trial = False
        began = time.monotonic()
        look_at_session = began + 1.0
        while (now := time.monotonic()) < began + RECORD_SECONDS:
            for record in tail.new():
                if record["kind"] == "intent":
                    unsafe_trial = record["configuration"] != safe
                if record["kind"] == kind and (unsafe_trial or kind not in TRIAL_RECORDS):
                    return
            if now > look_at_session and kind in TRIAL_RECORDS:
                look_at_session = now + 1.0
                self._sessions.keep_going()
            time.sleep(0.001)
        raise Gone(f"no record {kind} within {RECORD_SECONDS:g} s")

    def _defaults_by_hand(self) -> None:
        """Undo a promotion, as a person would who does not want it, with the agent away."""
        ring = self._ring
        ring.end_agent()
        wait_for("the agent's end", ring.agent_ended, seconds=60)
        self.end()
        ring.set_by_hand("")
        self.begin()
        ring.start_agent()

    def _have_agent_guarded(self) -> None:
        """See to it, as a supervisor does, that an agent and its watchdog live for a while: an
        agent that was struck may still be ending, or replacing its watchdog. Raises Gone."""
        began = steady = time.monotonic()
        while (now := time.monotonic()) < steady + GUARDED_SECONDS:
            if self._ring.agent_ended():
                self._ring.start_agent()
            if not (self._ring.runs(AGENT) and self._ring.runs(WATCHDOG)):
                steady = now
            if now > began + RECOVERY_SECONDS:
                raise Gone(f"an agent and its watchdog: not within {RECOVERY_SECONDS:g} s")
            time.sleep(0.05)
