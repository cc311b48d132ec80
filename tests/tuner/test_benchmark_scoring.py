"""Regret and the nearest row, against numbers worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tuner.replay_tables import COUNT, MODE, SHARE, SIZE, load, write
from tuner.benchmark import Scoring, Snapper, Table
from tuner.benchmark.errors import InvalidTable
from tuner.benchmark.parameters import ParameterType

FIVE = {"name": "x", "type": "ordinal", "values": [1, 2, 3, 4, 5]}


def scored(folder: Path, values: list[float | str], direction: str = "min") -> Scoring:
    params = [FIVE | {"values": list(range(len(values)))}]
    rows = [(place, value) for place, value in enumerate(values)]
    return Scoring.of(load(write(folder, "t", params, rows, direction=direction)))


def test_a_cost_is_told_between_the_best_and_the_median(tmp_path: Path) -> None:
    scoring = scored(tmp_path, [20, 10, 25, 15, 30])
    assert (scoring.best, scoring.median, scoring.logs) == (10, 20, False)
    assert scoring.regrets.tolist() == [1, 0, 1.5, 0.5, 2]
    assert scoring.worst == 2


def test_a_gain_is_told_the_other_way_round(tmp_path: Path) -> None:
    scoring = scored(tmp_path, [20, 10, 25, 15, 30], "max")
    assert (scoring.best, scoring.median, scoring.logs) == (30, 20, False)
    assert scoring.regrets.tolist() == [1, 2, 0.5, 1.5, 0]


@pytest.mark.parametrize("direction", ["min", "max"])
def test_logarithms_where_the_median_is_three_times_worse(tmp_path: Path, direction: str) -> None:
    values: list[float | str] = [1, 10, 100] if direction == "min" else [100, 10, 1]
    scoring = scored(tmp_path, values, direction)
    assert scoring.logs
    assert scoring.regrets == pytest.approx([0, 1, 2])


@pytest.mark.parametrize(
    ("values", "direction", "logs"),
    [
        ([1, 3, 9], "min", True),
        ([1, 2.99, 9], "min", False),
        ([9, 3, 1], "max", True),
        ([8.97, 3, 1], "max", False),
        ([0, 3, 9], "min", False),
        ([-1, 3, 9], "min", False),
        ([9, 3, 0], "max", False),
    ],
)
def test_where_logarithms_begin(
    tmp_path: Path, values: list[float | str], direction: str, logs: bool
) -> None:
    assert scored(tmp_path, values, direction).logs is logs


def test_rows_that_failed_have_no_part_in_it(tmp_path: Path) -> None:
    scoring = scored(tmp_path, ["failed", 10, 20, 30, ""])
    assert (scoring.best, scoring.median) == (10, 20)
    assert math.isnan(scoring.regrets[0])
    assert scoring.worst == 2


def test_a_table_with_nothing_to_find_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidTable, match="table t: the median row is as good as the best"):
        scored(tmp_path, [10, 10, 10, 20])


def test_the_nearest_row_by_hand(tmp_path: Path) -> None:
    rows = [(0, 0, 0.0, 100, 1), (0, 4, 10.0, 100, 2), (2, 0, 5.0, 500, 3)]
    snapper = Snapper(load(write(tmp_path, "t", [MODE, SIZE, SHARE, COUNT], rows)))
    assert snapper.row(np.array([2.0, 0.0, 5.0, 500.0])) == 2
    # mode, size / 4, share / 10, count / 999: 1 + .25 + .2 + 0 against 0 + .75 + .8 + 0
    assert snapper.row(np.array([1.0, 1.0, 2.0, 100.0])) == 0
    assert snapper.row(np.array([0.0, 3.0, 8.0, 100.0])) == 1
    # categories are equal or not: 1 is as far from 2 as 0 is, and the count decides
    assert snapper.row(np.array([1.0, 0.0, 4.0, 450.0])) == 2


def test_categories_are_equal_or_not(tmp_path: Path) -> None:
    # from a with 2: 1 + 1/4 to c with 1, 1 + 3/4 to b with 16; c is no farther from a than b is
    snapper = Snapper(load(write(tmp_path, "t", [MODE, SIZE], [(1, 4, 5), (2, 0, 6)])))
    assert snapper.row(np.array([0.0, 1.0])) == 1


def test_of_rows_as_near_the_first_answers(tmp_path: Path) -> None:
    # .1 + .2 + .3 is not .3 + .2 + .1 in floating point, and yet they are as near
    eleven = {"type": "ordinal", "values": list(range(11))}
    params = [eleven | {"name": name} for name in ("p", "q", "r")]
    rows = [(1, 2, 3, 5), (3, 2, 1, 6)]
    snapper = Snapper(load(write(tmp_path, "t", params, rows)))
    assert snapper.row(np.array([0.0, 0.0, 0.0])) == 0


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Table:
    rng = np.random.default_rng(3)
    drawn = {
        (
            int(rng.integers(3)),
            int(rng.integers(5)),
            int(rng.integers(11)),
            int(rng.integers(1, 99)),
        )
        for _ in range(60)
    }
    rows = [(*row, at) for at, row in enumerate(sorted(drawn))]
    folder = tmp_path_factory.mktemp("mixed")
    return load(write(folder, "mixed", [MODE, SIZE, SHARE, COUNT], rows))


@settings(max_examples=60, deadline=None)
@given(
    mode=st.integers(0, 2),
    size=st.integers(0, 4),
    share=st.floats(0, 10),
    count=st.integers(1, 1000),
)
def test_the_nearest_row_is_that_of_a_plain_search(
    mixed: Table, mode: int, size: int, share: float, count: int
) -> None:
    point = np.array([mode, size, share, count], dtype=float)

    def distance(row: np.ndarray) -> float:
        total = 0.0
        for parameter, one, other in zip(mixed.parameters, row, point, strict=True):
            if parameter.type is ParameterType.CATEGORICAL:
                total += one != other
            elif parameter.type is ParameterType.ORDINAL:
                total += abs(one - other) / (len(parameter.values) - 1)
            else:
                total += abs(one - other) / (parameter.high - parameter.low)
        return total / 4

    found = Snapper(mixed).row(point)
    distances = [distance(row) for row in mixed.rows]
    assert distances[found] == pytest.approx(min(distances), abs=1e-11)
    assert all(one > distances[found] - 1e-11 for one in distances[:found])
