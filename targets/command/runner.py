"""Runs the owner's commands: bounded in time and output, and never left behind.

No shell: an argument vector, a working directory and a whole environment. Each command leads a
session of its own, which is killed as one when it outlives its time or is cancelled.

A command may outlive the agent: killed in the middle of `[apply]`, the agent leaves a child that
goes on, and might change the target after the watchdog has put it back. So a command carries a
mark in its environment, and a file of that name lies in the runner's folder while it runs;
`end_orphans` ends whatever still carries the mark of a command that was never seen to end.
"""

from __future__ import annotations

import logging
import os
import secrets
import selectors
import shlex
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from targets.adapter import CancelToken
from targets.clock import Clock
from targets.errors import Cancelled, HarnessFailed, TimedOut

logger = logging.getLogger(__name__)

OUTPUT_BYTES = 1024 * 1024
"""What is kept of a command's standard output; the rest is read and thrown away."""

STDERR_TAIL_BYTES = 2_000
"""What is kept of its standard error: the end, where the reason stands."""

MARK = "LONTRA_COMMAND"
_CANCEL_POLL_SECONDS = 0.05
_PIPE_BYTES = 65_536  # what a pipe holds on Linux, see pipe(7)
_ORPHAN_DEADLINE_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command ready to run; `title` names it in errors, e.g. `[apply]`."""

    title: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    timeout_seconds: float

    def __str__(self) -> str:
        return f"{self.title} `{shlex.join(self.argv)}`"


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a command ended. `status` is the exit status, or minus the signal's number."""

    command: Command
    status: int
    stdout: str
    stderr_tail: str
    seconds: float
    truncated: bool

    @property
    def fault(self) -> str:
        """Empty for exit status 0; else what happened, with the last of its standard error."""
        if self.status == 0:
            return ""
        if self.status < 0:
            how = f"was ended by signal {-self.status} ({signal.strsignal(-self.status)})"
        else:
            how = f"ended with exit status {self.status}"
        said = self.stderr_tail.strip() or self.stdout[-STDERR_TAIL_BYTES:].strip()
        return f"{self.command} {how}: {said or 'it printed nothing'}"


class CommandRunner:
    """Runs commands one at a time or from two threads at once.

    Args:
        folder: where the marks of running commands lie; shared by all processes of one target.
        clock: durations are read from it.
    """

    def __init__(self, folder: Path, *, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._mine: set[str] = set()

    def run(self, command: Command, *, cancel: CancelToken | None = None) -> Finished:
        """Run to its end, whatever its exit status.

        What the command started and left running in the background (a daemon) is left alone when
        it ends by itself, and killed with it otherwise.

        Raises:
            TimedOut: it outlived its time.
            Cancelled: `cancel` said so.
            HarnessFailed: it could not be started.
        """
        mark = secrets.token_hex(8)
        self._mine.add(mark)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / mark).touch()
        except OSError as error:  # a full disk must not keep a target from being put back
            logger.warning("command runs unmarked command=%s error=%s", command, error)
        try:
            return self._run(command, mark, cancel)
        finally:
            (self._folder / mark).unlink(missing_ok=True)
            self._mine.discard(mark)

    def _run(self, command: Command, mark: str, cancel: CancelToken | None) -> Finished:
        started = self._clock.monotonic()
        try:
            process = subprocess.Popen(
                command.argv,
                env={**command.env, MARK: mark},
                cwd=command.cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise HarnessFailed(f"{command} could not be started: {error}") from error
        with process:
            output = _Output(process)
            try:
                while process.poll() is None:
                    output.collect(_CANCEL_POLL_SECONDS)
                    if cancel is not None and cancel.cancelled:
                        raise Cancelled(cancel.reason)
                    if self._clock.monotonic() - started > command.timeout_seconds:
                        raise TimedOut(
                            f"{command} was killed after {command.timeout_seconds:g} s: "
                            f"{output.stderr_tail.strip() or 'it said nothing on standard error'}"
                        )
                seconds = self._clock.monotonic() - started
                output.collect(0.0)
            except BaseException:
                if process.returncode is None:  # not waited for, so the id is still its own
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                raise
            finally:
                output.close()
        return Finished(
            command=command,
            status=process.returncode,
            stdout=output.stdout,
            stderr_tail=output.stderr_tail,
            seconds=seconds,
            truncated=output.truncated,
        )

    def end_orphans(self) -> int:
        """Kill what commands of earlier, dead runners left running; how many processes it was.

        Raises:
            HarnessFailed: one of them does not die.
        """
        marks = {file.name for file in self._folder.glob("*")} - self._mine
        if not marks:
            return 0
        ended = 0
        deadline = self._clock.monotonic() + _ORPHAN_DEADLINE_SECONDS
        while orphans := _carriers(marks):
            if self._clock.monotonic() > deadline:
                raise HarnessFailed(
                    f"a command left by an earlier run does not die: processes "
                    f"{', '.join(str(orphan.pid) for orphan in orphans)}; end them by hand"
                )
            for orphan in orphans:
                logger.warning("unfinished command ended pid=%d", orphan.pid)
                try:
                    orphan.kill()
                except psutil.NoSuchProcess:
                    continue
            psutil.wait_procs(orphans, timeout=1.0)
            ended += len(orphans)
        for mark in marks:
            (self._folder / mark).unlink(missing_ok=True)
        return ended


def _carriers(marks: set[str]) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) in marks:
                found.append(process)
        except psutil.Error:  # gone meanwhile, a zombie, or another user's
            continue
    return found


class _Output:
    """Collects both pipes of a process without ever waiting for their end, which a daemon left
    in the background would put off for ever."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None and process.stderr is not None  # noqa: S101 - both pipes
        self._stdout, self._stderr = bytearray(), bytearray()
        self._selector = selectors.DefaultSelector()
        self._process = process
        for pipe in (process.stdout, process.stderr):
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(pipe, selectors.EVENT_READ)
        self.truncated = False

    def collect(self, wait_seconds: float) -> None:
        """Wait for output or the end of both pipes, then take what is there."""
        if not self._selector.get_map():
            self._wait_for_exit(wait_seconds)
            return
        for key, _ in self._selector.select(wait_seconds):
            pipe = key.fileobj
            assert not isinstance(pipe, int)  # noqa: S101 - both were registered as files
            self._take(pipe)  # type: ignore[arg-type]

    def _take(self, pipe: IO[bytes]) -> None:
        """Read once, which empties a pipe that nobody writes to any more."""
        try:
            chunk = os.read(pipe.fileno(), _PIPE_BYTES)
        except BlockingIOError:
            return
        if not chunk:
            self._selector.unregister(pipe)
        elif pipe is self._process.stdout:
            self._stdout += chunk[: OUTPUT_BYTES - len(self._stdout)]
            self.truncated = self.truncated or len(self._stdout) == OUTPUT_BYTES
        else:
            self._stderr = (self._stderr + chunk)[-STDERR_TAIL_BYTES:]

    def _wait_for_exit(self, seconds: float) -> None:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return

    @property
    def stdout(self) -> str:
        return self._stdout.decode(errors="replace")

    @property
    def stderr_tail(self) -> str:
        return self._stderr.decode(errors="replace")

    def close(self) -> None:
        self._selector.close()
