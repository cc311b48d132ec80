"""Recorded tables: every measured configuration of a system, to be searched without the system.

A table is two files beside each other: NAME.json says what it is, NAME.csv.gz (or NAME.csv) has
one row a measured configuration. docs/replay-benchmark.md gives the format.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from targets.knobs import Configuration, Value
from targets.metrics import Direction
from tuner.benchmark.errors import InvalidTable
from tuner.benchmark.parameters import OBJECTIVE_COLUMN, Parameter, one_of, read_parameters

RECORDED = Path(__file__).parent / "recorded"
"""Tables that Lontra recorded from its own targets; they come with the package."""

FAILED = "failed"
"""Stands in the objective's column of a row whose configuration could not be measured; an empty
cell says the same."""

Point = NDArray[np.float64]
"""A configuration in a table's own terms: (n_parameters,), a level's index or the number."""


class Role(StrEnum):
    """What a table of a transfer group is for."""

    SOURCE = "source"
    TARGET = "target"


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """One recorded system.

    `rows`: (n_rows, n_parameters) float64, level indices and numbers. `values`: (n_rows,) float64,
    the objective; NaN where the configuration failed. `complete`: every feasible configuration has
    its row. `group` and `role` are set where the table belongs to a transfer group.
    """

    name: str
    family: str
    direction: Direction
    parameters: tuple[Parameter, ...]
    rows: NDArray[np.float64]
    values: NDArray[np.float64]
    complete: bool
    group: str = ""
    role: Role | None = None
    note: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def params(self) -> list[dict[str, Any]]:
        """The space as `tuner.space_from_params` takes it, with nothing in it that a peer is not
        told, such as which parameters act only under others."""
        return [parameter.plain() for parameter in self.parameters]

    def configuration(self, point: Point | Sequence[float]) -> dict[str, Value]:
        """The configuration a point stands for."""
        return {
            parameter.name: parameter.decode(float(number))
            for parameter, number in zip(self.parameters, point, strict=True)
        }

    def point(self, configuration: Configuration) -> Point:
        """The point of a configuration.

        Raises:
            KeyError: a parameter is missing.
            ValueError: a value is no level of its parameter.
        """
        return np.array([one.encode(configuration[one.name]) for one in self.parameters])

    @classmethod
    def load(cls, description: Path) -> Table:
        """Read NAME.json and the rows beside it.

        Raises:
            InvalidTable: the text names the file, the place in it, the value and the rule.
        """
        fields = _read_description(description)
        parameters = tuple(read_parameters(description, fields["params"]))
        rows, values = _read_rows(_rows_path(description), parameters)
        declared = fields.get("rows", len(rows))
        if declared != len(rows):
            raise InvalidTable(f"{description}: rows is {declared!r}, but {len(rows)} are there")
        return cls(
            name=fields["task"],
            family=fields["family"],
            direction=Direction(fields["direction"]),
            parameters=parameters,
            rows=rows,
            values=values,
            complete=_is_complete(description, fields),
            group=fields.get("transfer_group", ""),
            role=Role(fields["role"]) if "role" in fields else None,
            note=fields.get("note", ""),
        )


def load_tables(folder: Path) -> tuple[Table, ...]:
    """Every table in a folder and those below it, by name.

    Raises:
        InvalidTable: there is none, one is not in the agreed form, or two share a name.
    """
    tables = [Table.load(path) for path in sorted(folder.rglob("*.json"))]
    if not tables:
        raise InvalidTable(
            f"{folder}: no table here; a table is NAME.json with NAME.csv.gz beside it "
            "(lontra bench convert writes them)"
        )
    tables.sort(key=lambda table: table.name)
    for one, other in pairwise(tables):
        if one.name == other.name:
            raise InvalidTable(f"{folder}: two tables are named {one.name}; rename one")
    return tuple(tables)


def _read_description(path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidTable(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(fields, dict):
        raise InvalidTable(f"{path}: must hold one JSON object")
    for name in ("task", "family"):
        if not isinstance(fields.get(name), str) or not fields[name]:
            raise InvalidTable(f"{path}: {name} is {fields.get(name)!r}, but must be a name")
    one_of(str(path), fields, "direction", Direction)
    if "role" in fields:
        one_of(str(path), fields, "role", Role)
        if not fields.get("transfer_group"):
            raise InvalidTable(f"{path}: a table with a role needs a transfer_group")
    if not isinstance(fields.get("params"), list) or not fields["params"]:
        raise InvalidTable(f"{path}: params must be a list of at least one parameter")
    return fields


def _is_complete(path: Path, fields: Mapping[str, Any]) -> bool:
    """As the table says, or as its note begins: older tables say it in words only."""
    stated = fields.get("complete")
    if isinstance(stated, bool):
        return stated
    if stated is not None:
        raise InvalidTable(f"{path}: complete is {stated!r}, but must be true or false")
    return str(fields.get("note", "")).lower().startswith(("all valid", "complete"))


def _rows_path(description: Path) -> Path:
    for suffix in (".csv.gz", ".csv"):
        path = description.with_name(description.stem + suffix)
        if path.exists():
            return path
    raise InvalidTable(f"{description}: {description.stem}.csv.gz is not beside it")


def _read_rows(
    path: Path, parameters: Sequence[Parameter]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The rows and their objective, each cell checked."""
    columns = [*(parameter.name for parameter in parameters), OBJECTIVE_COLUMN]
    points: dict[tuple[float, ...], int] = {}
    values: list[float] = []
    for line, cells in _lines(path):
        if line == 1:
            if cells != columns:
                raise InvalidTable(
                    f"{path}: its columns are {', '.join(cells)}, but must be {', '.join(columns)}"
                )
            continue
        if len(cells) != len(columns):
            raise InvalidTable(f"{path} line {line}: {len(cells)} cells, not {len(columns)}")
        point = tuple(
            _number(path, line, parameter.name, cell, parameter)
            for parameter, cell in zip(parameters, cells, strict=False)
        )
        first = points.setdefault(point, line)
        if first != line:
            raise InvalidTable(f"{path} line {line}: the same configuration as line {first}")
        if cells[-1].strip().lower() in ("", FAILED):
            values.append(math.nan)
        else:
            values.append(_number(path, line, OBJECTIVE_COLUMN, cells[-1]))
    measured = np.array(values)
    if np.isnan(measured).all():
        raise InvalidTable(f"{path}: no row has a value for {OBJECTIVE_COLUMN}")
    return np.array(list(points), dtype=np.float64), measured


def _lines(path: Path) -> Iterable[tuple[int, list[str]]]:
    """Line numbers, counted from 1, and cells; empty lines left out."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8", newline="") as stream:
            for line, cells in enumerate(csv.reader(stream), 1):
                if cells:
                    yield line, cells
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidTable(f"{path}: cannot be read: {error}") from error


def _number(
    path: Path, line: int, column: str, cell: str, parameter: Parameter | None = None
) -> float:
    try:
        number = float(cell)
    except ValueError:
        number = math.nan
    rule = "it must be a finite number"
    if math.isfinite(number):
        rule = parameter.problem(number) if parameter else ""
    if rule:
        raise InvalidTable(f"{path} line {line}, column {column}: {cell!r}; {rule}")
    return number
