"""Windows shorter than full ones: what each kind of target makes of them."""

from __future__ import annotations

import math
import statistics
from pathlib import Path

import pytest

from targets.adapter import Adapter, Description
from targets.cache_policy.adapter import CachePolicyAdapter
from targets.clock import ManualClock
from targets.command.adapter import CommandAdapter
from targets.errors import InvalidSetting
from targets.matmul.adapter import MatmulAdapter
from targets.simulated.adapter import SimulatedAdapter
from targets.simulated.landscape import position
from targets.sqlite.adapter import SqliteAdapter

COMMAND = """
[target]
name = "echo"

[knobs.n]
type = "integer"
low = 1
high = 9
default = 2
help = "n"

[measure]
argv = ["{{lontra.python}}", "-c", "print({argument}, {{n}})"]
window_seconds = 8
{shortest}

[[objectives]]
name = "seconds"
direction = "min"
from = "regex:^(\\\\S+)"
"""


def simulated(folder: Path, **settings: object) -> SimulatedAdapter:
    folder.mkdir(exist_ok=True)
    return SimulatedAdapter({"window_seconds": 1.0, **settings}, folder, clock=ManualClock())


def throughputs(adapter: Adapter, fidelity: float) -> list[float]:
    """The logarithms of many windows' values."""
    windows = (adapter.measure(seed=seed, fidelity=fidelity) for seed in range(200))
    return [math.log(window.objectives["throughput"]) for window in windows]


def test_a_description_says_how_short_a_window_may_be(tmp_path: Path) -> None:
    told = simulated(tmp_path).describe()
    assert told.least_fidelity == pytest.approx(0.001)
    before = told.to_dict()
    del before["least_fidelity"]
    assert Description.from_dict(before).least_fidelity == 1.0, "of an agent that knows no better"
    for wrong in (0.0, 1.5, math.nan):
        with pytest.raises(ValueError, match="least_fidelity"):
            Description.from_dict({**told.to_dict(), "least_fidelity": wrong})


def test_simulated_short_windows_take_less_time_and_scatter_more(tmp_path: Path) -> None:
    adapter = simulated(tmp_path, noise=0.02)
    assert adapter.measure(fidelity=0.25).seconds == pytest.approx(0.25)
    short, full = throughputs(adapter, 1 / 9), throughputs(adapter, 1.0)
    assert statistics.stdev(short) / statistics.stdev(full) == pytest.approx(3.0, rel=0.2)
    assert statistics.mean(short) == pytest.approx(statistics.mean(full), abs=0.02)


def test_simulated_cold_windows_wrong_large_memory_alone(tmp_path: Path) -> None:
    adapter = simulated(tmp_path, noise=0.0, cold=0.5)
    small = adapter.describe().space.default()
    [first, *_] = adapter.describe().space
    lost = []
    for value in (small[first.name], 90):
        adapter.apply({**small, first.name: value})
        full, short = (
            adapter.measure(fidelity=length).objectives["throughput"] for length in (1.0, 0.2)
        )
        lost.append(1 - short / full)
    assert lost[0] < lost[1] == pytest.approx(0.5 * 0.8 * position(first, 90))


def test_sqlite_short_windows_do_less_work(tmp_path: Path) -> None:
    adapter = SqliteAdapter({"rows": 2_000, "row_bytes": 60, "window_seconds": 0.8}, tmp_path)
    assert adapter.describe().least_fidelity == pytest.approx(0.125)
    short, full = adapter.measure(fidelity=0.125), adapter.measure()
    assert short.details["transactions"] < full.details["transactions"]
    assert short.seconds < full.seconds
    assert full.seconds >= 0.8


def test_matmul_short_windows_repeat_less(tmp_path: Path) -> None:
    settings = {"m": 64, "n": 64, "k": 64, "window_seconds": 0.3, "repetitions": 1}
    adapter = MatmulAdapter(settings, tmp_path)
    short, full = adapter.measure(fidelity=1 / 30), adapter.measure()
    assert short.details["repetitions"] < full.details["repetitions"]
    assert short.seconds < full.seconds


def test_cache_policy_short_windows_replay_the_beginning(tmp_path: Path) -> None:
    adapter = CachePolicyAdapter({"trace": "scan", "requests": 6_000}, tmp_path)
    tenth, full = adapter.measure(fidelity=0.1), adapter.measure()
    assert tenth.metrics["requests"] == full.metrics["requests"] / 10
    assert adapter.measure(fidelity=0.1).objectives == tenth.objectives


def command(folder: Path, argument: str, shortest: str) -> CommandAdapter:
    file = folder / "target.toml"
    file.write_text(COMMAND.format(argument=argument, shortest=shortest))
    return CommandAdapter({"file": str(file)}, folder / "work")


def test_a_command_is_told_how_long_to_measure(tmp_path: Path) -> None:
    adapter = command(tmp_path, "{lontra.window_seconds}", "shortest_seconds = 2")
    assert adapter.describe().least_fidelity == 0.25
    assert adapter.measure(fidelity=0.25).objectives == {"seconds": 2.0}
    assert adapter.measure().objectives == {"seconds": 8.0}


def test_a_command_is_measured_in_full_unless_its_owner_says_otherwise(tmp_path: Path) -> None:
    assert command(tmp_path, "{lontra.window_seconds}", "").describe().least_fidelity == 1.0


@pytest.mark.parametrize(
    ("argument", "shortest", "said"),
    [
        ("1.5", "shortest_seconds = 2", r"shortest_seconds=2.*\{lontra.window_seconds\}"),
        ("{lontra.window_seconds}", "shortest_seconds = 9", "shortest_seconds.*at most 8"),
    ],
)
def test_a_command_that_could_not_be_shorter_is_refused(
    tmp_path: Path, argument: str, shortest: str, said: str
) -> None:
    with pytest.raises(InvalidSetting, match=said):
        command(tmp_path, argument, shortest)
