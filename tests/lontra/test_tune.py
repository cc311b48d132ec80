"""`lontra tune` as a user meets it: real processes, a real watchdog, a real knowledge base."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPORT_KEYS = {
    "target", "objective", "workload", "trials", "baseline", "incumbent", "confirmation",
    "reference_lines", "recommender", "seed", "versions",
}  # fmt: skip
TRIAL_KEYS = {
    "number", "state", "failure", "configuration", "in_force", "value", "seconds", "reason",
}  # fmt: skip


def command(home: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "lontra.cli", "--home", str(home), *arguments]


def lontra(home: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(home, *arguments),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        **options,
    )


def test_a_whole_session_on_this_machine(tmp_path: Path) -> None:
    out = tmp_path / "r.json"
    run = lontra(tmp_path, "tune", "simulated", "--trials", "12", "--seed", "1", "--json", str(out))
    assert run.returncode == 0, run.stderr
    report = json.loads(out.read_text())
    assert report.keys() >= REPORT_KEYS
    assert all(trial.keys() >= TRIAL_KEYS for trial in report["trials"])
    assert len(report["trials"]) == 13
    assert report["confirmation"]["pairs"] >= 12
    assert report["confirmation"]["verdict"] in run.stdout.lower()
    assert "serve" in run.stdout and "/sessions/1" in run.stdout

    again = lontra(tmp_path, "report", "1", "--json")
    assert json.loads(again.stdout) == report
    listed = lontra(tmp_path, "sessions", "list")
    assert "finished" in listed.stdout
    replayed = lontra(tmp_path, "sessions", "replay", "1")
    assert replayed.returncode == 0, replayed.stdout
    assert "12 of 12" in replayed.stdout

    exported = tmp_path / "history.jsonl"
    assert lontra(tmp_path, "export", str(exported)).returncode == 0
    other = tmp_path / "other"
    assert lontra(other, "db", "upgrade").returncode == 0
    assert lontra(other, "import", str(exported)).returncode == 0
    assert json.loads(lontra(other, "report", "1", "--json").stdout) == report


def test_a_limit_forbids_the_best_and_a_front_is_told(tmp_path: Path) -> None:
    out = tmp_path / "r.json"
    run = lontra(tmp_path, "tune", "simulated", "--trials", "14", "--seed", "2", "--json", str(out),
                 "--recommender", "random", "--objective", "throughput", "--objective", "memory",
                 "--limit", "memory<=400", "--limit", "latency_ms_p99<=1.2x")  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "throughput and memory within memory<=400 MiB, latency_ms_p99<=1.2x," in run.stdout
    assert "BREAKS memory<=400 MiB with" in run.stdout and "Front: none of these" in run.stdout
    report = json.loads(out.read_text())
    measured = [trial for trial in report["trials"] if trial["value"] is not None]
    assert max(measured, key=lambda trial: trial["value"])["breaks"], "else nothing is forbidden"
    [named] = [t for t in measured if t["number"] == report["incumbent"]["trial"]]
    assert not named["breaks"] and named["measured"]["memory"] <= 400
    assert report["front"]["points"][0]["trial"] == named["number"]
    assert report["limits"][1]["bound"] == 1.2 * measured[0]["measured"]["latency_ms_p99"]
    replayed = lontra(tmp_path, "sessions", "replay", "1")
    assert replayed.returncode == 0 and "14 of 14" in replayed.stdout
    exported, other = tmp_path / "history.jsonl", tmp_path / "other"
    assert lontra(tmp_path, "export", str(exported)).returncode == 0
    assert lontra(other, "db", "upgrade").returncode == 0
    assert lontra(other, "import", str(exported)).returncode == 0
    assert json.loads(lontra(other, "report", "1", "--json").stdout) == report


def test_the_target_is_left_as_it_was_found(tmp_path: Path) -> None:
    first = lontra(tmp_path, "tune", "simulated", "--trials", "6", "--seed", "1", "--json",
                   str(tmp_path / "1.json"))  # fmt: skip
    second = lontra(tmp_path, "tune", "simulated", "--trials", "6", "--seed", "2", "--json",
                    str(tmp_path / "2.json"))  # fmt: skip
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    reports = [json.loads((tmp_path / f"{n}.json").read_text()) for n in (1, 2)]
    assert reports[0]["baseline"]["configuration"] == reports[1]["baseline"]["configuration"]


def test_promote_leaves_a_confirmed_configuration_in_force(tmp_path: Path) -> None:
    run = lontra(tmp_path, "tune", "simulated", "--trials", "15", "--seed", "1", "--promote",
                 "--set", "noise=0.01", "--json", str(tmp_path / "1.json"))  # fmt: skip
    assert run.returncode == 0, run.stderr
    first = json.loads((tmp_path / "1.json").read_text())
    assert first["confirmation"]["verdict"] == "better"
    lontra(tmp_path, "tune", "simulated", "--trials", "2", "--seed", "2",
           "--set", "noise=0.01", "--json", str(tmp_path / "2.json"))  # fmt: skip
    second = json.loads((tmp_path / "2.json").read_text())
    assert second["baseline"]["configuration"] == first["incumbent"]["configuration"]


@pytest.mark.parametrize(
    "stop", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["ctrl-c", "term", "kill-9"]
)
def test_an_interrupted_session_goes_on_and_loses_nothing(
    tmp_path: Path, stop: signal.Signals
) -> None:
    arguments = (
        "tune",
        "simulated",
        "--trials",
        "12",
        "--seed",
        "4",
        "--set",
        "window_seconds=0.05",
    )
    with subprocess.Popen(
        command(tmp_path, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("trial   5"):
                process.send_signal(stop)
                break
        _, errors = process.communicate(timeout=60)
    if stop is not signal.SIGKILL:
        assert process.returncode == 130
        assert "--resume" in errors
    refused = lontra(tmp_path, *arguments)
    assert refused.returncode == 1
    assert "--resume" in refused.stderr

    out = tmp_path / "r.json"
    run = lontra(tmp_path, "tune", "simulated", "--resume", "--json", str(out))
    assert run.returncode == 0, run.stderr
    report = json.loads(out.read_text())
    numbers = [trial["number"] for trial in report["trials"]]
    assert numbers == sorted(set(numbers))
    spent = [t for t in report["trials"] if t["failure"] not in ("harness-failed", "cancelled")]
    assert len(spent) == 13
    assert report["seed"] == 4


def interrupted(home: Path, *arguments: str) -> str:
    """Begin, and Ctrl-C after the first trial; what was said on standard error."""
    with subprocess.Popen(
        command(home, "tune", "simulated", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("trial   1"):
                process.send_signal(signal.SIGINT)
                break
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    return errors


def test_a_refused_start_leaves_the_interrupted_session_its_settings(tmp_path: Path) -> None:
    interrupted(tmp_path, "--trials", "3", "--set", "landscape=7")
    refused = lontra(tmp_path, "tune", "simulated", "--trials", "3")
    assert refused.returncode == 1 and "--resume" in refused.stderr
    other = lontra(tmp_path, "tune", "sqlite", "--name", "simulated")
    assert other.returncode == 1 and "--name" in other.stderr
    changed = lontra(tmp_path, "tune", "simulated", "--resume", "--set", "landscape=8")
    assert changed.returncode == 1 and "landscape" in changed.stderr
    same = lontra(tmp_path, "tune", "simulated", "--resume", "--set", "landscape=7")
    assert same.returncode == 0, same.stderr


def test_a_resumed_session_needs_the_permissions_it_began_with(tmp_path: Path) -> None:
    settings = ("--set", "durability=true", "--name", "mine")
    said = interrupted(tmp_path, "--trials", "3", "--allow-durability", *settings)
    assert f"--home {tmp_path} tune simulated --resume --name mine --allow-durability" in said
    resume = ("tune", "simulated", "--resume", "--name", "mine")
    refused = lontra(tmp_path, *resume)
    assert refused.returncode == 1 and "--allow-durability" in refused.stderr
    assert lontra(tmp_path, *resume, "--allow-durability").returncode == 0


def test_a_report_that_cannot_be_written_is_printed_and_kept(tmp_path: Path) -> None:
    run = lontra(tmp_path, "tune", "simulated", "--trials", "1", "--quiet", "--json", "/dev/full")
    assert run.returncode == 1
    assert "Session 1" in run.stdout and "trial   1" not in run.stdout
    assert "/dev/full" in run.stderr and "lontra report 1 --json" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_knob_changed_by_hand_ends_the_session_and_stays(tmp_path: Path) -> None:
    arguments = ("tune", "simulated", "--trials", "30", "--set", "window_seconds=0.3")
    state = tmp_path / "agents" / "simulated" / "target" / "state.json"
    with subprocess.Popen(
        command(tmp_path, *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("trial   3"):
                break
        before = json.loads(state.read_text())
        by_hand = {**before, "timeout": before["timeout"] + 1}
        state.write_text(json.dumps(by_hand))
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "stood-down" in out and "timeout" in out
    after = json.loads(state.read_text())
    assert after["timeout"] == by_hand["timeout"]
    report = json.loads(lontra(tmp_path, "report", "1", "--json").stdout)
    safe = report["baseline"]["configuration"]
    assert {k: v for k, v in after.items() if k != "timeout"} == {
        k: v for k, v in safe.items() if k != "timeout"
    }
    assert report["state"] == "stood-down"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["tune", "nothing"], "nothing"),
        (["tune", "simulated", "--set", "noize=1"], "noise"),
        (["tune", "simulated", "--set", "noise"], "KEY=VALUE"),
        (["tune", "simulated", "--set", "noise=lots"], "noise"),
        (["tune", "simulated", "--objective", "fun"], "fun"),
        (["tune", "simulated", "--limit", "fun<=1"], "it measures: throughput, latency, memory"),
        (["tune", "simulated", "--recommender", "oracle"], "oracle"),
        (["tune", "simulated", "--pin", "nope=1"], "nope"),
        (["tune", "simulated", "--json", "/proc/no/r.json"], "/proc/no/r.json"),
        (["tune", "simulated", "--resume"], "--resume"),
        (["tune", "simulated", "--name", "../elsewhere"], "../elsewhere"),
        (["tune", "simulated", "--wall-seconds", "inf"], "wall_seconds=inf"),
        (["report", "7"], "db upgrade"),
    ],
)
def test_what_cannot_be_done_says_what_and_how_to_mend_it(
    tmp_path: Path, arguments: list[str], text: str
) -> None:
    run = lontra(tmp_path, *arguments)
    assert run.returncode in (1, 2)
    assert text in run.stderr
    assert "Traceback" not in run.stderr
