"""Reading recorded tables: what is in them, and what is said of one that is wrong."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest

from targets.metrics import Direction
from tests.tuner.replay_tables import COUNT, MODE, SHARE, SIZE, bowl, load, write
from tuner.benchmark import RECORDED, Scoring, load_tables
from tuner.benchmark.errors import InvalidTable
from tuner.benchmark.tables import Role


def test_a_table_says_what_its_files_say(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "mixed",
        [MODE, SIZE, SHARE, COUNT],
        [(2, 4, 2.5, 10, 7.5), (0, 0, 0, 1, 3)],
        family="db",
        direction="max",
        transfer_group="mixed",
        role="source",
    )
    table = load(path)
    assert (table.name, table.family, table.direction) == ("mixed", "db", Direction.MAXIMISE)
    assert (table.group, table.role) == ("mixed", Role.SOURCE)
    assert table.rows.tolist() == [[2, 4, 2.5, 10], [0, 0, 0, 1]]
    assert table.values.tolist() == [7.5, 3]
    configuration = table.configuration(table.rows[0])
    assert configuration == {"mode": "c", "size": 16, "share": 2.5, "count": 10}
    assert isinstance(configuration["count"], int)
    assert table.point(configuration).tolist() == [2, 4, 2.5, 10]
    assert table.params == [MODE, SIZE, SHARE, COUNT]


def test_true_and_one_are_two_levels(tmp_path: Path) -> None:
    flag = {"name": "flag", "type": "categorical", "values": [1, True, "1"]}
    table = load(write(tmp_path, "flags", [flag], [(0, 1.0), (1, 2.0), (2, 3.0)]))
    for place, level in enumerate([1, True, "1"]):
        assert table.point({"flag": level}).tolist() == [place]


@pytest.mark.parametrize("cell", ["", "failed", " FAILED "])
def test_a_row_without_a_value_failed(tmp_path: Path, cell: str) -> None:
    table = load(write(tmp_path, "some", [MODE], [(0, 1.5), (1, cell)]))
    assert table.values[0] == 1.5
    assert np.isnan(table.values[1])


def test_plain_csv_will_do(tmp_path: Path) -> None:
    path = bowl(tmp_path)
    packed = tmp_path / "bowl.csv.gz"
    (tmp_path / "bowl.csv").write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    assert len(load(path)) == 15


@pytest.mark.parametrize(
    ("fields", "complete"),
    [
        ({"complete": True, "note": "a sample"}, True),
        ({"complete": False, "note": "complete"}, False),
        ({"note": "all valid configurations; run time"}, True),
        ({"note": "Complete 2^10"}, True),
        ({"note": "sampled"}, False),
        ({}, False),
    ],
)
def test_completeness_is_stated_or_begins_the_note(
    tmp_path: Path, fields: dict[str, object], complete: bool
) -> None:
    assert load(write(tmp_path, "some", [MODE], [(0, 1), (1, 2)], **fields)).complete is complete


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([(3, 1.0)], r"line 2, column mode: '3'; a level's index is a whole number from 0 to 2"),
        ([(0, 1.0), (0.5, 1.0)], r"line 3, column mode: '0.5'; a level's index"),
        ([("b", 1.0)], r"line 2, column mode: 'b'; it must be a finite number"),
        ([(0, "slow")], r"line 2, column y: 'slow'; it must be a finite number"),
        ([(0, "inf")], r"line 2, column y: 'inf'; it must be a finite number"),
        ([(0, "nan")], r"line 2, column y: 'nan'; it must be a finite number"),
        ([(0, 1.0), (1, 2.0), (0, 3.0)], r"line 4: the same configuration as line 2"),
        ([(0, 1.0, 5)], r"line 2: 3 cells, not 2"),
        ([(0, "failed")], r"no row has a value for y"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, rows: list[tuple[object]], said: str) -> None:
    path = write(tmp_path, "wrong", [MODE], rows)  # type: ignore[arg-type]
    with pytest.raises(InvalidTable, match=rf"wrong\.csv\.gz.*{said}"):
        load(path)


@pytest.mark.parametrize(
    ("param", "cell", "said"),
    [
        (SHARE, 10.5, r"column share: '10.5'; it must be within 0..10"),
        (COUNT, 2.5, r"column count: '2.5'; it must be whole"),
    ],
)
def test_a_number_out_of_its_range_is_named(
    tmp_path: Path, param: dict[str, object], cell: float, said: str
) -> None:
    with pytest.raises(InvalidTable, match=said):
        load(write(tmp_path, "wrong", [param], [(cell, 1.0)]))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"task": ""}, "task is ''"),
        ({"direction": "up"}, "direction is 'up', but must be one of min, max"),
        ({"params": []}, "params must be a list"),
        ({"params": [{"type": "int"}]}, r"params\[0\] must be an object with a name"),
        ({"params": [MODE, MODE]}, r"params\[1\] \(mode\): the name is taken"),
        ({"params": [MODE | {"name": "y"}]}, r"params\[0\] \(y\): the name is taken"),
        ({"params": [MODE | {"type": "set"}]}, r"\(mode\): type is 'set'"),
        ({"params": [MODE | {"values": []}]}, r"\(mode\): categorical needs values"),
        ({"params": [MODE | {"values": ["a", "a"]}]}, r"\(mode\): two levels are alike"),
        ({"params": [MODE | {"values": [["a"], ["b"]]}]}, r"\(mode\): a level is true, false"),
        ({"params": [SHARE | {"low": 10}]}, r"\(share\): float needs numbers low < high"),
        ({"params": [SHARE | {"log": True}]}, r"\(share\): log .* needs low above 0"),
        ({"params": [COUNT | {"low": 1.5}]}, r"\(count\): low and high must be whole"),
        ({"rows": 3}, "rows is 3, but 2 are there"),
        ({"complete": "yes"}, "complete is 'yes'"),
        ({"role": "source"}, "needs a transfer_group"),
        ({"role": "both", "transfer_group": "g"}, "role is 'both'"),
    ],
)
def test_a_wrong_description_is_named(tmp_path: Path, fields: dict[str, object], said: str) -> None:
    path = write(tmp_path, "wrong", [MODE], [(0, 1.0), (1, 2.0)])
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    with pytest.raises(InvalidTable, match=rf"wrong\.json.*{said}"):
        load(path)


def test_what_is_no_table_at_all_is_refused(tmp_path: Path) -> None:
    path = bowl(tmp_path)
    (tmp_path / "bowl.csv.gz").write_bytes(b"\x1f\x8bnot gzip")
    with pytest.raises(InvalidTable, match=r"bowl\.csv\.gz: cannot be read"):
        load(path)
    (tmp_path / "bowl.csv.gz").unlink()
    with pytest.raises(InvalidTable, match=r"bowl\.csv\.gz is not beside it"):
        load(path)
    path.write_text("{")
    with pytest.raises(InvalidTable, match="cannot be read as JSON"):
        load(path)
    with pytest.raises(InvalidTable, match="no table here"):
        load_tables(tmp_path / "nothing")


def test_a_folder_is_read_with_those_below_it(tmp_path: Path) -> None:
    bowl(tmp_path, "b")
    bowl(tmp_path / "transfer", "a")
    assert [table.name for table in load_tables(tmp_path)] == ["a", "b"]
    bowl(tmp_path / "more", "a")
    with pytest.raises(InvalidTable, match="two tables are named a"):
        load_tables(tmp_path)


def test_the_tables_that_come_with_lontra_are_sound() -> None:
    tables = load_tables(RECORDED)
    assert {"cache"} <= {table.family for table in tables}
    for table in tables:
        assert np.nanmin(Scoring.of(table).regrets) == 0


def test_the_example_in_the_docs_is_a_table(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "replay-benchmark.md").read_text()
    description, rows = (
        re.search(rf"```{kind}\n(.*?)```", page, re.DOTALL).group(1)  # type: ignore[union-attr]
        for kind in ("json", "csv")
    )
    (tmp_path / "store.json").write_text(description)
    (tmp_path / "store.csv").write_text(rows)
    table = load(tmp_path / "store.json")
    assert len(table) == 6 and table.complete
    assert np.isnan(table.values).sum() == 1
