"""The worker processes of one window: started together, told together, ended together.

They are ended by SIGKILL, always: what was committed must be there when the application is killed,
in every durability class, and the check after each window sees whether it is.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from types import TracebackType
from typing import IO, Any, Self

from targets.adapter import CancelToken
from targets.clock import Clock
from targets.errors import HarnessFailed, TimedOut, WorkloadFailed
from targets.sqlite.worker import Job

_LOOK_SECONDS = 0.05
"""How soon a cancelled window ends its workers."""

_READ_BYTES = 1 << 16
_LAST_WORDS_BYTES = 2_000


class Crew:
    """One worker process a job. Leaving the context ends them all.

    Starting, `tell` and `tell_first` raise WorkloadFailed when a worker reports an error,
    HarnessFailed when one dies, TimedOut when one does not answer within its limit, and Cancelled
    when the window is cancelled.
    """

    def __init__(self, jobs: Sequence[Job], *, clock: Clock, cancel: CancelToken) -> None:
        self._jobs = jobs
        self._clock = clock
        self._cancel = cancel
        self._workers: list[_Worker] = []
        self._ending = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for job in self._jobs:
                self._workers.append(worker := _Worker(stack))
                worker.send(json.dumps(asdict(job)))
            self._ending = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ending.close()

    def answers(self, *, limit_seconds: float) -> list[dict[str, Any]]:
        """What each worker answers to what it was last sent, in the order of the jobs."""
        deadline = self._clock.monotonic() + limit_seconds
        return [self._answer(worker, deadline) for worker in self._workers]

    def tell(self, command: str, *, limit_seconds: float) -> list[dict[str, Any]]:
        """Send all workers a command; their answers in the order of the jobs."""
        for worker in self._workers:
            worker.send(command)
        return self.answers(limit_seconds=limit_seconds)

    def tell_first(self, command: str, *, limit_seconds: float) -> dict[str, Any]:
        """Send the first worker a command, for what needs doing once; its answer."""
        first = self._workers[0]
        first.send(command)
        return self._answer(first, self._clock.monotonic() + limit_seconds)

    def _answer(self, worker: _Worker, deadline: float) -> dict[str, Any]:
        while (line := worker.line(_LOOK_SECONDS)) is None:
            self._cancel.check()
            if self._clock.monotonic() > deadline:
                raise TimedOut("a connection of the SQLite workload did not answer in time")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkloadFailed(f"the SQLite workload failed: {answer['error']}")
        return answer


class _Worker:
    """One process, with a line each way. It ends when the stack it was made on is closed."""

    def __init__(self, stack: ExitStack) -> None:
        self._errors: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        self._process = subprocess.Popen(
            # -P: a folder named `targets` in the current one is not meant.
            [sys.executable, "-P", "-m", "targets.sqlite.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is the parent's to handle
        )
        stack.callback(self._end)
        self._unread = b""

    def send(self, line: str) -> None:
        """Write a line to the process; raises HarnessFailed when it is gone."""
        assert self._process.stdin is not None  # noqa: S101 - asked for above
        try:
            self._process.stdin.write(line.encode() + b"\n")
        except BrokenPipeError:
            raise self._died() from None

    def line(self, seconds: float) -> bytes | None:
        """The next line the process wrote, or None when there is none within the time; raises
        HarnessFailed when it is gone."""
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        if b"\n" not in self._unread:
            poll = select.poll()
            poll.register(self._process.stdout, select.POLLIN)
            if not poll.poll(seconds * 1000):
                return None
            read = os.read(self._process.stdout.fileno(), _READ_BYTES)
            if not read:
                raise self._died()
            self._unread += read
        line, newline, rest = self._unread.partition(b"\n")
        if not newline:
            return None
        self._unread = rest
        return line

    def _died(self) -> HarnessFailed:
        self._errors.seek(0)
        words = self._errors.read().decode(errors="replace").strip()[-_LAST_WORDS_BYTES:]
        return HarnessFailed(f"a process of the SQLite workload ended by itself: {words}")

    def _end(self) -> None:
        with self._process:  # closes its pipes and waits for its end
            self._process.kill()
