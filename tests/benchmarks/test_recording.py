"""Recording tables: nothing is lost or measured twice, drift is followed, failures are told."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from targets.adapter import (
    Adapter,
    Applied,
    CancelToken,
    Description,
    Measurement,
    Purpose,
    Workload,
)
from targets.clock import ManualClock
from targets.errors import HarnessFailed, InvalidKnob, TargetDown, TrialFailure, WorkloadFailed
from targets.knobs import Configuration, Knob, KnobType, Value
from targets.metrics import Direction, Objective
from targets.space import Constraint, KnobSpace

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))  # as it is when the command runs

import record  # noqa: E402
from recording.files import Recorded, read_table, write_table  # noqa: E402
from recording.grid import Grid  # noqa: E402
from recording.recorder import Recorder  # noqa: E402
from recording.summary import Summary, summarise  # noqa: E402
from recording.tables import Table  # noqa: E402
from recording.tape import OtherRecording  # noqa: E402

SPACE = KnobSpace(
    (
        Knob(name="engine", type=KnobType.CATEGORICAL, levels=("old", "new"), default="old"),
        Knob(name="size", type=KnobType.INTEGER, low=1, high=100, default=10),
        Knob(
            name="depth",
            type=KnobType.ORDINAL,
            levels=(1, 2, 3),
            default=2,
            active_when="engine == 'new'",
        ),
        Knob(name="sync", type=KnobType.BOOLEAN, default=True),
    ),
    (Constraint(expression="size * depth <= 100", reason="it would not fit"),),
)
TABLE = Table(
    task="toy",
    family="test",
    adapter="toy",
    settings={},
    levels={"engine": (), "size": (1, 10, 50), "depth": ()},
    objective="seconds",
    note="a toy",
    passes=3,
    reference_every=4,
)


class Toy(Adapter):
    """A target of known truth. `on_window` sees each window's configuration, number and seed
    before it, and may raise; `pace` is the machine's, by the window's number."""

    kind = "toy"
    summary = "a toy"

    def __init__(
        self,
        workdir: Path,
        on_window: Callable[[Configuration, int, int], None],
        pace: Callable[[int], float],
    ) -> None:
        super().__init__({}, workdir)
        self._on_window, self._pace = on_window, pace
        self._windows = 0
        self._in_force = SPACE.default()

    def describe(self) -> Description:
        return Description(
            kind=self.kind,
            version="7",
            hardware={"cpus": 2.0, "architecture": "abacus", "host": "secret"},
            space=SPACE,
            metrics=(),
            objectives=(Objective(name="seconds", direction=Direction.MINIMISE, unit="s"),),
            workload=Workload(name="toy"),
            window_seconds=0.1,
        )

    def read(self) -> dict[str, Value]:
        return dict(self._in_force)

    def observe(self) -> dict[str, float]:
        return {}

    def apply(self, configuration: Configuration) -> Applied:
        self._in_force = SPACE.check(configuration)
        return Applied(in_force=self.read())

    def measure(
        self,
        purpose: Purpose = Purpose.SEARCH,
        *,
        seed: int = 0,
        cancel: CancelToken | None = None,
    ) -> Measurement:
        self._on_window(self._in_force, self._windows, seed)
        self._windows += 1
        seconds = truth(self._in_force) * self._pace(self._windows)
        return Measurement(objectives={"seconds": seconds}, seconds=0.1)


def truth(configuration: Configuration) -> float:
    size = float(configuration["size"])
    if configuration["engine"] == "old":
        return 1 + size / 10
    return 1 + size / 100 + float(configuration["depth"]) / 10


def quiet(configuration: Configuration, window: int, seed: int) -> None:
    """Nothing happens."""


def fail(configuration: Configuration, window: int, seed: int) -> None:
    """Nothing is to be measured."""
    pytest.fail(f"{configuration} was measured")


def recorded(
    folder: Path,
    table: Table = TABLE,
    *,
    on_window: Callable[[Configuration, int, int], None] = quiet,
    pace: Callable[[int], float] = lambda window: 1.0,
) -> tuple[Recorded, Summary]:
    """Record the toy in a folder, or go on with it."""
    recorder = Recorder(
        table, folder / "work", open_adapter=lambda _, workdir: Toy(workdir, on_window, pace)
    )
    with recorder.tape() as tape:
        steps = list(recorder.record(tape, table.passes))
        assert not steps or steps[-1].left == 0
        summary = summarise(tape, table.passes)
    write_table(recorder, summary, folder / "out", passes=table.passes)
    return read_table(folder / "out" / "toy.json"), summary


def configurations(table: Recorded) -> Iterator[tuple[dict[str, Value], float | None]]:
    params = table.about["params"]
    for row, value in zip(table.rows, table.values, strict=True):
        levels = (param["values"][index] for param, index in zip(params, row, strict=True))
        yield {param["name"]: level for param, level in zip(params, levels, strict=True)}, value


def test_a_table_has_every_feasible_configuration_once_with_its_value(tmp_path: Path) -> None:
    table, _ = recorded(tmp_path)
    expected = {
        (engine, size, depth)
        for engine, size, depth in itertools.product(("old", "new"), (1, 10, 50), (1, 2, 3))
        if size * depth <= 100
    }
    found = [tuple(configuration.values()) for configuration, _ in configurations(table)]
    assert len(found) == len(expected) == 16
    assert set(found) == expected
    for configuration, value in configurations(table):
        assert value == pytest.approx(truth(configuration))
    about = table.about
    assert about["direction"] == "min"
    assert about["complete"] is True
    assert about["product_space"] == 18
    assert about["params"][2] == {
        "name": "depth", "type": "ordinal", "values": [1, 2, 3], "default": 2,
        "active_when": "engine == 'new'",
    }  # fmt: skip
    assert about["constraints"] == [
        {"expression": "size * depth <= 100", "reason": "it would not fit"}
    ]
    assert about["recording"]["held"] == {"sync": True}
    assert about["recording"]["default"] == pytest.approx(truth(SPACE.default()))
    assert about["recording"]["configurations"] == 3 + 8
    assert "secret" not in json.dumps(about)


def test_each_pass_measures_what_acts_once_in_an_order_of_its_own(tmp_path: Path) -> None:
    passes: dict[int, list[str]] = {0: [], 1: [], 2: []}
    recorded(
        tmp_path,
        replace(TABLE, reference_every=0),
        on_window=lambda configuration, _, seed: passes[seed].append(SPACE.key(configuration)),
    )
    assert all(len(order) == len(set(order)) == 11 for order in passes.values())
    assert len({tuple(order) for order in passes.values()}) == 3


def test_an_interrupted_recording_goes_on_and_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole, _ = recorded(tmp_path / "whole")
    measured: Counter[tuple[str, int]] = Counter()

    def interrupted_after(windows: int) -> Callable[[Configuration, int, int], None]:
        def on_window(configuration: Configuration, window: int, seed: int) -> None:
            if window == windows:
                raise KeyboardInterrupt
            if configuration != SPACE.default():  # that is the reference, measured often
                measured[SPACE.key(configuration), seed] += 1

        return on_window

    for windows in (0, 1, 5, 20):
        with pytest.raises(KeyboardInterrupt):
            recorded(tmp_path / "parts", on_window=interrupted_after(windows))
    parts, _ = recorded(tmp_path / "parts", on_window=interrupted_after(1_000))
    assert set(measured.values()) == {1}
    assert len(measured) == 11 * 3
    assert (parts.rows, parts.values) == (whole.rows, whole.values)


def test_a_half_written_line_is_measured_again(tmp_path: Path) -> None:
    recorded(tmp_path)
    tape = tmp_path / "work" / "tape.jsonl"
    before = tape.read_text()
    tape.write_text(before[: before.rindex('"number"') + 5])
    windows: list[int] = []
    table, _ = recorded(tmp_path, on_window=lambda _, window, __: windows.append(window))
    assert len(windows) == 3  # the configuration, and a reference on either side
    assert None not in table.values
    for line in tape.read_text().splitlines():
        json.loads(line)


def test_more_passes_later_measure_only_those(tmp_path: Path) -> None:
    recorded(tmp_path, replace(TABLE, passes=2))
    seeds: set[int] = set()
    table, _ = recorded(
        tmp_path,
        on_window=lambda _, __, seed: seeds.add(seed),
        pace=lambda window: 1 + window % 5 / 10,
    )
    assert table.about["recording"]["noise"] > 0
    assert seeds == {2}
    assert table.about["recording"]["passes"] == 3
    fewer, _ = recorded(tmp_path, replace(TABLE, passes=1), on_window=fail)
    assert fewer.about["recording"]["noise"] == 0  # nothing to compare with


@pytest.mark.parametrize(
    "changed",
    [
        replace(TABLE, levels={**TABLE.levels, "size": (1, 10, 20)}),
        replace(TABLE, reference={"engine": "new"}),
    ],
)
def test_recordings_of_different_things_are_not_mixed(tmp_path: Path, changed: Table) -> None:
    recorded(tmp_path)
    with pytest.raises(OtherRecording, match=r"another definition: delete it .* or .*--work"):
        recorded(tmp_path, changed)


def test_what_fails_by_its_own_fault_is_recorded_as_failed_and_left_alone(tmp_path: Path) -> None:
    tried: list[int] = []

    def on_window(configuration: Configuration, window: int, seed: int) -> None:
        if (configuration["engine"], configuration["depth"]) == ("new", 3):
            tried.append(seed)
            raise WorkloadFailed("wrong result")

    table, summary = recorded(tmp_path, on_window=on_window)
    failed = [configuration for configuration, value in configurations(table) if value is None]
    assert [(one["engine"], one["size"], one["depth"]) for one in failed] == [
        ("new", 1, 3),
        ("new", 10, 3),
    ]
    assert tried == [0, 0]
    assert table.about["recording"]["failed_rows"] == 2
    assert summary.noise == 0
    assert '"failure": "workload-failed: wrong result"' in (
        tmp_path / "work" / "tape.jsonl"
    ).read_text(encoding="utf-8")


@pytest.mark.parametrize("fault", [HarnessFailed("disk full"), TargetDown("no server")])
def test_what_is_no_configurations_fault_ends_the_recording(
    tmp_path: Path, fault: TrialFailure
) -> None:
    def on_window(configuration: Configuration, window: int, seed: int) -> None:
        if window == 7:
            raise fault

    with pytest.raises(type(fault)):
        recorded(tmp_path, on_window=on_window)
    table, _ = recorded(tmp_path)
    assert None not in table.values


def test_the_machines_drift_is_taken_out(tmp_path: Path) -> None:
    table, summary = recorded(tmp_path, pace=lambda window: 1 + window / 100)
    assert summary.drift_corrected
    assert summary.noise_uncorrected > 0.1
    assert summary.noise < 0.02
    scale = [value / truth(one) for one, value in configurations(table) if value]
    assert len(scale) == 16
    assert max(scale) / min(scale) < 1.05


def test_references_that_only_add_noise_are_left_out(tmp_path: Path) -> None:
    recorder = Recorder(
        TABLE, tmp_path, open_adapter=lambda _, workdir: Toy(workdir, quiet, lambda window: 1.0)
    )
    factors = itertools.cycle((0.6, 1.0, 1.5))
    with recorder.tape() as tape:
        list(recorder.record(tape, 3))
        for stretch in tape.stretches:
            stretch.references = [(at, value * next(factors)) for at, value in stretch.references]
        summary = summarise(tape, 3)
    assert not summary.drift_corrected
    assert summary.noise == summary.noise_uncorrected == 0
    assert summary.references > 9


def test_a_grid_that_a_table_cannot_tell_is_refused() -> None:
    with pytest.raises(InvalidKnob, match="names depth, which it holds"):
        Grid.of(SPACE, {"size": (10, 50, 100)})
    with pytest.raises(InvalidKnob, match="'height' is no knob of this space"):
        Grid.of(SPACE, {"height": (1, 2)})
    with pytest.raises(InvalidKnob, match="no variation"):
        Grid.of(SPACE, {"size": (10,)})
    with pytest.raises(InvalidKnob, match=r"outside 1\.\.100"):
        Grid.of(SPACE, {"size": (10, 500)})


SMALL = Table(
    task="cache_toy",
    family="cache",
    adapter="cache-policy",
    settings={"trace": "zipf", "requests": 6_000},
    levels={"policy": ("lru", "arc", "2q"), "newcomer_share": (0.1, 0.25)},
    objective="miss_ratio",
    note="small",
)


def test_a_real_target_is_recorded_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record.record(
        SMALL, passes=5, work=tmp_path / "work", out=tmp_path / "out", clock=ManualClock()
    )
    table = read_table(tmp_path / "out" / "cache_toy.json")
    assert table.about["recording"]["passes"] == 1  # deterministic
    by_row = dict(zip(table.rows, table.values, strict=True))
    assert by_row[0, 0] == by_row[0, 1]  # newcomer_share does not act under lru
    assert len(set(by_row.values())) > 2
    said = capsys.readouterr().out
    assert "pass 1 of 1, 0 measurements left" in said
    assert "| `cache_toy` | 6 | 4 | 0 |" in said


def test_a_killed_command_loses_nothing_and_a_terminated_one_says_how_to_go_on(
    tmp_path: Path,
) -> None:
    command = [
        sys.executable, str(ROOT / "benchmarks" / "record.py"), "--tasks", "cache_loop",
        "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out"),
    ]  # fmt: skip
    tape = tmp_path / "work" / "cache_loop" / "tape.jsonl"

    def run_until(lines: int, end_by: signal.Signals) -> subprocess.CompletedProcess[str]:
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ)
        deadline = time.monotonic() + 60
        while not tape.exists() or tape.read_text().count('"y"') < lines:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(end_by)
        _, errors = process.communicate(timeout=60)
        return subprocess.CompletedProcess(command, process.returncode, "", errors)

    run_until(3, signal.SIGKILL)
    kept = tape.read_text()[: tape.read_text().rindex("\n") + 1]
    ended = run_until(6, signal.SIGTERM)
    assert ended.returncode == record.INTERRUPTED_STATUS
    assert "goes on from here" in ended.stderr
    assert tape.read_text().startswith(kept)
    lines = [json.loads(line) for line in tape.read_text().splitlines()]
    numbers = [line["number"] for line in lines if "number" in line]
    assert len(numbers) == len(set(numbers)) >= 6
    assert not (tmp_path / "out").exists()


def test_the_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        record.main(["--help"])
    told = capsys.readouterr().out
    for word in ("--tasks", "--passes", "--out", "--work", "--list", "--report", "goes on"):
        assert word in told
    assert record.main(["--list", "--tasks", "matmul,sqlite_r"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == ["matmul_384", "sqlite_read", "matmul__128", "matmul__256"]
    assert record.main(["--tasks", "nothing"]) == 2
