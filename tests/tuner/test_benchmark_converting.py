"""Other people's files as tables: what is inferred, and what is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from targets.metrics import Direction
from tests.tuner.replay_tables import load
from tuner.benchmark import Table
from tuner.benchmark.converting import Converted, Wanted, write_table
from tuner.benchmark.errors import InvalidTable
from tuner.benchmark.foreign_files import read_csv, read_kernel_tuner
from tuner.benchmark.parameters import Parameter, ParameterType


def wanted(**fields: Any) -> Wanted:
    return Wanted(**({"name": "t", "family": "f", "direction": Direction.MINIMISE} | fields))


def convert(folder: Path, text: str, **fields: Any) -> tuple[Converted, Table]:
    path = folder / "measured.csv"
    path.write_text(text)
    done = write_table(read_csv(path, objective="ms"), wanted(**fields), folder / "out")
    return done, load(done.path)


def by_name(table: Table) -> dict[str, Parameter]:
    return {parameter.name: parameter for parameter in table.parameters}


def test_parameters_are_inferred_from_their_values(tmp_path: Path) -> None:
    done, table = convert(
        tmp_path,
        "threads,flag,codec,fixed,ratio,ms\n"
        "8,1,zstd,7,0.5,3.0\n16,0,lz4,7,0.25,2.0\n1,0,zstd,7,2,\n4,1,none,7,1,failed\n",
    )
    found = by_name(table)
    assert found["threads"].type is ParameterType.ORDINAL
    assert found["threads"].values == (1, 4, 8, 16)
    assert found["flag"].type is ParameterType.CATEGORICAL
    assert found["codec"].values == ("lz4", "none", "zstd")
    assert found["ratio"].values == (0.25, 0.5, 1.0, 2.0)
    assert done.dropped == ("fixed",)
    assert (done.rows, done.failed, done.merged) == (4, 2, 0)
    measured = {
        tuple(table.configuration(row).values()): float(value)
        for row, value in zip(table.rows, table.values, strict=True)
        if not np.isnan(value)
    }
    assert measured == {(8, 1, "zstd", 0.5): 3.0, (16, 0, "lz4", 0.25): 2.0}


def test_many_numbers_are_a_range(tmp_path: Path) -> None:
    rows = "".join(f"{n},{n / 8},{n}\n" for n in range(1, 101))
    _, table = convert(tmp_path, f"count,share,ms\n{rows}", log=["count"])
    found = by_name(table)
    count, share = found["count"], found["share"]
    assert (count.type, share.type) == (ParameterType.INTEGER, ParameterType.REAL)
    assert (count.low, count.high, count.log) == (1, 100, True)
    assert (share.low, share.high, share.log) == (0.125, 12.5, False)


def test_numbers_without_an_order_by_request(tmp_path: Path) -> None:
    _, table = convert(tmp_path, "method,ms\n0,1\n1,2\n2,3\n", categorical=["method"])
    assert by_name(table)["method"].type is ParameterType.CATEGORICAL


def test_a_configuration_measured_twice_has_the_mean(tmp_path: Path) -> None:
    done, table = convert(tmp_path, "a,ms\n1,10\n2,5\n1,14\n2,failed\n3,\n3,failed\n")
    assert done.merged == 3
    assert table.values[:2].tolist() == [12, 5]
    assert np.isnan(table.values[2])


def test_what_was_said_is_written(tmp_path: Path) -> None:
    done, table = convert(
        tmp_path,
        "a,ms\n1,10\n2,5\n3,4\n",
        direction=Direction.MAXIMISE,
        complete=True,
        note="a note",
        licence="MIT",
    )
    assert (table.direction, table.complete, table.note) == (Direction.MAXIMISE, True, "a note")
    fields = json.loads(done.path.read_text())
    assert (fields["licence"], fields["product_space"], fields["family"]) == ("MIT", 3, "f")
    assert "origin" not in fields


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    text = "a,ms\n1,10\n2,5\n3,4\n"
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        convert(tmp_path / folder, text)
    assert len({(tmp_path / n / "out/t.csv.gz").read_bytes() for n in ("one", "two")}) == 1


@pytest.mark.parametrize(
    ("text", "fields", "said"),
    [
        ("a,b\n1,2\n", {}, r"measured\.csv: no column 'ms'; there are a, b"),
        ("a,a,ms\n1,2,3\n", {}, "two columns share a name"),
        ("a,ms\n1\n", {}, "line 2: 1 cells, not 2"),
        ("a,ms\n1,3\n2,fast\n", {}, "line 3: 'fast' is no finite number"),
        ("a,ms\n1,3\n2,-inf\n", {}, "line 3: '-inf' is no finite number"),
        ("a,ms\n1,3\n1,4\n", {}, "no column has more than one value"),
        ("a,ms\n1,\n2,nan\n", {}, "no row was measured"),
        ("y,ms\n1,2\n2,3\n", {}, "a table's objective is called y"),
        ("a,ms\n1,3\n2,4\n", {"log": ["b"]}, "table t: b is no column; there are a"),
        ("a,ms\n0,3\n2,4\n5,6\n", {"log": ["a"]}, "column a: a log scale needs values above 0"),
    ],
)
def test_what_makes_no_table_is_refused(
    tmp_path: Path, text: str, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidTable, match=said):
        convert(tmp_path, text, **fields)
    assert not (tmp_path / "out").exists()


CACHE = {
    "device_name": "card",
    "kernel_name": "gemm",
    "tune_params_keys": ["block", "method", "unused"],
    "tune_params": {"block": [32, 64, 128], "method": ["a", "b"], "unused": [1]},
    "cache": {
        "32,a,1": {"block": 32, "method": "a", "unused": 1, "time": 3.5, "GFLOP/s": 10.0},
        "64,b,1": {"block": 64, "method": "b", "unused": 1, "time": "CompilationFailedConfig"},
        "128,b,1": {"block": 128, "method": "b", "unused": 1, "time": 1.25, "GFLOP/s": 30.0},
    },
}


@pytest.mark.parametrize("packed", [False, True])
def test_a_kernel_tuner_cache(tmp_path: Path, packed: bool) -> None:
    text = json.dumps(CACHE)
    path = tmp_path / ("cache.json.gz" if packed else "cache.json")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    done = write_table(read_kernel_tuner(path), wanted(), tmp_path)
    table = load(done.path)
    assert (done.rows, done.failed, done.dropped) == (3, 1, ("unused",))
    assert table.configuration(table.rows[0]) == {"block": 32, "method": "a"}
    assert table.values[[0, 2]].tolist() == [3.5, 1.25]


def test_a_cache_cut_off_in_the_middle_of_a_run(tmp_path: Path) -> None:
    whole = json.dumps(CACHE, indent=0)
    path = tmp_path / "cache.json"
    for ending in ("}\n}", "\n}\n}"):
        if whole.endswith(ending):
            path.write_text(whole[: -len(ending)] + ",\n")
    assert len(read_kernel_tuner(path).rows) == 3


def test_another_objective_of_a_cache(tmp_path: Path) -> None:
    path = tmp_path / "cache.json"
    path.write_text(json.dumps(CACHE))
    with pytest.raises(InvalidTable, match=r"entry 64,b,1 lacks GFLOP/s"):
        read_kernel_tuner(path, objective="GFLOP/s")
    entry = CACHE["cache"]["64,b,1"] | {"GFLOP/s": "RuntimeFailedConfig"}  # type: ignore[index]
    path.write_text(json.dumps(CACHE | {"cache": CACHE["cache"] | {"64,b,1": entry}}))  # type: ignore[operator]
    rows = read_kernel_tuner(path, objective="GFLOP/s").rows
    assert [value for _, value in rows] == [10.0, None, 30.0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "must hold one JSON object"),
        ('{"results": []}', "has tune_params_keys and cache; here are results"),
    ],
)
def test_what_is_no_cache_is_refused(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "cache.json"
    path.write_text(content)
    with pytest.raises(InvalidTable, match=said):
        read_kernel_tuner(path)
