"""Small recorded tables for tests of the replay benchmark."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from tuner.benchmark import Table

MODE = {"name": "mode", "type": "categorical", "values": ["a", "b", "c"]}
SIZE = {"name": "size", "type": "ordinal", "values": [1, 2, 4, 8, 16]}
SHARE = {"name": "share", "type": "float", "low": 0.0, "high": 10.0, "log": False}
COUNT = {"name": "count", "type": "int", "low": 1, "high": 1000, "log": True}

Cell = float | str


def write(
    folder: Path,
    name: str,
    params: Sequence[dict[str, Any]],
    rows: Sequence[Sequence[Cell]],
    **fields: Any,
) -> Path:
    """A table's two files; the last cell of a row is its objective."""
    folder.mkdir(parents=True, exist_ok=True)
    described = {"task": name, "family": "toy", "direction": "min", "params": list(params)}
    path = folder / f"{name}.json"
    path.write_text(json.dumps(described | fields))
    with gzip.open(folder / f"{name}.csv.gz", "wt", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*(param["name"] for param in params), "y"])
        writer.writerows(rows)
    return path


def bowl(folder: Path, name: str = "bowl", **fields: Any) -> Path:
    """All 15 configurations of mode and size; the best is b with size 4, where it costs 10."""
    rows = [(m, s, 10 + 5 * abs(m - 1) + 2 * (s - 2) ** 2) for m, s in product(range(3), range(5))]
    return write(folder, name, [MODE, SIZE], rows, **{"complete": True} | fields)


def load(path: Path) -> Table:
    """The table of a description."""
    return Table.load(path)
