"""The watchdog and restoring, each against processes that behave badly on purpose."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from targets.agent.journal import Journal, Kind, read_journal
from targets.agent.lock import FileLock
from targets.agent.recovery import Standing
from targets.agent.statedir import StateDir

pytestmark = pytest.mark.survival

AGENT = """
import json, os, sys, threading, time
from pathlib import Path
from targets.agent.control import Control, opened_fields
from targets.agent.lock import AgentLock
from targets.agent.statedir import StateDir
from targets.agent.watch import Watch
from targets.registry import load_adapter

state = StateDir(Path(sys.argv[1]))
state.create()
watch = Watch(state, dead_man_seconds=1.0)
watch.start()
adapter = load_adapter("simulated")({}, state.target)
control = Control(adapter, watch)
control.open(opened_fields(adapter="simulated", settings={}, workdir=state.target, died_in=None))
changed = {**control.safe.configuration, "buffer": 40}
control.apply(changed, trial=1, epoch=1, limit_seconds=60.0)

def beat():
    while True:
        watch.beat()
        time.sleep(0.1)

def busy():
    end = time.monotonic() + 60
    while time.monotonic() < end:
        sum(range(10000))

print(json.dumps({"watchdog": watch.pid}), flush=True)
exec_mode = sys.argv[2]
if exec_mode == "hang-with-beats":
    threading.Thread(target=beat, daemon=True).start()
    watch.phase("measure", 1.0)
    time.sleep(600)
if exec_mode == "no-beats":
    time.sleep(600)
if exec_mode == "busy-without-beats":
    watch.phase("measure", 3.0)
    busy()
if exec_mode == "child-keeps-the-link":
    if os.fork() == 0:
        print("child", os.getpid(), flush=True)
        time.sleep(600)
    threading.Thread(target=beat, daemon=True).start()
    time.sleep(600)
"""


class Rogue:
    """An agent that behaves badly, and its watchdog."""

    def __init__(self, state: StateDir, mode: str) -> None:
        self.state = state
        self.process = subprocess.Popen(
            [sys.executable, "-c", AGENT, str(state.root), mode], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.watchdog = json.loads(self.process.stdout.readline())["watchdog"]

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def restored(self) -> bool:
        return json.loads((self.state.target / "state.json").read_text())["buffer"] == 5

    def kinds(self) -> list[Kind]:
        return [record.kind for record in read_journal(self.state.journal).records]


@pytest.fixture
def rogue(state_dir: Path) -> Iterator[Callable[[str], Rogue]]:
    started = []

    def start(mode: str) -> Rogue:
        started.append(Rogue(StateDir(state_dir), mode))
        return started[-1]

    yield start
    for rogue in started:
        rogue.process.kill()
        rogue.process.communicate()


def test_a_hung_main_thread_with_live_beats_is_killed_at_its_phases_limit(
    rogue: Any, eventually: Any
) -> None:
    hung = rogue("hang-with-beats")
    eventually(hung.restored)
    assert hung.process.wait(5) == -signal.SIGKILL
    eventually(lambda: hung.kinds()[-2:] == [Kind.KILLED, Kind.RESTORED])
    killed = read_journal(hung.state.journal).records[-2].fields
    assert killed == {"reason": "measure did not end within its limit", "hung": True}


def test_an_agent_without_beats_is_killed(rogue: Any, eventually: Any) -> None:
    silent = rogue("no-beats")
    eventually(silent.restored)
    assert silent.process.wait(5) == -signal.SIGKILL
    eventually(lambda: silent.kinds()[-1] is Kind.RESTORED)
    assert not read_journal(silent.state.journal).records[-2].fields["hung"]


def test_an_agent_that_computes_within_a_limited_phase_is_let_be_until_the_limit(
    rogue: Any, eventually: Any
) -> None:
    busy = rogue("busy-without-beats")
    with pytest.raises(subprocess.TimeoutExpired):
        busy.process.wait(1.8)
    assert not busy.restored()
    eventually(busy.restored)
    assert busy.process.wait(5) == -signal.SIGKILL


def test_a_child_of_the_agent_that_keeps_the_link_open_hides_no_death(
    rogue: Any, eventually: Any
) -> None:
    forking = rogue("child-keeps-the-link")
    child = int(forking.line().split()[1])
    try:
        forking.process.kill()
        eventually(forking.restored)
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.fixture
def left_behind(state_dir: Path) -> StateDir:
    """A state directory as a power cut in a trial leaves it."""
    state = StateDir(state_dir)
    state.create()
    safe = {"buffer": 5, "cache": 5, "timeout": 2, "prefetch": False, "depth": 1, "policy": "fifo",
            "ratio": 0.05, "effort": "off", "window": 0}  # fmt: skip
    changed = {**safe, "buffer": 40}
    (state.target / "state.json").write_text(json.dumps(changed))
    journal = Journal(state.journal)
    journal.open()
    journal.append(
        Kind.OPENED,
        {
            "adapter": "simulated",
            "settings": {},
            "workdir": str(state.target),
            "cwd": str(Path.cwd()),
            "died_in": None,
            "snapshot": {"configuration": safe, "data": {}},
        },
    )
    journal.append(Kind.INTENT, {"trial": 1, "epoch": 1, "configuration": changed})
    journal.close()
    return state


def restore(state: StateDir, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "targets.agent.restore", "--state-dir", str(state.root)]
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def buffer(state: StateDir) -> int:
    return int(json.loads((state.target / "state.json").read_text())["buffer"])


def test_restore_puts_back_records_it_and_is_then_done(left_behind: StateDir) -> None:
    plan = restore(left_behind, "--print")
    assert plan.returncode == 0
    assert json.loads(plan.stdout)["snapshot"]["configuration"]["buffer"] == 5
    assert buffer(left_behind) == 40, "--print changes nothing"

    done = restore(left_behind)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["restored"] is True
    assert buffer(left_behind) == 5
    assert not Standing.of(read_journal(left_behind.journal)).dirty

    (left_behind.target / "state.json").unlink()
    again = restore(left_behind)
    assert json.loads(again.stdout) == {"restored": False, "in_force": None}
    assert not (left_behind.target / "state.json").exists(), "nothing to do, nothing done"


def test_restore_says_when_it_cannot(left_behind: StateDir, tmp_path: Path) -> None:
    empty = restore(StateDir(tmp_path / "nothing"))
    assert empty.returncode == 2
    assert "no agent's state directory" in empty.stderr

    lock = FileLock(left_behind.agent_lock)
    assert lock.take()
    held = restore(left_behind)
    lock.release()
    assert held.returncode == 3
    assert buffer(left_behind) == 40

    first = left_behind.journal.read_bytes().splitlines(keepends=True)
    left_behind.journal.write_bytes(first[0].replace(b"fifo", b"lifo") + first[1])
    unreadable = restore(left_behind)
    assert unreadable.returncode == 2
    assert "no readable record of the safe configuration" in unreadable.stderr


def test_restore_goes_by_what_can_be_read_of_a_damaged_journal(left_behind: StateDir) -> None:
    lines = left_behind.journal.read_bytes().splitlines(keepends=True)
    left_behind.journal.write_bytes(lines[0] + lines[1].replace(b"40", b"41"))
    assert restore(left_behind).returncode == 0
    assert buffer(left_behind) == 5


def test_a_damaged_journal_is_replaced_once_the_target_is_safe(
    left_behind: StateDir, make_agent: Any, server: Any
) -> None:
    with left_behind.journal.open("ab") as file:
        file.write(b"damage\n")
    make_agent(settings={})
    assert buffer(left_behind) == 5
    assert read_journal(left_behind.journal).damage == ()
    assert (left_behind.root / "journal.jsonl.damaged").read_bytes().endswith(b"damage\n")


def test_two_restorings_do_not_run_at_once(
    left_behind: StateDir, awkward: Any, eventually: Any
) -> None:
    lock = FileLock(left_behind.restore_lock)
    assert lock.take()
    command = [sys.executable, "-m", "targets.agent.restore", "--state-dir", str(left_behind.root)]
    waiting = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(1.0)
    assert buffer(left_behind) == 40
    lock.release()
    assert waiting.wait(30) == 0
    waiting.communicate()
    assert buffer(left_behind) == 5


def test_a_relative_setting_is_meant_from_where_the_agent_was_started(
    left_behind: StateDir, tmp_path: Path
) -> None:
    reading = read_journal(left_behind.journal)
    opened = {**reading.records[0].fields, "cwd": str(tmp_path), "workdir": "state/target"}
    journal = Journal(left_behind.journal)
    journal.open()
    journal.compact((Kind.OPENED, opened), (Kind.INTENT, reading.records[1].fields))
    journal.close()
    assert restore(left_behind).returncode == 0
    assert buffer(left_behind) == 5
