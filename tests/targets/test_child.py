"""Child processes: their end is a result, whatever it is, and nothing of theirs is left behind."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from targets.adapter import CancelToken
from targets.child import Finished, run_child
from targets.clock import SystemClock
from targets.errors import Cancelled, TimedOut


def run(program: str, *, seconds: float = 60.0, text: str = "", **options: object) -> Finished:
    return run_child(
        [sys.executable, "-c", program],
        what="the test",
        limit_seconds=seconds,
        clock=SystemClock(),
        text=text,
        **options,  # type: ignore[arg-type]
    )


def test_input_output_and_status_are_carried() -> None:
    finished = run("import sys; print(sys.stdin.read()[::-1]); sys.exit(4)", text="abc" * 100_000)
    assert finished.output == "cba" * 100_000 + "\n"
    assert finished.returncode == 4
    assert finished.how == "exit status 4: it said nothing"


def test_a_signal_and_the_last_words_are_named() -> None:
    finished = run("import os; os.write(2, b'one\\n\\x1b[31mtwo\\x1b[0m\\n'); os.abort()")
    assert finished.how.startswith("ended by SIGABRT: one | two")


def test_the_environment_is_added_to() -> None:
    finished = run(
        "import os; print(os.environ['PATH'] != '', os.environ['EXTRA'])",
        environment={"EXTRA": "yes"},
    )
    assert finished.output == "True yes\n"


FOREVER_WITH_CHILD = (
    "import subprocess, sys, time;"
    "child = subprocess.Popen(['sleep', '600']);"
    "open(sys.stdin.read(), 'w').write(str(child.pid));"
    "time.sleep(600)"
)


class CancelledWhenWritten(CancelToken):
    """Cancels once the child has written its file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def check(self) -> None:
        if self._path.exists() and self._path.read_text():
            self.cancel("enough")
        super().check()


def test_a_cancelled_child_ends_with_its_own_children(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    with pytest.raises(Cancelled, match="enough"):
        run(FOREVER_WITH_CHILD, text=str(path), cancel=CancelledWhenWritten(path))
    assert_gone(int(path.read_text()))


def test_a_child_past_its_time_is_ended() -> None:
    with pytest.raises(TimedOut, match=r"the test took longer than 0\.3 s"):
        run("import time; time.sleep(600)", seconds=0.3)


def assert_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return  # dead, and only its new parent has not looked yet
        time.sleep(0.02)
    pytest.fail(f"process {pid} is still there")
