"""Who holds what: processes told apart, locks, and the link between agent and watchdog."""

from __future__ import annotations

import dataclasses
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from targets.agent.errors import NoStateDir, StateDirHeld
from targets.agent.link import Link, LinkLost, LinkSilent
from targets.agent.lock import AgentLock, FileLock
from targets.agent.processes import ProcessMark
from targets.agent.statedir import StateDir

HOLD = """
import sys, time
from pathlib import Path
from targets.agent.lock import AgentLock
from targets.agent.statedir import StateDir
state = StateDir(Path(sys.argv[1])); state.create()
lock = AgentLock(state); lock.take(dead_man_seconds=1.0)
print("held", flush=True)
while True:
    if sys.argv[2] == "beating":
        lock.beat()
    time.sleep(0.05)
"""


@pytest.fixture
def hold(state_dir: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start(how: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(state_dir), how], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def lock(state_dir: Path) -> Iterator[AgentLock]:
    state = StateDir(state_dir)
    state.create()
    lock = AgentLock(state)
    yield lock
    lock.release()


def test_a_living_agent_keeps_its_directory(hold: Any, lock: AgentLock) -> None:
    process = hold("beating")
    with pytest.raises(StateDirHeld, match=f"agent of pid {process.pid}, alive 0"):
        lock.take(dead_man_seconds=1.0)
    assert process.poll() is None


def test_a_silent_agent_is_killed_and_taken_over(hold: Any, lock: AgentLock) -> None:
    process = hold("silent")
    time.sleep(0.6)
    lock.take(dead_man_seconds=0.5)
    assert process.wait(5) == -signal.SIGKILL


def test_a_stopped_agent_is_killed_once_its_beat_is_old(hold: Any, lock: AgentLock) -> None:
    process = hold("beating")
    process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    lock.take(dead_man_seconds=0.5)
    assert process.wait(5) == -signal.SIGKILL
    assert time.monotonic() - began < 5.0


def test_a_dead_agent_leaves_nothing_locked(hold: Any, lock: AgentLock) -> None:
    process = hold("beating")
    process.kill()
    process.wait()
    lock.take(dead_man_seconds=60.0)
    assert lock.holder() is not None
    lock.release()
    assert lock.holder() is None


def test_a_process_whose_mark_does_not_fit_is_never_killed(hold: Any, lock: AgentLock) -> None:
    """The lock's file says pid 7, which by now is somebody else: same pid, another start."""
    process = hold("silent")
    mark = ProcessMark.of(process.pid)
    assert mark is not None
    for other in (
        dataclasses.replace(mark, started=mark.started + 1),
        dataclasses.replace(mark, boot="another boot"),
        dataclasses.replace(mark, namespace=1),
    ):
        assert not other.alive
        assert not other.signal(signal.SIGKILL)
    assert process.poll() is None
    assert mark.alive
    assert mark.kill(wait_seconds=5.0)
    process.wait()
    assert not mark.alive


def test_a_kernel_without_pidfds_is_served_too(hold: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    process = hold("beating")
    mark = ProcessMark.of(process.pid)
    assert mark is not None

    def missing(pid: int) -> int:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", missing)
    assert mark.kill(wait_seconds=5.0)


def test_a_zombie_counts_as_dead() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    mark = ProcessMark.of(process.pid)
    assert mark is not None
    assert mark.wait(10.0), "dead though nobody has reaped it"
    process.wait()


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.take()
    assert not second.take(wait_seconds=0.1)
    timer = threading.Timer(0.1, first.release)
    timer.start()
    assert second.take(wait_seconds=10.0)
    second.release()
    timer.join()


def test_the_state_directory_is_private_and_keeps_its_identity(state_dir: Path) -> None:
    state = StateDir(state_dir)
    instance = state.create()
    assert StateDir(state_dir).create() == instance
    assert state_dir.stat().st_mode & 0o777 == 0o700
    assert state.mark.stat().st_mode & 0o777 == 0o600
    state_dir.chmod(0o755)
    state.create()
    assert state_dir.stat().st_mode & 0o777 == 0o700


def test_a_folder_of_somebody_elses_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    with pytest.raises(NoStateDir, match="not empty and no agent's"):
        StateDir(tmp_path).create()
    with pytest.raises(NoStateDir, match="no agent's state directory"):
        StateDir(tmp_path).instance()


@pytest.fixture
def pair() -> Iterator[tuple[Link, Link]]:
    one, other = socket.socketpair()
    links = Link(one), Link(other)
    yield links
    for link in links:
        link.close()


def test_the_link_carries_large_messages_whole(pair: tuple[Link, Link]) -> None:
    one, other = pair
    message = {"text": "x" * 3_000_000}
    sender = threading.Thread(target=one.send, args=(message,), kwargs={"within_seconds": 20.0})
    sender.start()
    assert other.receive(within_seconds=20.0) == message
    sender.join()


def test_an_answer_to_an_older_question_is_passed_over(pair: tuple[Link, Link]) -> None:
    one, other = pair
    with pytest.raises(LinkSilent):
        one.ask("append", {}, within_seconds=0.05)
    other.send({"answer": 1, "seq": 7}, within_seconds=1.0)
    other.send({"answer": 2, "seq": 8}, within_seconds=1.0)
    assert one.ask("append", {}, within_seconds=1.0)["seq"] == 8


def test_the_end_of_the_other_side_and_nonsense_are_told(pair: tuple[Link, Link]) -> None:
    one, other = pair
    os.write(other.fileno(), b"not json\n")
    with pytest.raises(LinkLost, match="not JSON"):
        one.receive(within_seconds=1.0)
    other.close()
    with pytest.raises(LinkLost, match="closed"):
        one.receive(within_seconds=1.0)
