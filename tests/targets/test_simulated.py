"""The simulated target: what it promises is what the other tests build on."""

from __future__ import annotations

import json
import math
import os
import random
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from targets.adapter import Adapter, CancelToken
from targets.clock import ManualClock
from targets.errors import Cancelled, InvalidSetting, TargetDown, WorkloadFailed
from targets.simulated.adapter import SimulatedAdapter
from targets.simulated.landscape import CLIFF_DISTANCE, at_position, position
from targets.testing import AdapterContract, random_value


def simulated(workdir: Path, **settings: object) -> SimulatedAdapter:
    return SimulatedAdapter(settings, workdir, clock=ManualClock())


class TestSimulatedContract(AdapterContract):
    def make_adapter(self, workdir: Path) -> Adapter:
        return simulated(workdir)


class TestSimulatedDeterministicContract(AdapterContract):
    opted_in = True

    def make_adapter(self, workdir: Path) -> Adapter:
        return simulated(
            workdir, noise=0, knobs=20, direction="min", restart=True, durability=True, cliff=0.5
        )


class TestSimulatedRealContract(AdapterContract):
    def make_adapter(self, workdir: Path) -> Adapter:
        return simulated(workdir, types="real", knobs=3, headroom=1)


@pytest.mark.parametrize("landscape", range(8))
@pytest.mark.parametrize("read_share", [0.0, 0.3, 1.0])
def test_nothing_beats_the_optimum(tmp_path: Path, landscape: int, read_share: float) -> None:
    target = simulated(
        tmp_path, landscape=landscape, read_share=read_share, headroom=4, cliff=0.6, knobs=12
    )
    best = target.true_value(target.optimum())
    assert best / target.true_value(target.space.default()) == pytest.approx(4)
    rng = random.Random(landscape)
    for _ in range(300):
        configuration = {knob.name: random_value(knob, rng) for knob in target.space}
        if not target.space.broken(configuration):
            assert target.true_value(configuration) <= best * (1 + 1e-12)


def test_one_step_from_the_optimum_is_worse(tmp_path: Path) -> None:
    target = simulated(tmp_path)
    best = target.true_value(target.optimum())
    for knob in target.space:
        changed = {**target.optimum(), knob.name: knob.default}
        assert target.true_value(changed) < best


def test_workload_moves_the_optimum(tmp_path: Path) -> None:
    reading = simulated(tmp_path, read_share=1.0)
    writing = simulated(tmp_path, read_share=0.0)
    assert reading.optimum() != writing.optimum()
    assert reading.true_value(writing.optimum()) < 0.9 * reading.true_value(reading.optimum())


def test_headroom_one_is_a_flat_system(tmp_path: Path) -> None:
    target = simulated(tmp_path, headroom=1)
    assert target.true_value(target.optimum()) == target.true_value(target.space.default())


def test_noise_scatters_around_the_truth_as_asked(tmp_path: Path) -> None:
    target = simulated(tmp_path, noise=0.1)
    truth = target.true_value(target.read())
    logs = [
        math.log(target.measure(seed=seed).objectives["throughput"] / truth) for seed in range(400)
    ]
    assert statistics.fmean(logs) == pytest.approx(0, abs=4 * 0.1 / math.sqrt(400))
    assert statistics.stdev(logs) == pytest.approx(0.1, rel=0.15)


def test_same_seed_same_value_in_another_process(tmp_path: Path) -> None:
    here = simulated(tmp_path, noise=0.3).measure(seed=5).objectives["throughput"]
    program = (
        "import pathlib, sys; from targets.simulated.adapter import SimulatedAdapter as S;"
        "print(S({'noise': 0.3}, pathlib.Path(sys.argv[1])).measure(seed=5)"
        ".objectives['throughput'])"
    )
    there = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "elsewhere"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    assert float(there.stdout) == here
    assert simulated(tmp_path, noise=0.3).measure(seed=6).objectives["throughput"] != here


def test_drift_swings_once_a_period(tmp_path: Path) -> None:
    clock = ManualClock()
    target = SimulatedAdapter(
        {"noise": 0, "drift": 0.2, "drift_period_seconds": 100}, tmp_path, clock=clock
    )
    values = []
    for _ in range(100):
        values.append(target.measure().objectives["throughput"])
        clock.advance(1 - 0.01)
    truth = target.true_value(target.read())
    assert max(values) / truth == pytest.approx(1.2, abs=0.01)
    assert min(values) / truth == pytest.approx(0.8, abs=0.01)


def test_cliff_lies_just_beyond_the_best_value(tmp_path: Path) -> None:
    target = simulated(tmp_path, cliff=0.9)
    even = simulated(tmp_path, cliff=0)
    knob = target.space["buffer"]
    place = position(knob, target.optimum()["buffer"])
    over = {**target.optimum(), "buffer": at_position(knob, place + CLIFF_DISTANCE + 0.02)}
    before = {**target.optimum(), "buffer": at_position(knob, place + CLIFF_DISTANCE - 0.02)}
    assert target.true_value(over) == pytest.approx(0.1 * even.true_value(over))
    assert target.true_value(before) == even.true_value(before)
    target.apply(over)
    assert target.measure().details["beyond_cliff"] is True


def test_crash_region_takes_the_target_down_until_restored(tmp_path: Path) -> None:
    target = simulated(tmp_path, crash_share=0.1)
    snapshot = target.snapshot()
    target.apply({**target.read(), "cache": 95})
    assert "crash_share" in target.healthy()
    with pytest.raises(TargetDown):
        target.measure()
    simulated(tmp_path, crash_share=0.1).restore(snapshot)
    assert target.healthy() == ""
    assert not target.landscape.crashes(target.optimum())


def test_failure_rate_fails_that_share_of_windows(tmp_path: Path) -> None:
    target = simulated(tmp_path, failure_rate=0.3)
    failed = 0
    for seed in range(300):
        try:
            target.measure(seed=seed)
        except WorkloadFailed:
            failed += 1
    assert 0.2 < failed / 300 < 0.4


def test_hand_edit_of_the_state_file_is_in_force(tmp_path: Path) -> None:
    target = simulated(tmp_path)
    target.apply(target.optimum())
    state = tmp_path / "state.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "buffer": 7}))
    assert target.read()["buffer"] == 7
    state.write_text('{"buffer": 7}')
    with pytest.raises(TargetDown, match="delete it"):
        target.read()


def test_restart_knob_says_that_it_restarted(tmp_path: Path) -> None:
    target = simulated(tmp_path, restart=True)
    default = target.read()
    assert target.apply({**default, "engine": "tree"}).restarted
    assert not target.apply({**default, "engine": "tree", "buffer": 9}).restarted


def test_cancel_ends_a_long_window_early(tmp_path: Path) -> None:
    class CancellingClock(ManualClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if self.monotonic() > 1:
                token.cancel("enough")

    token, clock = CancelToken(), CancellingClock()
    target = SimulatedAdapter({"window_seconds": 3600}, tmp_path, clock=clock)
    with pytest.raises(Cancelled, match="enough"):
        target.measure(cancel=token)
    assert clock.monotonic() < 2


def test_metrics_tell_workload_and_configuration_apart(tmp_path: Path) -> None:
    target = simulated(tmp_path, noise=0)
    before = target.measure().metrics
    target.apply(target.optimum())
    after = target.measure().metrics
    written = simulated(tmp_path, noise=0, read_share=0.1).measure().metrics
    assert after["operations_total"] > 2 * before["operations_total"]
    assert after["hit_ratio"] > before["hit_ratio"]
    assert written["writes_total"] > after["writes_total"]
    assert after["page_bytes"] == before["page_bytes"] == written["page_bytes"]
    assert after["hit_percent"] == pytest.approx(100 * after["hit_ratio"])
    # rates of counters are those of the window, however long the target has been up
    assert after["operations_total"] == pytest.approx(target.true_value(target.read()))


def test_counters_only_grow_and_outlive_the_process(tmp_path: Path) -> None:
    first = simulated(tmp_path)
    first.measure()
    counted = first.observe()["operations_total"]
    again = simulated(tmp_path)
    assert again.observe()["operations_total"] == counted > 0
    again.measure()
    assert again.observe()["operations_total"] > counted


def test_many_knobs_repeat_every_type_with_their_rules(tmp_path: Path) -> None:
    space = simulated(tmp_path, knobs=25).space
    assert len(space) == 25
    assert {rule.expression for rule in space.constraints} == {
        "buffer + cache <= 100",
        "buffer_2 + cache_2 <= 100",
        "buffer_3 + cache_3 <= 100",
    }
    assert space["depth_2"].active_when == "prefetch_2"


def test_wrong_setting_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="noise"):
        simulated(tmp_path, noise=-1)
