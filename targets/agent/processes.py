"""Which process is meant: a pid alone may by now be another process's.

Standard library only: the watchdog stays small by importing nothing else.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_STATE = 0
_USER_TICKS = 11
_SYSTEM_TICKS = 12
_START_TIME = 19
"""Fields of /proc/PID/stat counted from the state, which follows the name (proc(5))."""

_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class ProcessMark:
    """One process for ever: its pid with the tick it started at, in which boot and namespace."""

    pid: int
    started: int
    boot: str
    namespace: int

    @classmethod
    def of(cls, pid: int) -> ProcessMark | None:
        """The mark of the process that has this pid now; None when there is none."""
        fields = _stat(pid)
        if fields is None:
            return None
        return cls(pid, int(fields[_START_TIME]), _boot(), _namespace())

    @classmethod
    def own(cls) -> ProcessMark:
        """The mark of the calling process."""
        mark = cls.of(os.getpid())
        if mark is None:
            raise OSError("/proc does not show the calling process: is /proc mounted?")
        return mark

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ProcessMark:
        """Read `to_dict`'s form; raises KeyError, TypeError or ValueError."""
        return cls(
            int(data["pid"]), int(data["started"]), str(data["boot"]), int(data["namespace"])
        )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return asdict(self)

    @property
    def same_view(self) -> bool:
        """Whether the pid means something here: same boot, same pid namespace (container)."""
        return self.boot == _boot() and self.namespace == _namespace()

    @property
    def alive(self) -> bool:
        """Whether the process runs, sleeps or is stopped; a zombie is dead."""
        return self.state not in ("", "Z", "X")

    @property
    def stopped(self) -> bool:
        """Whether a signal or a tracer stopped it."""
        return self.state in ("T", "t")

    @property
    def state(self) -> str:
        """The state letter of proc(5); empty when the process is gone."""
        fields = self._own_stat()
        return "" if fields is None else fields[_STATE]

    @property
    def age_seconds(self) -> float:
        """How long ago the process started."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - self.started / os.sysconf("SC_CLK_TCK")

    @property
    def cpu_ticks(self) -> int:
        """User and system time so far, in clock ticks; 0 when gone."""
        fields = self._own_stat()
        return 0 if fields is None else int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS])

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal to this process and no other; answers whether it was there to get it.

        The pid is pinned by a pidfd before the start time is compared, so that no new process
        can take the pid in between; a kernel before 5.3 has none, and leaves that instant.
        """
        try:
            with _pinned(self.pid) as descriptor:
                if not self.alive:
                    return False
                if descriptor is None:
                    os.kill(self.pid, number)
                else:
                    signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        return True

    def kill(self, *, wait_seconds: float) -> bool:
        """SIGKILL it, which also ends a stopped process; answers whether it is gone."""
        self.signal(signal.SIGKILL)
        return self.wait(wait_seconds)

    def wait(self, seconds: float) -> bool:
        """Wait until it is gone; answers whether it is."""
        deadline = time.monotonic() + seconds
        while self.alive:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return False
            time.sleep(min(remaining, _POLL_SECONDS))
        return True

    def _own_stat(self) -> list[str] | None:
        if not self.same_view:
            return None
        fields = _stat(self.pid)
        return fields if fields is not None and int(fields[_START_TIME]) == self.started else None


@contextlib.contextmanager
def _pinned(pid: int) -> Iterator[int | None]:
    """A pidfd, None where the kernel has none; raises ProcessLookupError."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may hold blanks and parentheses itself.
    return text[text.rindex(")") + 2 :].split()


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _namespace() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino
