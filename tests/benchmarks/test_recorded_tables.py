"""The tables that come with the package are what they say, and the docs say what they are."""

from __future__ import annotations

import itertools
import json
import math
import re
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from targets.expressions import Expression
from targets.registry import load_adapter
from tuner import space_from_params
from tuner.benchmark import load_tables

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))  # as it is when the command runs

from record import SHIPPED  # noqa: E402
from recording.files import Recorded, overview, read_table, read_tables  # noqa: E402
from recording.tables import TABLES, Table  # noqa: E402

FILE_BYTES, ALL_BYTES = 100_000, 500_000
BY_TASK = {table.task: table for table in TABLES}


@pytest.fixture(params=sorted(BY_TASK))
def task(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def shipped(task: str) -> Recorded:
    return read_table(SHIPPED / f"{task}.json")


@pytest.fixture
def definition(task: str) -> Table:
    return BY_TASK[task]


def test_every_table_of_the_recorder_is_there_and_no_other() -> None:
    files = {path.name for path in SHIPPED.iterdir()}
    assert files == {f"{task}{suffix}" for task in BY_TASK for suffix in (".json", ".csv.gz")}


def test_they_are_small_enough_to_come_with_the_package() -> None:
    sizes = {path.name: path.stat().st_size for path in SHIPPED.iterdir()}
    assert {name: size for name, size in sizes.items() if size > FILE_BYTES} == {}
    assert sum(sizes.values()) < ALL_BYTES


def test_rows_are_all_feasible_combinations_once(shipped: Recorded) -> None:
    params = shipped.about["params"]
    rules = [Expression.parse(rule["expression"]) for rule in shipped.about["constraints"]]
    names = [param["name"] for param in params]
    product = list(itertools.product(*(range(len(param["values"])) for param in params)))
    feasible = {
        row
        for row in product
        if all(rule.holds(dict(zip(names, levels(params, row), strict=True))) for rule in rules)
    }
    assert len(product) == shipped.about["product_space"]
    assert len(shipped.rows) == len(feasible) == shipped.about["rows"]
    assert set(shipped.rows) == feasible
    assert shipped.about["complete"] is True


def levels(params: list[dict[str, object]], row: tuple[int, ...]) -> list[object]:
    return [param["values"][index] for param, index in zip(params, row, strict=True)]  # type: ignore[index]


def test_values_are_positive_and_worth_searching(shipped: Recorded) -> None:
    values = [value for value in shipped.values if value is not None]
    assert all(math.isfinite(value) and value > 0 for value in values)
    assert shipped.values.count(None) == shipped.about["recording"]["failed_rows"]
    assert len(set(values)) > 50
    assert shipped.times_better(shipped.median) > 1.03
    assert shipped.times_better(shipped.about["recording"]["default"]) > 1.1


def test_rows_that_act_the_same_have_one_value(shipped: Recorded) -> None:
    params = shipped.about["params"]
    active = [Expression.parse(param.get("active_when", "true")) for param in params]
    names = [param["name"] for param in params]
    found: dict[tuple[object, ...], set[float | None]] = defaultdict(set)
    for row, value in zip(shipped.rows, shipped.values, strict=True):
        configuration = dict(zip(names, levels(params, row), strict=True))
        acting = tuple(
            level if acts.holds(configuration) else "no matter"
            for level, acts in zip(configuration.values(), active, strict=True)
        )
        found[acting].add(value)
    assert {key: values for key, values in found.items() if len(values) > 1} == {}
    assert len(found) == shipped.about["recording"]["configurations"]


def test_the_direction_is_the_targets_own(
    shipped: Recorded, definition: Table, tmp_path: Path
) -> None:
    settings = {**definition.settings, "rows": 1_000} if definition.adapter == "sqlite" else {
        **definition.settings
    }  # fmt: skip
    adapter = load_adapter(definition.adapter)(settings, tmp_path)
    objectives = {objective.name: objective for objective in adapter.describe().objectives}
    adapter.close()
    assert shipped.about["direction"] == str(objectives[definition.objective].direction)
    assert shipped.about["recording"]["objective"] == definition.objective


def test_the_json_is_of_the_table_as_the_recorder_defines_it(
    shipped: Recorded, definition: Table
) -> None:
    about = shipped.about
    assert about["task"] == definition.task
    assert about["family"] == definition.family
    assert about["licence"] == "Apache-2.0"
    assert about["origin"].startswith("recorded by Lontra ")
    assert about.get("transfer_group", "") == definition.group
    assert about.get("role", "") == definition.role
    recording = about["recording"]
    assert recording["settings"] == definition.settings
    assert recording["passes"] == definition.passes
    assert set(recording["machine"]) >= {"cpus", "architecture"}
    assert not {"host", "kernel"} & set(recording["machine"])
    assert {param["name"] for param in about["params"]} == set(definition.levels)
    for param in about["params"]:
        if declared := definition.levels[param["name"]]:
            assert tuple(param["values"]) == declared
    assert recording["deterministic"] == (definition.reference_every == 0)
    assert (recording["noise"] > 0) == (definition.reference_every > 0)


def test_transfer_groups_have_sources_and_targets_with_the_same_knobs() -> None:
    groups = defaultdict(list)
    for table in read_tables(SHIPPED):
        if "transfer_group" in table.about:
            groups[table.about["transfer_group"]].append(table.about)
    assert len(groups) >= 2
    for tables in groups.values():
        assert {table["role"] for table in tables} == {"source", "target"}
        spaces = [
            [(param["name"], param["type"], param["values"]) for param in table["params"]]
            for table in tables
        ]
        assert all(space == spaces[0] for space in spaces)


def test_the_replay_benchmark_reads_them() -> None:
    tables = {table.name: table for table in load_tables(SHIPPED)}
    assert set(tables) == set(BY_TASK)
    for path in SHIPPED.glob("*.json"):
        table = tables[path.stem]
        assert len(table) == json.loads(path.read_text())["rows"]
        assert table.complete
        default = space_from_params(table.params).default()
        assert set(default) == set(BY_TASK[path.stem].levels)


def test_the_page_tells_what_was_recorded() -> None:
    page = (ROOT / "docs" / "recorded-tables.md").read_text(encoding="utf-8")
    told = re.findall(r"^\|.*\|$", page, re.MULTILINE)
    missing = [line for line in overview(read_tables(SHIPPED)) if line not in told]
    assert missing == [], "run: python benchmarks/record.py --report"
