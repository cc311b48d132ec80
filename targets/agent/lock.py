"""One process at a time: locks that know who holds them, and take over from the dead and hung.

A flock goes with its process, so nothing is left locked by a crash. A process that is stopped or
hangs keeps it; whoever waits may end it, but only when it is certainly the one that took the lock
(`ProcessMark`) and certainly shows no life (`AgentLock`: its beat stopped).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from targets.agent.durable import PRIVATE_FILE, write_all
from targets.agent.errors import StateDirHeld
from targets.agent.processes import ProcessMark
from targets.agent.statedir import StateDir

KILL_SECONDS = 10.0
_POLL_SECONDS = 0.05
_LOOK_SECONDS = 0.2


class FileLock:
    """A flock on a file that names its holder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def take(
        self,
        *,
        wait_seconds: float = 0.0,
        dispossess: Callable[[ProcessMark], bool] | None = None,
    ) -> bool:
        """Take the lock, waiting so long; answers whether it was taken.

        `dispossess` is asked, time and again, whether the living holder shall be killed.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
        deadline = time.monotonic() + wait_seconds
        try:
            while not _try_lock(descriptor):
                holder = self.holder()
                if holder and dispossess and holder.alive and dispossess(holder):
                    holder.kill(wait_seconds=KILL_SECONDS)
                    deadline = max(deadline, time.monotonic() + 1.0)
                elif time.monotonic() >= deadline:
                    os.close(descriptor)
                    return False
                time.sleep(_POLL_SECONDS)
            os.ftruncate(descriptor, 0)
            write_all(descriptor, json.dumps(ProcessMark.own().to_dict()).encode())
        except BaseException:
            with contextlib.suppress(OSError):
                os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def holder(self) -> ProcessMark | None:
        """Who took the lock last, as its file says; None when it says nothing readable."""
        try:
            return ProcessMark.from_dict(json.loads(self._path.read_text()))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def is_free(self) -> bool:
        """Whether nobody holds it at this moment."""
        try:
            descriptor = os.open(self._path, os.O_RDWR)
        except FileNotFoundError:
            return True
        try:
            return _try_lock(descriptor)
        finally:
            os.close(descriptor)

    def release(self) -> None:
        """Let go; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


class AgentLock:
    """The living agent's hold on its state directory, kept alive by beats.

    The beat is a reading of CLOCK_BOOTTIME, which all processes of one boot share and nobody
    sets, so that a change of the wall clock makes no agent look dead.
    """

    def __init__(self, state: StateDir) -> None:
        self._state = state
        self._lock = FileLock(state.agent_lock)
        self._beat = -1

    def take(self, *, dead_man_seconds: float) -> None:
        """Take the directory, from a stopped or hung agent by killing it.

        Raises:
            StateDirHeld: another agent lives here, or the lock cannot be understood.
        """
        while not self._lock.take(
            wait_seconds=_LOOK_SECONDS,
            dispossess=lambda holder: self._silent_seconds(holder) > dead_man_seconds,
        ):
            # A stopped one is waited for until its beat is old, in case it is let go on.
            holder = self._lock.holder()
            if holder is None or not holder.stopped:
                raise StateDirHeld(self._explain())
        self._beat = os.open(self._state.beat, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
        self.beat()

    def beat(self) -> None:
        """Show a sign of life."""
        os.pwrite(self._beat, f"{_boottime():020.3f} {os.getpid():<20}".encode(), 0)

    def release(self) -> None:
        """Let go of the directory."""
        if self._beat >= 0:
            os.close(self._beat)
            self._beat = -1
        self._lock.release()

    def holder(self) -> tuple[ProcessMark | None, float] | None:
        """The agent that holds this directory, where it can be told, and for how many seconds it
        was silent; None when there is no agent."""
        if self._lock.is_free():
            return None
        mark = self._lock.holder()
        return mark, self._silent_seconds(mark) if mark else 0.0

    def _silent_seconds(self, holder: ProcessMark) -> float:
        """Since the holder's last beat; before its first, since its start: the beat that is there
        is still its predecessor's."""
        try:
            beat, pid = self._state.beat.read_text().split()
            if int(pid) == holder.pid:
                return _boottime() - float(beat)
        except (FileNotFoundError, ValueError):
            pass
        return holder.age_seconds

    def _explain(self) -> str:
        where = f"state_dir {self._state.root} is held by"
        holder = self._lock.holder()
        if holder is None:
            return f"{where} a process that does not say which it is: stop it, or use another"
        if not holder.same_view:
            return (
                f"{where} process {holder.pid} of another container: one agent per target; "
                "stop that one first"
            )
        return (
            f"{where} the agent of pid {holder.pid}, alive {self._silent_seconds(holder):.1f} s "
            f"ago: one agent per target; stop that one (kill {holder.pid}) or use another state_dir"
        )


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
