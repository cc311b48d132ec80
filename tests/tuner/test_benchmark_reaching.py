"""Evaluations until near the best, against numbers worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.tuner.replay_tables import load, write
from tuner.benchmark import Run, Setting, Table
from tuner.benchmark.errors import UnknownName
from tuner.benchmark.reaching import evaluations_to_reach, near_regret, reach, reach_rows


def table(folder: Path, name: str, values: list[float], direction: str = "min") -> Table:
    params = [{"name": "x", "type": "ordinal", "values": list(range(len(values)))}]
    return load(write(folder, name, params, list(enumerate(values)), direction=direction))


def run(task: str, contestant: str, seed: int, regrets: tuple[float, ...]) -> Run:
    return Run(
        task=task,
        contestant=contestant,
        seed=seed,
        family="toy",
        complete=True,
        setting=Setting(budget=len(regrets)),
        regrets=regrets,
        evaluations=len(regrets),
        repeated_rows=0,
        repeated_points=0,
        remeasured=0,
        failures=0,
        ms_cpu=1.0,
        ms_wall=1.0,
        lanes={},
    )


def test_near_is_a_share_of_the_best_value(tmp_path: Path) -> None:
    lowest = table(tmp_path, "low", [10, 15, 20, 25, 25])
    assert near_regret(lowest, 0.8) == pytest.approx(2.5 / 10)
    highest = table(tmp_path, "high", [100, 90, 80, 70, 60], "max")
    assert near_regret(highest, 0.95) == pytest.approx(5 / 20)
    wide = table(tmp_path, "wide", [1, 5, 10, 20, 40])
    assert near_regret(wide, 0.5) == pytest.approx(math.log(2) / math.log(10))
    assert near_regret(table(tmp_path, "negative", [-5, -1, 3, 4, 5]), 0.95) is None


def test_evaluations_are_counted_from_one_and_a_miss_is_one_too_many() -> None:
    assert evaluations_to_reach((0.2, 0.1, 0.1), 0.2) == 1
    assert evaluations_to_reach((0.9, 0.2, 0.1), 0.15) == 3
    assert evaluations_to_reach((0.9, 0.8, 0.7), 0.15) == 4
    assert evaluations_to_reach((0.333333,), 1 / 3 - 1e-7) == 1


def test_seeds_are_pairs(tmp_path: Path) -> None:
    tables = [table(tmp_path, "low", [10, 15, 20, 25, 25])]
    runs = [
        run("low", "ours", 0, (0.5, 0.0, 0.0, 0.0)),
        run("low", "ours", 1, (0.0, 0.0, 0.0, 0.0)),
        run("low", "ours", 7, (1.0, 1.0, 1.0, 1.0)),
        run("low", "theirs", 0, (1.0, 1.0, 1.0, 0.0)),
        run("low", "theirs", 1, (1.0, 1.0, 1.0, 1.0)),
        run("elsewhere", "ours", 0, (0.0,) * 4),
    ]
    ours, theirs = reach(runs, tables, reference="theirs")
    assert (ours.pairs, ours.evaluations, ours.missed) == (2, 1.5, 0.0)
    assert (theirs.pairs, theirs.evaluations, theirs.missed) == (2, 4.5, 0.5)
    assert ours.ratio is not None and ours.ratio.value == pytest.approx(3.0)
    assert theirs.ratio is None
    assert reach_rows([ours], share=0.95)[1][3:5] == ["1.5", "0%"]


def test_over_all_tables_only_what_both_ran_counts(tmp_path: Path) -> None:
    tables = [table(tmp_path, name, [10, 15, 20, 25, 25]) for name in ("a", "b")]
    runs = [
        run("a", "ours", 0, (0.0, 0.0)),
        run("a", "theirs", 0, (1.0, 0.0)),
        run("b", "theirs", 0, (1.0, 1.0)),
    ]
    lines = reach(runs, tables, reference="theirs")
    overall = next(one for one in lines if one.task == "all tables" and one.contestant == "ours")
    assert (overall.pairs, overall.evaluations) == (1, 1.0)


def test_a_reference_without_runs_is_refused(tmp_path: Path) -> None:
    tables = [table(tmp_path, "a", [10, 15, 20, 25, 25])]
    with pytest.raises(UnknownName, match="nobody"):
        reach([run("a", "ours", 0, (0.0,))], tables, reference="nobody")
