"""Child processes with a time limit: a crash or a hang of theirs is a result, not an accident."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from targets.adapter import CancelToken
from targets.clock import Clock
from targets.errors import TimedOut

POLL_SECONDS = 0.1
"""How soon a cancelled measurement ends its child."""

LINES, CHARACTERS = 3, 600
"""How much of a child's standard error an error text quotes."""

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a child ended and what it wrote."""

    returncode: int
    output: str
    errors: str

    @property
    def signal_name(self) -> str:
        """The signal that ended it, empty when it exited by itself."""
        return signal.Signals(-self.returncode).name if self.returncode < 0 else ""

    @property
    def how(self) -> str:
        """How it ended, in words, with the last lines of its standard error."""
        how = (
            f"ended by {self.signal_name}"
            if self.returncode < 0
            else f"exit status {self.returncode}"
        )
        plain = _COLOURS.sub("", self.errors)
        said = " | ".join(line.strip() for line in plain.strip().splitlines()[-LINES:])
        return f"{how}: {said or 'it said nothing'}"[:CHARACTERS]


def run_child(
    arguments: Sequence[str | Path],
    *,
    what: str,
    limit_seconds: float,
    clock: Clock,
    text: str = "",
    environment: Mapping[str, str] | None = None,
    cancel: CancelToken | None = None,
) -> Finished:
    """Run a program to its end, `text` on its standard input.

    It leads a process group of its own, so that its own children end with it. `environment` is
    added to this process's.

    Raises:
        TimedOut: it outlived `limit_seconds` and was killed; the text names `what`.
        Cancelled: `cancel` asked for an end; it was killed.
        OSError: it could not be started.
    """
    process = subprocess.Popen(
        [os.fspath(argument) for argument in arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, **(environment or {})},
        start_new_session=True,
    )
    deadline = clock.monotonic() + limit_seconds
    pending: str | None = text
    with process:
        try:
            while True:
                try:
                    output, errors = process.communicate(pending, timeout=POLL_SECONDS)
                except subprocess.TimeoutExpired:
                    pending = None  # communicate itself keeps what is not yet written
                else:
                    return Finished(returncode=process.returncode, output=output, errors=errors)
                if cancel is not None:
                    cancel.check()
                if clock.monotonic() > deadline:
                    raise TimedOut(f"{what} took longer than {limit_seconds:g} s and was ended")
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)  # not yet waited for: the id is its own
            raise
