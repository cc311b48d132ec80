"""What the benchmark scripts make of their measurements: pairs stay pairs, and all is kept."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))  # as it is when the command runs

import ablations  # noqa: E402
import fidelity  # noqa: E402
import suggestion_cost  # noqa: E402
import wide_spaces  # noqa: E402
from figures import Measured  # noqa: E402

from tuner.benchmark import Run, Setting  # noqa: E402


def cell(measured: list[Measured], row: str, column: str) -> float:
    [found] = [one.figure.value for one in measured if (one.row, one.column) == (row, column)]
    return found


def test_wide_searches_are_compared_instance_by_instance() -> None:
    def search(who: str, regret: float, knobs: int = 60) -> wide_spaces.Search:
        regrets = {25: 2 * regret, 50: regret}
        return wide_spaces.Search(knobs=knobs, who=who, regrets=regrets, milliseconds=7.0)

    searches = [search("auto", 0.1), search("tpe", 0.2), search("auto", 0.3), search("tpe", 0.5)]
    other = [search("auto", 0.9, 120), search("tpe", 0.9, 120)]
    found = list(wide_spaces.measured([*searches, *other], "tpe"))
    small = [one for one in found if one.table == "60 knobs"]
    assert cell(small, "auto", "at 25") == pytest.approx(0.4)
    assert cell(small, "auto", "less tpe's at 50") == pytest.approx(-0.15)
    apart = next(one.figure for one in small if one.column.startswith("less"))
    assert (apart.low, apart.high) == (pytest.approx(-0.2), pytest.approx(-0.1))
    assert cell(small, "tpe", "ms") == 7.0
    assert not [one for one in small if (one.row, one.column) == ("tpe", "less tpe's at 50")]


def test_a_contender_searches_the_whole_space_only_while_it_is_entered() -> None:
    from wide_systems import FAMILIES, Instance

    encoder = Instance(FAMILIES["sparse"], 24, 0).encoder
    usual = wide_spaces.Subspace.of
    with wide_spaces.entered("random-whole", encoder, 0, noisy=False):
        assert wide_spaces.Subspace.of(None, None, None) is None
    assert wide_spaces.Subspace.of == usual


def test_what_a_part_earns_is_paired_by_table_and_seed_means() -> None:
    def run(task: str, variant: str, seed: int, early: float, late: float) -> Run:
        return Run(
            task=task, family="db", complete=True, contestant=variant, seed=seed,
            setting=Setting(budget=30), regrets=(early,) * 29 + (late,), evaluations=30,
            repeated_rows=0, repeated_points=0, remeasured=0, failures=0, ms_cpu=0.0,
            ms_wall=0.0, lanes={},
        )  # fmt: skip

    runs = [
        run("a", ablations.WHOLE, 0, 0.4, 0.1), run("a", ablations.WHOLE, 1, 0.4, 0.3),
        run("b", ablations.WHOLE, 0, 0.4, 0.4), run("a", "without", 0, 0.4, 0.5),
        run("b", "without", 0, 0.6, 0.5),
    ]  # fmt: skip
    found = list(ablations._measured("lanes", runs, 30))
    assert cell(found, ablations.WHOLE, "at 30") == pytest.approx((0.2 + 0.4) / 2)
    assert cell(found, "without", "more at 30") == pytest.approx((0.3 + 0.1) / 2)
    assert cell(found, "without", "more at 25") == pytest.approx((0.0 + 0.2) / 2)


def test_short_windows_are_compared_system_by_system() -> None:
    def run(system: str, name: str, seed: int, regret: float) -> fidelity.Run:
        trials = {1.0: 20, 0.33: 30} if name == "hyperband" else {1.0: 30}
        return fidelity.Run(
            system=system, recommender=name, seed=seed, regret=regret, trials=trials
        )

    runs = [run("cold", "auto", 0, 0.4), run("cold", "hyperband", 0, 0.1),
            run("cold", "auto", 1, 0.2), run("cold", "hyperband", 1, 0.3),
            run("noisy", "auto", 0, 0.9), run("noisy", "hyperband", 0, 0.9)]  # fmt: skip
    found = [one for one in fidelity.measured(runs, "auto") if one.table == "cold"]
    [apart] = [one.figure for one in found if one.column == "less auto's"]
    assert (apart.low, apart.high) == (pytest.approx(-0.3), pytest.approx(0.1))
    assert cell(found, "hyperband", "windows of 0.33") == 30
    assert cell(found, "auto", "regret") == pytest.approx(0.3)


def test_a_suggestion_is_timed_with_other_sessions_as_history(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(suggestion_cost, "memory_apart", lambda *_: (1.0, 2.0))
    given = argparse.Namespace(
        sizes=[12, 24], recommenders=["gp"], reference="optuna-tpe-mv", sources=2,
        told_of_source=9, repeats=2, dimensions=4, seed=0, clock="cpu",
    )  # fmt: skip
    past = suggestion_cost.Task(4, 0).past(given.sources, given.told_of_source)
    assert [len(one.observations) for one in past] == [9, 9]
    first, second = (np.array([one.values["cost"] for one in task.observations]) for task in past)
    assert not np.allclose(first, second)
    found = [one for one in suggestion_cost.measure(given) if one.table == "gp"]
    assert {one.row for one in found} == {"12", "24"}
    assert cell([one for one in found if one.row == "24"], "24", "growth") > 0
    assert cell([one for one in found if one.row == "12"], "12", "to TPE's") > 0
