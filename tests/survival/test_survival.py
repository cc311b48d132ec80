"""The survival campaign in short and in full, as programs; and the parts it judges by.

The table is printed: run pytest with `-s` to see it grow.
"""

from __future__ import annotations

import importlib
import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
CAMPAIGN = HERE / "campaign.py"

SAFE = {"batch_records": 1}
UNSAFE = {"batch_records": 200}


def carry_out(tmp_path: Path, *options: str) -> list[dict[str, Any]]:
    """Run the campaign; the table's lines. Its own table goes to the terminal."""
    table = tmp_path / "table.json"
    command = [sys.executable, str(CAMPAIGN), *options, "--json", str(table)]
    with subprocess.Popen(command) as program:
        try:
            status = program.wait()
        finally:
            program.send_signal(signal.SIGTERM)
    assert status == 0, table.read_text() if table.exists() else "it did not come to its end"
    told = json.loads(table.read_text())
    assert told["sessions"] >= 1
    lines: list[dict[str, Any]] = told["runs"]
    return lines


@pytest.mark.survival
@pytest.mark.timeout(600)
def test_the_daemon_survives_each_sort_of_blow(tmp_path: Path) -> None:
    lines = carry_out(tmp_path, "--short")
    assert len(lines) >= 6
    assert max(line["safe_after_seconds"] for line in lines) <= 15


@pytest.mark.survival
@pytest.mark.slow
@pytest.mark.timeout(5400)
def test_the_daemon_survives_the_whole_campaign(tmp_path: Path) -> None:
    lines = carry_out(tmp_path, "--runs", "66")
    assert len(lines) >= 60
    assert max(line["safe_after_seconds"] for line in lines) <= 15


# -- the plan


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(HERE))
    yield importlib.import_module("plan")
    del sys.modules["plan"]


def test_the_campaign_aims_at_every_record_and_every_part(plan: Any) -> None:
    runs = plan.campaign(66, random.Random(1))
    assert len(runs) == 66
    assert {run.at for run in runs} >= {
        *("opened", "intent", "set", "read-back", "measured", "finished"),
        *("restored", "promoting", "promoted", "killed", "closed", "random"),
    }
    for blow in (signal.SIGKILL, signal.SIGSTOP):
        alone = {run.blows[0].victim for run in runs if len(run.blows) == 1
                 and run.blows[0].signal == blow}  # fmt: skip
        assert alone == {"agent", "watchdog", "worker", "server"}
    assert any(len(run.blows) == 4 for run in runs)
    assert runs == plan.campaign(66, random.Random(1))
    assert len({str(run) for run in runs if run.at != "random"}) == sum(
        run.at != "random" for run in runs
    )


# -- the inspector


class FakeDaemon:
    """Answers `status` with what it is told to run with."""

    def __init__(self, folder: Path) -> None:
        self.running = SAFE
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / "batchd.sock"))
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection, connection.makefile("rb") as requests:
            for _ in requests:
                connection.sendall(json.dumps({"running": self.running}).encode() + b"\n")


class Inspected:
    """A fake daemon and a journal under the eyes of the real inspector."""

    def __init__(self, folder: Path) -> None:
        self.daemon = FakeDaemon(folder)
        self._journal = folder / "journal.jsonl"
        self._seq = 0
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "inspector.py"), str(folder), str(self._journal)],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.said: list[dict[str, Any]] = []
        threading.Thread(target=self._listen, daemon=True).start()
        self.await_last(safe=True)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said.append(json.loads(line))

    def journal(self, kind: str, **fields: Any) -> None:
        self._seq += 1
        with self._journal.open("a") as file:
            file.write(json.dumps({"seq": self._seq, "kind": kind, **fields}) + "\n")

    def await_last(self, **wanted: Any) -> None:
        self.await_that(lambda: bool(self.said) and wanted.items() <= self.said[-1].items())

    def await_that(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < deadline, self.said
            time.sleep(0.01)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def inspected() -> Iterator[Inspected]:
    """In a folder whose path is short, as a socket's must be."""
    with tempfile.TemporaryDirectory(prefix="lontra-") as folder:
        made = Inspected(Path(folder))
        yield made
        made.close()


def test_only_what_was_there_before_is_safe(inspected: Inspected) -> None:
    inspected.daemon.running = UNSAFE
    inspected.await_last(safe=False, running=UNSAFE)
    inspected.daemon.running = SAFE
    inspected.await_last(safe=True)


def test_a_promotion_is_safe_once_it_is_promoted(inspected: Inspected) -> None:
    inspected.daemon.running = UNSAFE
    inspected.await_last(safe=False)
    inspected.journal("promoting", configuration=UNSAFE)
    inspected.await_last(safe=True)
    inspected.journal("promoted", snapshot={"configuration": UNSAFE})
    inspected.daemon.running = SAFE
    inspected.await_last(safe=False, running=SAFE)


def test_a_promotion_that_was_undone_is_not_safe(inspected: Inspected) -> None:
    inspected.journal("promoting", configuration=UNSAFE)
    inspected.journal("restored", in_force=SAFE)
    inspected.daemon.running = UNSAFE
    inspected.await_last(safe=False)


def test_an_agent_that_takes_a_trial_for_safe_is_at_fault(inspected: Inspected) -> None:
    inspected.journal("opened", snapshot={"configuration": SAFE})
    inspected.journal("opened", snapshot={"configuration": UNSAFE})
    inspected.await_that(
        lambda: any("for safe" in said.get("fault", "") for said in inspected.said)
    )
    assert sum("fault" in said for said in inspected.said) == 1
