"""`lontra bench` as its users meet it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lontra.cli import main
from tests.tuner.replay_tables import bowl

SMALL = ("--seeds", "2", "--budget", "12", "--jobs", "1")
QUICK = ("--recommenders", "random", "--peers", "random", *SMALL)
DEADLINE_SECONDS = 60


def bench(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["bench", *map(str, arguments)])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    bowl(folder, "one")
    bowl(folder, "two", family="other", complete=False)
    bowl(folder / "transfer", "g__far", transfer_group="g", role="target")
    bowl(folder / "transfer", "g__near", transfer_group="g", role="source")
    return folder


def test_help_teaches() -> None:
    assert "lontra bench replay --data tables" in bench("--help").output
    for command in ("replay", "report", "reach", "tables", "peers", "convert"):
        result = bench(command, "--help")
        assert result.exit_code == 0 and len(result.output) > 100


def test_replay_prints_keeps_and_draws(data: Path, tmp_path: Path) -> None:
    out, html = tmp_path / "runs.csv", tmp_path / "page.html"
    result = bench("replay", "--data", data, *QUICK, "--out", out, "--html", html)
    assert result.exit_code == 0, result.output
    for word in ("cold, no noise", "all tables (2 tables)", "complete tables", "toy", "other"):
        assert word in result.output
    assert "regret at 10" in result.output and "regret at 12" in result.output
    assert "8 of 8 runs" in result.stderr
    assert len(out.read_text().splitlines()) == 9
    assert "<svg" in html.read_text()

    again = bench("replay", "--data", data, *QUICK, "--out", out)
    assert "runs" not in again.stderr
    assert again.output.splitlines()[:12] == result.stdout.splitlines()[:12]
    assert len(out.read_text().splitlines()) == 9


def test_report_prints_the_same_again(data: Path, tmp_path: Path) -> None:
    out, page = tmp_path / "runs.csv", tmp_path / "page.md"
    first = bench("replay", "--data", data, *QUICK, "--out", out)
    result = bench("report", out, "--markdown", page)
    assert result.stdout == first.stdout
    assert "| contestant | seeds |" in page.read_text()
    only = bench("report", out, "--only", "peer:random", "--tasks", "one", "--per-task")
    assert "random/explore" not in only.output and "two" not in only.output
    assert bench("report", out, "--only", "nobody").exit_code == 1


def test_history_and_noise(data: Path) -> None:
    result = bench(
        "replay", "--data", data, "--history", 6, "--mislead", "add", "--noise", 0.1,
        "--recommenders", "random", "--peers", "warm-tpe", *SMALL,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "history of 6 rows a source, a misleading source added, noise 0.1" in result.output
    assert "all tables" in result.output and "2 tables" not in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--peers", "hbo"), "peer 'hbo' is none of"),
        (("--peers", "hebo"), "--peer-python hebo=/path/to/python"),
        (("--recommenders", "outo"), "did you mean auto?"),
        (("--recommenders", "random:speed=9"), "has no setting speed"),
        (("--tasks", "three"), "table 'three' is none of g__far, g__near, one, two"),
        (("--mislead", "only"), "--mislead needs --history"),
        (("--peer-python", "hebo"), "write NAME=PYTHON"),
        (("--reference", "peer:smac"), "reference peer:smac has no runs"),
    ],
)
def test_what_cannot_be_run_is_said(data: Path, arguments: tuple[str, ...], said: str) -> None:
    result = bench("replay", "--data", data, *QUICK, *arguments)
    assert result.exit_code in (1, 2)
    assert said in result.output
    assert "Traceback" not in result.output


def test_somebody_has_to_run(data: Path) -> None:
    result = bench("replay", "--data", data, *SMALL, "--recommenders", "", "--peers", "")
    assert result.exit_code == 2
    assert "nobody to run" in result.output


def test_a_broken_peer_does_not_take_the_others_along(data: Path) -> None:
    result = bench(
        "replay", "--data", data, *SMALL, "--recommenders", "random", "--peers", "hebo",
        "--peer-python", f"hebo={data / 'no-python'}",
    )  # fmt: skip
    assert result.exit_code == 1
    assert "4 of 8 runs broke off" in result.output
    assert "peer:hebo on one, seed 0" in result.output
    assert "all tables (2 tables)" in result.output


def test_a_worker_that_is_killed_is_said_without_a_traceback(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object, **__: object) -> None:
        raise BrokenProcessPool("a child was terminated abruptly")

    monkeypatch.setattr("tuner.benchmark.run_all", dies)
    result = bench("replay", "--data", data, *QUICK)
    assert result.exit_code == 1
    assert "a process of the benchmark died" in result.output


def test_tables_are_listed(data: Path) -> None:
    lines = bench("tables", "--data", data).output.splitlines()
    assert [line.split()[0] for line in lines] == ["table", "g__far", "g__near", "one", "two"]
    assert "target of g" in lines[1]
    assert "cache" in bench("tables").output


def test_peers_are_listed() -> None:
    output = bench("peers").output
    assert "optuna-tpe-mv" in output and "ready" in output and "needs --peer-python" in output


def test_a_csv_file_becomes_a_table_and_is_replayed(tmp_path: Path) -> None:
    rows = [f"{size},{mode},{abs(size - 4) + len(mode)}" for size in range(8) for mode in "ab"]
    file = tmp_path / "runs.csv"
    file.write_text("\n".join(["size,mode,latency", *rows, "8,a,failed"]))
    out = tmp_path / "tables"
    made = bench("convert", "csv", file, "--objective", "latency", "--complete", "--out", out)
    assert made.exit_code == 0, made.output
    assert "17 configurations, 1 of them failed" in made.output
    assert "size: ordinal 0, 1, 2" in made.output
    result = bench("replay", "--data", out, *QUICK)
    assert result.exit_code == 0 and "complete tables" in result.output


def test_a_wrong_file_is_said_in_a_line(tmp_path: Path) -> None:
    file = tmp_path / "cache.json"
    file.write_text("{}")
    result = bench("convert", "kernel-tuner", file, "--out", tmp_path)
    assert result.exit_code == 1
    assert "has tune_params_keys and cache" in result.output


def test_ctrl_c_loses_no_run_that_has_ended(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs.csv"
    command = [sys.executable, "-m", "lontra.cli", "bench", "replay", "--data", str(data)]
    command += ["--recommenders", "gp", "--peers", "random", "--seeds", "400", "--budget", "15"]
    command += ["--jobs", "2", "--out", str(out)]
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (out.exists() and len(out.read_text().splitlines()) > 3):
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGINT)
    _, errors = child.communicate(timeout=DEADLINE_SECONDS)
    assert child.returncode == 130
    assert "Traceback" not in errors
    kept = bench("report", out, "--only", "peer:random", "--reference", "peer:random")
    assert kept.exit_code == 0, kept.output


def test_reach_tells_how_soon_the_best_was_near(data: Path, tmp_path: Path) -> None:
    out, page = tmp_path / "runs.csv", tmp_path / "reach.md"
    assert bench("replay", "--data", data, *QUICK, "--out", out).exit_code == 0
    result = bench("reach", out, "--data", data, "--reference", "random", "--markdown", page)
    assert result.exit_code == 0, result.output
    for word in ("evaluations to 95%", "times sooner", "one", "all tables", "peer:random"):
        assert word in result.output
    assert page.read_text().startswith("| table |")


def test_reach_refuses_runs_of_different_rules(data: Path, tmp_path: Path) -> None:
    cold, noisy = tmp_path / "cold.csv", tmp_path / "noisy.csv"
    assert bench("replay", "--data", data, *QUICK, "--out", cold).exit_code == 0
    assert bench("replay", "--data", data, *QUICK, "--noise", "0.1", "--out", noisy).exit_code == 0
    result = bench("reach", cold, noisy, "--data", data)
    assert result.exit_code != 0 and "different rules" in result.output
