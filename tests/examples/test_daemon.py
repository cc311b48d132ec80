"""examples/daemon: the daemon does what its README says, and its TOML file makes an adapter."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from targets.adapter import Adapter
from targets.command.adapter import CommandAdapter
from targets.errors import TargetDown, WorkloadFailed
from targets.testing import AdapterContract

EXAMPLE = Path(__file__).parents[2] / "examples" / "daemon"


def ask(folder: Path, act: str, *options: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "client.py", "run", act, *options]
    return subprocess.run(argv, cwd=folder, check=False, capture_output=True, text=True)


def running(folder: Path) -> dict[str, Any]:
    return json.loads(ask(folder, "status").stdout)["running"]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A copy of the example with its daemon running."""
    copy = tmp_path / "daemon"
    shutil.copytree(EXAMPLE, copy, ignore=shutil.ignore_patterns("run", "__pycache__"))
    toml = copy / "daemon.toml"
    toml.write_text(toml.read_text().replace('"--seconds", "2"', '"--seconds", "0.3"'))
    (copy / "run").mkdir()
    daemon = subprocess.Popen([sys.executable, "batchd.py", "run"], cwd=copy)
    deadline = time.monotonic() + 30
    while ask(copy, "status").returncode != 0:
        assert time.monotonic() < deadline, "batchd does not come up"
        time.sleep(0.05)
    yield copy
    daemon.terminate()
    assert daemon.wait(10) == 0


@pytest.fixture
def adapter(folder: Path, tmp_path: Path) -> Iterator[Adapter]:
    made = CommandAdapter({"file": str(folder / "daemon.toml")}, tmp_path / "work")
    yield made
    made.close()


class TestDaemon(AdapterContract):
    configurations = 2

    @pytest.fixture(autouse=True)
    def _daemon(self, folder: Path) -> None:
        self.folder = folder

    def make_adapter(self, workdir: Path) -> Adapter:
        return CommandAdapter({"file": str(self.folder / "daemon.toml")}, workdir / "work")

    def sample(self, space: Any, rng: Any) -> dict[str, Any]:
        """Without the traps, in which the daemon is rightly found unhealthy."""
        chosen = super().sample(space, rng)
        return chosen | {"queue_limit": 100, "flush_interval_ms": 1 + 10 * rng.random()}


def test_status_tells_what_it_runs_with_not_what_the_file_says(folder: Path) -> None:
    before = running(folder)
    (folder / "run" / "batchd.conf").write_text("batch_records = 7\n")
    assert running(folder) == before
    assert ask(folder, "reload").returncode == 0
    assert running(folder) == {**before, "batch_records": 7}


@pytest.mark.parametrize("line", ["batch_records = 0", "no_such = 1", "queue_limit = many"])
def test_bad_file_is_refused_whole(folder: Path, line: str) -> None:
    before = running(folder)
    (folder / "run" / "batchd.conf").write_text(f"cache_blocks = 9\n{line}\n")
    reloaded = ask(folder, "reload")
    assert reloaded.returncode != 0
    assert "batchd refuses" in reloaded.stderr
    assert running(folder) == before


def test_change_by_hand_is_read_back(folder: Path, adapter: Adapter) -> None:
    before = adapter.read()
    (folder / "run" / "batchd.conf").write_text("batch_records = 7\n")
    assert adapter.read() == before, "it does not run with the file yet"
    ask(folder, "reload")
    assert adapter.read() == {**before, "batch_records": 7}


def test_a_batch_that_never_fills_up_makes_it_unhealthy(adapter: Adapter) -> None:
    snapshot = adapter.snapshot()
    with pytest.raises(TargetDown, match="timed out"):
        adapter.apply({**adapter.read(), "batch_records": 200, "flush_interval_ms": 10_000.0})
    assert "timed out" in adapter.healthy()
    adapter.restore(snapshot)
    assert adapter.healthy() == ""


def test_a_short_queue_turns_clients_away(adapter: Adapter) -> None:
    adapter.apply({**adapter.read(), "batch_records": 4, "queue_limit": 1})
    with pytest.raises(WorkloadFailed, match="busy"):
        adapter.measure()


def test_reads_answer_what_was_written_last(folder: Path) -> None:
    """Through batches, compression and the cache."""
    (folder / "run" / "batchd.conf").write_text("batch_records = 3\ncache_blocks = 2\n")
    ask(folder, "reload")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(short_path(folder))
        answers = connection.makefile("rb")

        def say(**request: str) -> dict[str, Any]:
            connection.sendall(json.dumps(request).encode() + b"\n")
            return json.loads(answers.readline())

        for turn in range(3):
            for key in "abcdef":
                assert say(do="put", key=key, value=f"{key}{turn}") == {}
                assert say(do="get", key=key) == {"value": f"{key}{turn}"}
        assert [say(do="get", key=key)["value"] for key in "abcdef"] == [f"{k}2" for k in "abcdef"]
        assert "error" in say(do="get", key="zebra")


def short_path(folder: Path) -> str:
    """The socket's path by a descriptor: a socket's own path is 107 bytes at most."""
    return f"/proc/self/fd/{os.open(folder / 'run', os.O_PATH)}/batchd.sock"
