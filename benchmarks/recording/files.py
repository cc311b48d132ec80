"""Writes and reads recorded tables: TASK.json and TASK.csv.gz, the replay benchmark's format."""

from __future__ import annotations

import csv
import gzip
import io
import json
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from recording.recorder import Recorder
from recording.summary import Summary

DIGITS = 6
"""Significant digits of a value: far below any noise."""

COLUMNS = (
    "table", "rows", "distinct", "failed", "unit", "best", "default", "median",
    "best is better than default", "than median", "noise",
)  # fmt: skip
"""Of the overview. Distinct: configurations that do not act the same."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A table as it lies in a folder: what its json says, level indices and value of each row."""

    about: dict[str, Any]
    rows: tuple[tuple[int, ...], ...]
    values: tuple[float | None, ...]

    @property
    def best(self) -> float:
        """The best value there is."""
        best = min if self.about["direction"] == "min" else max
        return best(value for value in self.values if value is not None)

    @property
    def median(self) -> float:
        """What half of the rows that did not fail are better than."""
        return statistics.median(value for value in self.values if value is not None)

    def times_better(self, value: float) -> float:
        """How many times better than `value` the best is: 1 at least, within noise."""
        return value / self.best if self.about["direction"] == "min" else self.best / value


def write_table(recorder: Recorder, summary: Summary, folder: Path, *, passes: int) -> None:
    """Write a recorded table; the same recording gives the same bytes."""
    table, grid = recorder.table, recorder.grid
    values = [summary.values.get(number) for number in grid.number_of]
    default = summary.values.get(grid.default)
    about: dict[str, Any] = {
        "task": table.task,
        "family": table.family,
        "direction": str(recorder.objective.direction),
        "params": list(grid.params),
        "constraints": list(grid.constraints),
        "rows": len(grid.rows),
        "product_space": grid.product,
        "complete": True,
        "origin": f"recorded by Lontra {version('lontra')}: benchmarks/record.py",
        "licence": "Apache-2.0",
        "note": table.note,
        "recording": {
            "target": table.adapter,
            "settings": dict(table.settings),
            "held": grid.held,
            "objective": table.objective,
            "unit": recorder.objective.unit,
            "machine": recorder.machine(),
            "window_seconds": recorder.description.window_seconds,
            "passes": passes,
            "configurations": len(set(grid.number_of)),
            "failed_rows": values.count(None),
            "deterministic": recorder.objective.deterministic,
            "default": None if default is None else _short(default),
            "noise": _short(summary.noise),
            "noise_uncorrected": _short(summary.noise_uncorrected),
            "drift_corrected": summary.drift_corrected,
            "reference_windows": summary.references,
        },
    }
    if table.group:
        about |= {"transfer_group": table.group, "role": table.role}
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*grid.names, "y"])
    for row, value in zip(grid.rows, values, strict=True):
        writer.writerow([*row, "" if value is None else f"{value:.{DIGITS}g}"])
    folder.mkdir(parents=True, exist_ok=True)
    packed = gzip.compress(text.getvalue().encode(), mtime=0)
    (folder / f"{table.task}.csv.gz").write_bytes(packed)
    (folder / f"{table.task}.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def read_table(path: Path) -> Recorded:
    """Read a table by its json's path."""
    about = json.loads(path.read_text(encoding="utf-8"))
    with gzip.open(path.with_suffix(".csv.gz"), "rt", encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    names = [param["name"] for param in about["params"]]
    if lines[0] != [*names, "y"]:
        raise ValueError(f"{path}: the columns are {lines[0]} instead of {[*names, 'y']}")
    return Recorded(
        about=about,
        rows=tuple(tuple(map(int, line[:-1])) for line in lines[1:]),
        values=tuple(float(line[-1]) if line[-1] else None for line in lines[1:]),
    )


def read_tables(folder: Path) -> list[Recorded]:
    """All tables of a folder, by name."""
    return [read_table(path) for path in sorted(folder.glob("*.json"))]


def overview(tables: list[Recorded]) -> Iterator[str]:
    """A table of the tables, as Markdown: size, headroom and noise of each."""
    yield f"| {' | '.join(COLUMNS)} |"
    yield "|---" * len(COLUMNS) + "|"
    for table in tables:
        recording = table.about["recording"]
        default = recording["default"]
        noise = "none" if recording["deterministic"] else f"{recording['noise']:.1%}"
        cells = (
            f"`{table.about['task']}`",
            f"{len(table.rows):,}",
            f"{recording['configurations']:,}",
            str(recording["failed_rows"]),
            recording["unit"],
            f"{table.best:.4g}",
            "failed" if default is None else f"{default:.4g}",
            f"{table.median:.4g}",
            "" if default is None else f"{table.times_better(default):.2f} times",
            f"{table.times_better(table.median):.2f} times",
            noise,
        )
        yield f"| {' | '.join(cells)} |"


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
