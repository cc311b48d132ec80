"""The command line as its user sees it: check, dry-run, status, uninstall, the unit."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from targets.agent.cli import main
from targets.agent.errors import NoStateDir
from targets.agent.statedir import StateDir
from targets.agent.uninstall import uninstall
from targets.agent.unit import MARK, unit_text

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def config(tmp_path: Path, state_dir: Path, loopback: str) -> Path:
    path = tmp_path / "agent.toml"
    path.write_text(
        f"""
        [server]
        url = "{loopback}"
        token = "lontra_00000000_secret"
        [agent]
        state_dir = "{state_dir}"
        [target]
        name = "box"
        adapter = "simulated"
        settings = {{ restart = true }}
        [policy]
        deny = ["cache"]
        bounds = {{ buffer = {{ high = 20 }} }}
        """
    )
    return path


@pytest.fixture
def run(config: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> tuple[int, str, str]:
        status = main([*arguments, "--config", str(config)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def test_check_tells_what_could_be_tuned_and_changes_nothing(
    run: Run, server: Any, state_dir: Path
) -> None:
    status, out, _ = run("--check")
    assert status == 0, out
    assert "8 knobs may be changed" in out.replace("  ", " ") or "knobs may be changed" in out
    assert "0..20 pages of 4 KiB" in out
    assert "denied by its owner" in out
    assert "needs a restart, and policy.allow_restart is false" in out
    assert not state_dir.exists()
    assert (server.registrations, server.heartbeats, server.events) == ([], [], [])


def test_check_as_json(run: Run) -> None:
    status, out, _ = run("--check", "--json")
    report = json.loads(out)
    assert status == 0
    assert {finding["name"]: finding["ok"] for finding in report["findings"]} == {
        "state_dir": True, "server": True, "token": True, "target": True,
    }  # fmt: skip
    withheld = {knob["name"] for knob in report["knobs"] if knob["withheld"]}
    assert withheld == {"cache", "engine"}


@pytest.mark.parametrize(
    ("old", "new", "finding", "told"),
    [
        ("lontra_00000000_secret", "wrong", "token", "lontra token create"),
        ('adapter = "simulated"', 'adapter = "simulatd"', "target", "did you mean simulated?"),
        ("restart = true", "knobs = 0", "target", "setting knobs=0 is outside"),
        ('deny = ["cache"]', 'deny = ["cahce"]', "target", "did you mean cache?"),
        ("http://127.0.0.1:", "http://127.0.0.1:1", "server", "does not answer"),
    ],
)
def test_check_tells_what_is_wrong_and_how_to_mend_it(
    run: Run, config: Path, old: str, new: str, finding: str, told: str
) -> None:
    text = config.read_text()
    if finding == "server":
        text = text.replace(text.split('url = "')[1].split('"')[0], "http://127.0.0.1:9")
    config.write_text(text.replace(old, new) if finding != "server" else text)
    status, out, _ = run("--check", "--json")
    assert status == 1
    found = {item["name"]: item for item in json.loads(out)["findings"]}[finding]
    assert not found["ok"]
    assert told in found["told"]
    assert "lontra_00000000_secret" not in out


def test_wrong_configuration_is_exit_status_2(run: Run, config: Path) -> None:
    config.write_text(config.read_text().replace("[agent]", "[agnet]"))
    status, _, err = run("--check")
    assert status == 2
    assert "did you mean agent?" in err


def test_dry_run_prints_what_would_be_sent(run: Run, server: Any, state_dir: Path) -> None:
    status, out, _ = run("--dry-run")
    plan = json.loads(out)
    assert status == 0
    registration = plan["would send"]["register"]
    assert registration["target"] == "box"
    assert registration["safe"]["buffer"] == 5
    assert "cache" in plan["would never change"]
    assert plan["would put back first"] is None
    assert not state_dir.exists()
    assert server.requests == 0
    assert "lontra_00000000_secret" not in out


def test_status_of_a_living_and_an_ended_agent(
    make_agent: Any, run: Run, server: Any, state_dir: Path
) -> None:
    agent = make_agent()
    server.assign({**server.registrations[0].safe, "buffer": 9})
    agent.step()
    status, out, _ = run("status", "--json")
    told = json.loads(out)
    assert status == 0
    assert told["running"]
    assert told["safe_in_force"] is False
    assert told["last_record"]["kind"] == "finished"
    agent.stop("done")
    status, out, _ = run("status")
    assert status == 1
    assert "safe in force    yes" in out


def test_status_of_no_state_directory_says_so(run: Run) -> None:
    status, _, err = run("status")
    assert status == 1
    assert "no agent's state directory" in err


@pytest.mark.survival
def test_uninstall_stops_restores_and_removes(
    start_daemon: Any, server: Any, eventually: Any, state_dir: Path, tmp_path: Path
) -> None:
    daemon = start_daemon(window_seconds=0.01)
    eventually(lambda: server.registrations)
    server.assign({**server.registrations[0].safe, "buffer": 9})
    eventually(lambda: server.results)
    unit = tmp_path / "lontra-agent.service"
    unit.write_text("[Unit]\nDescription=somebody else's\n")
    steps: list[str] = []
    uninstall(StateDir(state_dir), tell=steps.append, unit=unit)
    assert daemon.process.wait(5) == 0
    assert not state_dir.exists()
    told = "\n".join(steps)
    for step in ("stopped", "restored", "uninstalled", "removed"):
        assert step in told
    assert "not made by" in told
    assert unit.exists()


@pytest.mark.survival
def test_uninstall_restores_what_a_dead_agent_left(
    make_agent: Any, awkward: Any, server: Any, state_dir: Path, tmp_path: Path
) -> None:
    from targets.agent.policy import OnExit, Policy

    agent = make_agent(adapter="awkward", policy=Policy(on_exit=OnExit.KEEP))
    server.assign({**server.registrations[0].safe, "buffer": 9})
    agent.step()
    _, journal = StateDir(state_dir), (state_dir / "journal.jsonl").read_bytes()
    agent.stop("done")
    (state_dir / "journal.jsonl").write_bytes(journal)
    (state_dir / "notes.txt").write_text("a person's")
    steps: list[str] = []
    uninstall(StateDir(state_dir), tell=steps.append, unit=tmp_path / "none.service")
    assert (tmp_path / "uninstalled").read_text() == "5", "restored first, uninstalled then"
    assert [path.name for path in state_dir.iterdir()] == ["notes.txt"]
    assert "it holds notes.txt" in steps[-1]


def test_uninstall_touches_no_other_folder(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "journal.jsonl").write_text("x")
    with pytest.raises(NoStateDir):
        uninstall(StateDir(precious), tell=print)
    assert (precious / "journal.jsonl").read_text() == "x"


def test_the_unit_is_filled_in(run: Run, config: Path, state_dir: Path) -> None:
    status, out, _ = run("print-unit")
    assert status == 0
    assert out.startswith(MARK)
    assert "@" not in out.replace("@system-service", "")
    assert f"run --config {config}" in out
    assert "ExecStopPost=" in out
    assert f"restore --state-dir {state_dir}" in out


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_takes_the_unit_and_finds_it_hardened(tmp_path: Path) -> None:
    unit = tmp_path / "lontra-agent.service"
    unit.write_text(unit_text(config=Path("/etc/lontra/agent.toml"), state_dir=Path("/var/lib/x")))
    verified = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert verified.returncode == 0, verified.stderr
    assert "lontra-agent.service" not in verified.stderr, verified.stderr
    exposure = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=40", str(unit)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert exposure.returncode == 0, exposure.stdout[-400:] + exposure.stderr


def test_help_shows_examples() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "targets.agent", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    for text in ("--check", "uninstall", "print-unit", "examples:", "exit status:"):
        assert text in shown.stdout


@pytest.mark.survival
def test_a_daemon_whose_server_refuses_it_ends_with_the_reason(
    start_daemon: Any, server: Any, refusal: Any
) -> None:
    server.problem = refusal
    daemon = start_daemon()
    assert daemon.wait() == 1
    assert "another agent holds box" in daemon.log.read_text()


@pytest.mark.survival
def test_systemd_is_told_when_the_agent_is_ready_alive_and_stopping(
    start_daemon: Any, server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(15.0)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        daemon = start_daemon()
        said = set()
        while said < {"READY=1", "WATCHDOG=1"}:
            said.add(manager.recv(100).decode())
        daemon.signal(signal.SIGTERM)
        while "STOPPING=1" not in said:
            said.add(manager.recv(100).decode())
        assert daemon.wait() == 0
