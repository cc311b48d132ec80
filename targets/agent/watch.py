"""The agent's end of the link to its watchdog: spawns it, asks it for records, replaces it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

from targets.agent.errors import JournalFailed, RestoreFailed, WatchdogLost
from targets.agent.journal import Kind
from targets.agent.link import Link, LinkLost, LinkSilent
from targets.agent.processes import ProcessMark
from targets.agent.statedir import StateDir
from targets.errors import StaleEpoch

RECOVERY_SECONDS = 300.0
"""How long a start waits for an earlier agent's business to be put back."""

RESUME_SECONDS = 30.0
SLOW_DISK_SECONDS = 60.0
"""How long a record may take while the watchdog is not stopped: a sync waits behind whatever the
tuned target writes."""

KILL_SECONDS = 5.0
TOKEN_VARIABLE = "LONTRA_AGENT__SERVER__TOKEN"  # noqa: S105 - the name of one

logger = logging.getLogger(__name__)


class Watch:
    """The watchdog, as the agent sees it. All methods may be called from any thread.

    `replaced` counts watchdogs that were lost; each loss is raised once, as WatchdogLost, to
    whoever noticed it.
    """

    def __init__(self, state: StateDir, *, dead_man_seconds: float) -> None:
        self._state = state
        self._dead_man_seconds = dead_man_seconds
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._mark: ProcessMark | None = None
        self._link: Link | None = None
        self._phase: tuple[str, float | None] = ("idle", None)
        self.replaced = 0

    def start(self) -> dict[str, Any]:
        """Spawn the watchdog, which first puts back what an earlier agent left; answers what it
        found (`targets.agent.watchdog`).

        Raises:
            RestoreFailed: what was left could not be put back within the time; it goes on trying.
            WatchdogLost: none can be started.
        """
        with self._lock:
            try:
                self._spawn(resume=False)
                return self._await_ready(RECOVERY_SECONDS)
            except OSError as error:
                raise WatchdogLost(f"no watchdog can be started: {error}") from error
            except (LinkLost, LinkSilent) as error:
                raise RestoreFailed(
                    f"what an earlier agent left in force could not be put back ({error}): see "
                    f"{self._state.watchdog_log}"
                ) from error

    def record(self, kind: Kind, fields: Mapping[str, Any]) -> None:
        """Have a record made durable.

        Raises:
            StaleEpoch: a newer epoch of the trial was journalled.
            JournalFailed: it could not be written (disk full).
            WatchdogLost: the watchdog was lost.
        """
        answer = self._ask("append", {"kind": kind.value, "fields": dict(fields)})
        if "stale" in answer:
            raise StaleEpoch(answer["stale"])
        if "error" in answer:
            raise JournalFailed(f"journal: {answer['error']}; nothing may be changed without it")

    def beat(self) -> None:
        """Show a sign of life, and see one; raises WatchdogLost.

        While a record is being written this does nothing: the record is the sign.
        """
        if self._lock.acquire(blocking=False):
            try:
                self._ask("beat", {})
            finally:
                self._lock.release()

    def phase(self, name: str, seconds: float | None) -> None:
        """Say what begins, and after how long it must be taken to hang; raises WatchdogLost."""
        self._phase = (name, seconds)
        self._ask("phase", {"name": name, "seconds": seconds})

    def close(self, reason: str) -> None:
        """End the watchdog in order, with the journal closed.

        Raises:
            JournalFailed, WatchdogLost: the journal stays open; the next start looks after it.
        """
        answer = self._ask("close", {"reason": reason})
        if "error" in answer:
            raise JournalFailed(f"journal: {answer['error']}")
        self.abandon()

    def abandon(self) -> None:
        """Let go without closing the journal: the watchdog ends after putting back what is not
        safe, if anything, and leaves this process alive."""
        with self._lock:
            if self._link is not None:
                with contextlib.suppress(LinkLost, LinkSilent):
                    self._link.send({"act": "leave"}, within_seconds=1.0)
                self._link.close()
                self._link = None
            if self._process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(KILL_SECONDS)
                self._process = None

    @property
    def pid(self) -> int | None:
        """The watchdog's process."""
        return self._process.pid if self._process else None

    def _ask(self, act: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            if self._process is None:
                raise WatchdogLost("there is no watchdog: the agent was not started, or has ended")
            if self._link is None:
                self._replace("none could be started before")
                raise WatchdogLost("there was no watchdog for a while")
            try:
                return self._ask_patiently(self._link, act, dict(fields))
            except (LinkLost, LinkSilent) as error:
                self._replace(str(error))
                raise WatchdogLost(f"the watchdog was lost ({error})") from error

    def _ask_patiently(self, link: Link, act: str, fields: dict[str, Any]) -> dict[str, Any]:
        """A watchdog that is stopped or dead is given up after the dead-man's time; one that
        lives gets longer, in which this machine may have been what stood still."""
        try:
            return link.ask(act, fields, within_seconds=self._dead_man_seconds)
        except LinkSilent:
            if self._mark is None or self._mark.stopped or not self._mark.alive:
                raise
            writes = act in ("append", "close")
            patience = SLOW_DISK_SECONDS if writes else self._dead_man_seconds
            logger.warning("the watchdog is slow act=%s", act)
            return link.await_answer(within_seconds=patience)

    def _replace(self, why: str) -> None:
        """Another watchdog for this living agent: it guards at once, and what is under way is
        the agent's to end."""
        logger.error("the watchdog was lost, starting another why=%s pid=%s", why, self.pid)
        self.replaced += 1
        if self._link is not None:
            self._link.close()
            self._link = None
        if self._mark is not None:
            self._mark.kill(wait_seconds=KILL_SECONDS)
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(KILL_SECONDS)
        try:
            self._spawn(resume=True)
            self._await_ready(RESUME_SECONDS)
            if self._link is not None:
                name, seconds = self._phase
                self._link.ask("phase", {"name": name, "seconds": seconds}, within_seconds=5.0)
        except (LinkLost, LinkSilent, OSError) as error:
            raise WatchdogLost(f"no watchdog can be started: {error}") from error

    def _spawn(self, *, resume: bool) -> None:
        ours, theirs = socket.socketpair()
        # -P: the working directory, which others may be able to write to, is no import path.
        command = [sys.executable, "-P", "-m", "targets.agent.watchdog"]
        command += ["--state-dir", str(self._state.root), "--link", str(theirs.fileno())]
        command += ["--agent", json.dumps(ProcessMark.own().to_dict())]
        command += ["--dead-man", str(self._dead_man_seconds)]
        command += ["--resume"] if resume else []
        with theirs:
            # A session of its own: a terminal that goes, or its Ctrl-C, does not reach it.
            self._process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
                env=_environment(),
            )
        self._mark = ProcessMark.of(self._process.pid)
        self._link = Link(ours)

    def _await_ready(self, within_seconds: float) -> dict[str, Any]:
        if self._link is None:
            raise LinkLost("there is no watchdog")
        ready = self._link.receive(within_seconds=within_seconds).get("ready")
        if not isinstance(ready, dict):
            raise LinkLost("the watchdog did not say that it is ready")
        return ready


def _environment() -> dict[str, str]:
    """This process's environment without the server's token, which a watchdog has no use for."""
    return {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}
