"""Writing a table of what another file holds: the parameters are inferred from their values.

A column with one value is left out. One with two values, or with texts, is categorical; one with
more numbers is ordinal, or a range where it has more values than anybody would list.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from targets.knobs import Value
from targets.metrics import Direction
from tuner.benchmark.errors import InvalidTable
from tuner.benchmark.foreign_files import Measured
from tuner.benchmark.parameters import OBJECTIVE_COLUMN, Parameter, ParameterType
from tuner.benchmark.tables import FAILED

MOST_LEVELS = 64
"""A column with more distinct numbers is a range, not an ordinal."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the file does not say about the table that is made of it."""

    name: str
    family: str
    direction: Direction
    complete: bool = False
    categorical: Collection[str] = ()
    log: Collection[str] = ()
    note: str = ""
    origin: str = ""
    licence: str = ""


@dataclass(frozen=True, kw_only=True)
class Converted:
    """What was written: where, and what became of the rows and columns."""

    path: Path
    rows: int
    failed: int
    merged: int
    """Rows whose configuration stood in another row too; the mean of their values is kept."""
    parameters: tuple[Parameter, ...]
    dropped: tuple[str, ...]
    """Columns with one value throughout."""


def write_table(measured: Measured, wanted: Wanted, folder: Path) -> Converted:
    """Write NAME.json and NAME.csv.gz.

    Raises:
        InvalidTable: nothing was measured, nothing varies, or an option names no column.
    """
    names = measured.names
    subject = f"table {wanted.name}"
    for name in (*wanted.categorical, *wanted.log):
        if name not in names:
            raise InvalidTable(f"{subject}: {name} is no column; there are {', '.join(names)}")
    if OBJECTIVE_COLUMN in names:
        raise InvalidTable(
            f"{subject}: a table's objective is called {OBJECTIVE_COLUMN}; give the column of that "
            "name another"
        )
    parameters = tuple(_parameters(measured, wanted))
    if not parameters:
        raise InvalidTable(f"{subject}: no column has more than one value")
    values = _merged(measured, parameters)
    if all(value is None for value in values.values()):
        raise InvalidTable(f"{subject}: no row was measured")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{wanted.name}.json"
    path.write_text(_description(wanted, parameters, len(values)), encoding="utf-8")
    _write_rows(folder / f"{wanted.name}.csv.gz", parameters, values)
    varied = {parameter.name for parameter in parameters}
    return Converted(
        path=path,
        rows=len(values),
        failed=sum(value is None for value in values.values()),
        merged=len(measured.rows) - len(values),
        parameters=parameters,
        dropped=tuple(name for name in names if name not in varied),
    )


def _parameters(measured: Measured, wanted: Wanted) -> Iterator[Parameter]:
    for at, name in enumerate(measured.names):
        values = [row[at] for row, _ in measured.rows]
        if len(set(values)) > 1:
            yield _parameter(
                name, values, categorical=name in wanted.categorical, log=name in wanted.log
            )


def _merged(
    measured: Measured, parameters: Sequence[Parameter]
) -> dict[tuple[float, ...], float | None]:
    """Each configuration once, in order, with the mean of its values; failed where it has none."""
    places = [measured.names.index(parameter.name) for parameter in parameters]
    found: dict[tuple[float, ...], list[float | None]] = defaultdict(list)
    for row, value in measured.rows:
        cells = (row[place] for place in places)
        point = tuple(one.encode(cell) for one, cell in zip(parameters, cells, strict=True))
        found[point].append(value)
    return {point: _mean(values) for point, values in sorted(found.items())}


def _parameter(name: str, values: Sequence[Value], *, categorical: bool, log: bool) -> Parameter:
    numbers = [value for value in values if not isinstance(value, bool | str)]
    distinct = list(dict.fromkeys(values))
    if len(numbers) < len(values) or categorical or len(distinct) == 2:
        ordered = sorted(distinct, key=lambda value: (isinstance(value, str), value))
        return Parameter(name=name, type=ParameterType.CATEGORICAL, values=tuple(ordered))
    if len(distinct) <= MOST_LEVELS and not log:
        return Parameter(name=name, type=ParameterType.ORDINAL, values=tuple(sorted(distinct)))
    low, high = float(min(numbers)), float(max(numbers))
    if log and low <= 0:
        raise InvalidTable(f"column {name}: a log scale needs values above 0, not {low:g}")
    whole = all(isinstance(number, int) for number in numbers)
    kind = ParameterType.INTEGER if whole else ParameterType.REAL
    return Parameter(name=name, type=kind, low=low, high=high, log=log)


def _mean(values: Sequence[float | None]) -> float | None:
    """Of the values measured; None where none was."""
    measured = [value for value in values if value is not None]
    return fmean(measured) if measured else None


def _description(wanted: Wanted, parameters: Sequence[Parameter], rows: int) -> str:
    sizes = [len(one.values) for one in parameters]
    fields: dict[str, Any] = {
        "task": wanted.name,
        "family": wanted.family,
        "direction": str(wanted.direction),
        "params": [parameter.plain() for parameter in parameters],
        "rows": rows,
        "complete": wanted.complete,
    }
    if all(sizes):
        fields["product_space"] = math.prod(sizes)
    said = {"note": wanted.note, "origin": wanted.origin, "licence": wanted.licence}
    fields |= {name: text for name, text in said.items() if text}
    return json.dumps(fields, indent=1, ensure_ascii=False) + "\n"


def _write_rows(
    path: Path, parameters: Sequence[Parameter], means: Mapping[tuple[float, ...], float | None]
) -> None:
    """With no time stamp in the file, so that the same rows give the same bytes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*(parameter.name for parameter in parameters), OBJECTIVE_COLUMN])
    for point, value in means.items():
        cells = [
            f"{number!r}" if parameter.type is ParameterType.REAL else f"{int(number)}"
            for parameter, number in zip(parameters, point, strict=True)
        ]
        writer.writerow([*cells, FAILED if value is None else repr(value)])
    path.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))
