"""`lontra worker` as a service manager meets it: real processes, real signals."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from knowledge_base import Store, upgrade
from lontra.home import Home
from targets.clock import ManualClock, SystemClock
from tests.tuner.scripted import Scripted, request

DEADLINE_SECONDS = 90


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[Scripted]:
    """A session whose worker is another process."""
    url = Home.find(tmp_path).database_url
    upgrade(url)
    with Store.open(url) as store:
        ring = Scripted(store, ManualClock(SystemClock().now()))
        ring.target(deterministic=True)
        yield ring


@pytest.fixture
def worker(ring: Scripted, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A worker with one process to compute in, where a suggestion was computed already."""
    session = ring.service.start(request())
    command = [sys.executable, "-m", "lontra.cli", "--home", str(tmp_path), "worker"]
    with subprocess.Popen(
        [*command, "--processes", "1", "--poll-seconds", "0.05"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "worker ready\n"
            until(lambda: ring.answer() is not None)
            until(lambda: len(ring.store.trials.all(session.id)) == 2)
            yield process
        finally:
            process.kill()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_ends_in_order_when_told(worker: subprocess.Popen[str], stop: int) -> None:
    computing = psutil.Process(worker.pid).children(recursive=True)
    assert computing
    for process in (worker, *computing):  # as a terminal and systemd do: to the whole group
        process.send_signal(stop)
    _, errors = worker.communicate(timeout=30)
    assert (worker.returncode, errors) == (0, "")
    assert psutil.wait_procs(computing, timeout=20)[1] == []


def test_a_killed_worker_leaves_no_process_behind(worker: subprocess.Popen[str]) -> None:
    computing = psutil.Process(worker.pid).children(recursive=True)
    assert computing
    worker.kill()
    worker.wait(timeout=10)
    assert psutil.wait_procs(computing, timeout=20)[1] == []


def test_a_worker_whose_process_was_killed_says_so(
    worker: subprocess.Popen[str], ring: Scripted
) -> None:
    for process in psutil.Process(worker.pid).children(recursive=True):
        if "spawn_main" in " ".join(process.cmdline()):
            process.kill()
    assert ring.answer() is not None
    _, errors = worker.communicate(timeout=DEADLINE_SECONDS)
    assert worker.returncode == 1
    assert "start the worker again" in errors and "Traceback" not in errors
    assert all(not session.state.ended for session in ring.store.sessions.list().items)
