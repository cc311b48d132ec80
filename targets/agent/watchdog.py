"""The watchdog: a small process that puts the safe configuration back when the agent cannot.

It owns the journal: the agent asks it for every record and goes on only when the record is
durable. It judges the agent by three signs: the end of the link or of the process (it died), no
beat for `dead_man_seconds` (it hangs or is stopped), a phase past its limit (its main thread
hangs while its beats go on). Then it kills the agent, so that nothing is changed behind its back,
has `targets.agent.restore` put the safe configuration back in a process of its own, as often as
it takes, and journals that.

Standard library only, and no adapter: it must be small, and nothing of the target's may break it.

    python -m targets.agent.watchdog --state-dir DIR --link FD --agent MARK --dead-man SECONDS
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from targets.agent.journal import Journal, Kind
from targets.agent.link import Link, LinkLost, LinkSilent
from targets.agent.lock import FileLock
from targets.agent.processes import ProcessMark
from targets.agent.recovery import Standing
from targets.agent.restoring import restore_until_done, spare_from_oom_killer
from targets.agent.statedir import StateDir
from targets.agent.watchdog_log import log_to

JOURNAL_LOCK_SECONDS = 30.0
ANSWER_SECONDS = 2.0
KILL_SECONDS = 10.0
COMPUTING_SHARE = 0.02
"""Of one core: what a process that computes gets even on a crowded machine, and one that hangs in
a lock or a read never uses."""

COMPACT_ABOVE_BYTES = 4 * 1024 * 1024

logger = logging.getLogger("targets.agent.watchdog")


@dataclass(frozen=True)
class Verdict:
    """Why the agent is taken over. `hung`: in a phase that had a limit; `spare`: it let go of
    its own will, so its process, which may have other work, lives on."""

    reason: str
    hung: bool = False
    spare: bool = False


LET_GO = Verdict("the agent let go", spare=True)


class Watchdog:
    """One agent's watchdog, from its start to its end."""

    def __init__(
        self, state: StateDir, link: Link, *, agent: ProcessMark, dead_man_seconds: float
    ) -> None:
        self._state = state
        self._link = link
        self._agent = agent
        self._dead_man_seconds = dead_man_seconds
        self._journal = Journal(state.journal)
        self._standing = Standing()
        self._damaged = False
        self._heard = time.monotonic()
        self._phase = "start"
        self._phase_ends: float | None = None
        self._ticks = 0

    def run(self, *, recover: bool) -> int:
        """Guard until the agent closes the journal or is dead and the safe configuration back.

        With `recover`, what an earlier agent left behind is put back first; without, the agent
        lives on and only its watchdog was replaced: what is under way is the agent's to end.
        """
        reading = self._journal.open()
        self._standing = Standing.of(reading)
        self._damaged = bool(reading.damage)
        before = self._standing
        if recover and self._standing.dirty and not self._restore("left behind by a dead agent"):
            return 1
        try:
            self._link.send({"ready": _told(before, self._standing)}, within_seconds=ANSWER_SECONDS)
            self._heard = time.monotonic()
            verdict = self._guard()
        except (LinkLost, LinkSilent) as error:
            verdict = self._last_words() or Verdict(f"the agent is gone: {error}")
        return 0 if verdict is None else self._take_over(verdict)

    def _guard(self) -> Verdict | None:
        """Serve the agent; answers why it must be taken over, or None after an orderly close."""
        with _death_notice(self._agent) as death:
            poll = select.poll()
            poll.register(self._link, select.POLLIN)
            if death is not None:
                poll.register(death, select.POLLIN)
            while True:
                wait = 0.0 if self._link.pending else max(0.0, self._judgement() - time.monotonic())
                slept = time.monotonic()
                ready = {descriptor for descriptor, _ in poll.poll(1000 * wait)}
                if self._link.pending or self._link.fileno() in ready:
                    act = self._serve()
                    if act == "close":
                        return None
                    if act == "leave":
                        return LET_GO
                elif death is not None and death in ready:
                    return Verdict("the agent died")
                elif time.monotonic() > slept + wait + self._dead_man_seconds:
                    # This process was stopped or starved itself: it cannot judge another.
                    self._heard = time.monotonic()
                elif verdict := self._verdict():
                    return verdict

    def _judgement(self) -> float:
        """When to look at the agent next."""
        silence = self._heard + self._dead_man_seconds
        return silence if self._phase_ends is None else min(silence, self._phase_ends)

    def _verdict(self) -> Verdict | None:
        now = time.monotonic()
        if self._phase_ends is not None and now >= self._phase_ends:
            return Verdict(f"{self._phase} did not end within its limit", hung=True)
        silent = now - self._heard
        if silent < self._dead_man_seconds:
            return None
        if self._computes():
            # A call into C that holds the interpreter lets no beat out. While it visibly uses
            # the processor within a phase that has a limit, that limit decides.
            self._heard = now
            return None
        state = "stopped" if self._agent.stopped else "silent"
        return Verdict(f"the agent is {state}: no beat for {silent:.1f} s")

    def _computes(self) -> bool:
        before, self._ticks = self._ticks, self._agent.cpu_ticks
        if self._phase_ends is None or self._agent.stopped:
            return False
        used = (self._ticks - before) / os.sysconf("SC_CLK_TCK")
        return used > COMPUTING_SHARE * self._dead_man_seconds

    def _last_words(self) -> Verdict | None:
        """Whether the agent let go before its link ended."""
        try:
            while self._link.receive(within_seconds=0.0).get("act") != "leave":
                pass
        except (LinkLost, LinkSilent):
            return None
        return LET_GO

    def _serve(self) -> str:
        """Answer one message; answers its act, empty when it could not be done."""
        message = self._link.receive(within_seconds=self._dead_man_seconds)
        answer: dict[str, Any] = {"answer": message.get("ask")}
        act = message.get("act")
        if act == "leave":
            return "leave"
        if act == "append":
            answer |= self._append(Kind(message["kind"]), message["fields"])
        elif act == "phase":
            seconds = message["seconds"]
            self._phase = message["name"]
            self._phase_ends = None if seconds is None else time.monotonic() + seconds
        elif act == "close":
            answer |= self._close(message["reason"])
        elif act != "beat":
            answer["error"] = f"no such act: {act}"
        self._link.send(answer, within_seconds=ANSWER_SECONDS)
        self._ticks = self._agent.cpu_ticks
        self._heard = time.monotonic()
        return "" if "error" in answer else str(act)

    def _append(self, kind: Kind, fields: Mapping[str, Any]) -> dict[str, Any]:
        if kind in (Kind.TAKEN, Kind.INTENT, Kind.PROMOTING):
            trial, epoch = fields["trial"], fields["epoch"]
            if self._standing.stale(trial, epoch):
                newest = self._standing.epochs[trial]
                return {"stale": f"trial {trial}: epoch {epoch} is older than {newest}, journalled"}
        try:
            record = self._journal.append(kind, fields)
            self._standing = self._standing.after(record)
            large = self._journal.size_bytes > COMPACT_ABOVE_BYTES
            if self._standing.settled and (large or self._damaged):
                self._journal.compact((Kind.OPENED, self._standing.compacted()))
                self._damaged = False
        except OSError as error:
            return {"error": f"{self._state.journal}: {error.strerror or error}"}
        return {"seq": record.seq}

    def _close(self, reason: str) -> dict[str, Any]:
        try:
            record = self._journal.append(Kind.CLOSED, {"reason": reason})
            self._standing = self._standing.after(record)
            if self._standing.settled:
                compacted = (Kind.OPENED, self._standing.compacted())
                self._journal.compact(compacted, (Kind.CLOSED, record.fields))
        except OSError as error:
            return {"error": f"{self._state.journal}: {error.strerror or error}"}
        logger.info("closed reason=%s", reason)
        return {}

    def _take_over(self, verdict: Verdict) -> int:
        logger.warning("taking over reason=%s pid=%d", verdict.reason, self._agent.pid)
        if self._agent.alive and not verdict.spare:
            if not self._agent.kill(wait_seconds=KILL_SECONDS):
                # In an uninterruptible wait: it dies before it runs any further instruction.
                logger.error("the agent does not die yet pid=%d", self._agent.pid)
            self._note(Kind.KILLED, {"reason": verdict.reason, "hung": verdict.hung})
        if self._standing.dirty and not self._restore(verdict.reason):
            return 1
        return 0

    def _restore(self, reason: str) -> bool:
        in_force = restore_until_done(self._state)
        if in_force is None:
            return False
        trial = self._standing.working[0] if self._standing.working else None
        fields = {"by": "watchdog", "reason": reason, "trial": trial, "in_force": in_force}
        self._note(Kind.RESTORED, fields)
        return True

    def _note(self, kind: Kind, fields: Mapping[str, Any]) -> None:
        """Journal what was done without the agent. A disk that does not take it only means that
        the next start restores once more."""
        try:
            self._standing = self._standing.after(self._journal.append(kind, fields))
        except OSError:
            logger.exception("not journalled kind=%s", kind)


def _told(before: Standing, now: Standing) -> dict[str, Any]:
    """What a starting agent needs to know of the one before."""
    return {
        "working": before.working,
        "restored": now.restored,
        "killed": before.killed,
        "closed": before.closed or before.opened is None,
        "session": before.session,
        "opened": before.opened,
        "safe": (before.snapshot or {}).get("configuration"),
    }


def _stay(number: int, frame: FrameType | None) -> None:
    """A terminal's Ctrl-C and a shutdown's SIGTERM are for the agent; the watchdog ends after it.

    A handler, not SIG_IGN, which a daemon restarted while restoring would inherit.
    """
    logger.info("staying until the agent ends signal=%d", number)


@contextlib.contextmanager
def _death_notice(agent: ProcessMark) -> Iterator[int | None]:
    """A descriptor that becomes readable when the agent dies, even if a child of its own keeps
    the link open; None where the kernel has none."""
    try:
        descriptor = os.pidfd_open(agent.pid)
    except OSError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def main(argv: list[str] | None = None) -> int:
    """Guard the agent named on the command line. Exit status 0: the target is safe."""
    parser = argparse.ArgumentParser(prog="targets.agent.watchdog", description=__doc__)
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--link", type=int, required=True, help="descriptor of the link")
    parser.add_argument("--agent", required=True, help="the agent's process mark, as JSON")
    parser.add_argument("--dead-man", type=float, required=True, help="seconds")
    parser.add_argument("--resume", action="store_true", help="the agent lives: recover nothing")
    args = parser.parse_args(argv)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stay)
    state = StateDir(args.state_dir)
    log_to(state.watchdog_log)
    spare_from_oom_killer()
    started = time.monotonic()
    lock = FileLock(state.journal_lock)
    # The agent that started this process holds the state directory, so whoever else holds the
    # journal is left over from an earlier agent. It may be restoring: it gets time to end.
    if not lock.take(
        wait_seconds=JOURNAL_LOCK_SECONDS + KILL_SECONDS,
        dispossess=lambda holder: (
            holder.stopped or time.monotonic() > started + JOURNAL_LOCK_SECONDS
        ),
    ):
        logger.error("the journal is held by another process path=%s", state.journal_lock)
        return 1
    watchdog = Watchdog(
        state,
        Link(socket.socket(fileno=args.link)),
        agent=ProcessMark.from_dict(json.loads(args.agent)),
        dead_man_seconds=args.dead_man,
    )
    try:
        return watchdog.run(recover=not args.resume)
    finally:
        lock.release()


if __name__ == "__main__":
    sys.exit(main())
