"""Other people's files of measured configurations: plain CSV, and Kernel Tuner's caches."""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from targets.knobs import Value
from tuner.benchmark.errors import InvalidTable
from tuner.benchmark.tables import FAILED


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a file says: the columns' names, and each row's values with its objective, None where
    the configuration failed."""

    names: tuple[str, ...]
    rows: tuple[tuple[tuple[Value, ...], float | None], ...]


def read_csv(path: Path, *, objective: str, leave_out: Collection[str] = ()) -> Measured:
    """A CSV file with a header, plain or gzipped: each column but the objective's a parameter.

    A row failed where its objective is empty, `nan` or `failed`.

    Raises:
        InvalidTable: the text names the file, the column or the line, and the rule.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as stream:
            head, *lines = list(csv.reader(stream)) or [[]]
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidTable(f"{path}: cannot be read: {error}") from error
    for name in (objective, *leave_out):
        if name not in head:
            raise InvalidTable(f"{path}: no column {name!r}; there are {', '.join(head)}")
    if len(set(head)) < len(head):
        raise InvalidTable(f"{path}: two columns share a name")
    kept = [at for at, name in enumerate(head) if name != objective and name not in leave_out]
    rows = []
    for number, cells in enumerate(lines, 2):
        if not cells:
            continue
        if len(cells) != len(head):
            raise InvalidTable(f"{path} line {number}: {len(cells)} cells, not {len(head)}")
        value = _objective(f"{path} line {number}", cells[head.index(objective)])
        rows.append((tuple(cells[at].strip() for at in kept), value))
    names = tuple(head[at] for at in kept)
    return Measured(names=names, rows=tuple(_typed(rows)))


def read_kernel_tuner(path: Path, *, objective: str = "time") -> Measured:
    """A Kernel Tuner cache file, plain or gzipped; one cut off in the middle of a run is read too.

    A row failed where its objective is one of Kernel Tuner's error texts.

    Source: the cache format of Kernel Tuner (kernel_tuner/util.py, `store_cache`), which appends
    entries and closes the braces only at the end.

    Raises:
        InvalidTable: it is no such file, or has no such objective.
    """
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InvalidTable(f"{path}: cannot be read: {error}") from error
    cache = _cache(path, text)
    names = cache.get("tune_params_keys")
    entries = cache.get("cache")
    if not isinstance(names, list) or not isinstance(entries, dict):
        raise InvalidTable(
            f"{path}: a Kernel Tuner cache has tune_params_keys and cache; here are "
            f"{', '.join(cache)}"
        )
    rows = []
    for key, entry in entries.items():
        subject = f"{path} entry {key}"
        missing = [name for name in (*names, objective) if name not in entry]
        if missing:
            raise InvalidTable(
                f"{subject} lacks {', '.join(missing)}; it has {', '.join(entry)} "
                "(--objective names what to improve)"
            )
        value = entry[objective]
        failed = isinstance(value, str) or value is None
        number = None if failed else _objective(subject, str(value))
        row = tuple(entry[name] for name in names)
        if not all(isinstance(one, bool | int | float | str) for one in row):
            raise InvalidTable(f"{subject}: a parameter's value is a number or a text: {row!r}")
        rows.append((row, number))
    return Measured(names=tuple(names), rows=tuple(rows))


def _cache(path: Path, text: str) -> dict[str, Any]:
    """The cache as JSON, its braces closed where the run that wrote it was cut off."""
    for ending in ("", "}\n}"):
        try:
            cache = json.loads(text.rstrip().rstrip(",") + ending if ending else text)
        except ValueError as error:
            wrong = error
            continue
        if isinstance(cache, dict):
            return cache
        raise InvalidTable(f"{path}: must hold one JSON object")
    raise InvalidTable(f"{path}: cannot be read as JSON: {wrong}")


def _objective(subject: str, cell: str) -> float | None:
    text = cell.strip().lower()
    if text in ("", "nan", FAILED):
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    if not math.isfinite(value):
        raise InvalidTable(f"{subject}: {cell!r} is no finite number, and not empty or {FAILED!r}")
    return value


def _typed(
    rows: Sequence[tuple[tuple[str, ...], float | None]],
) -> Iterator[tuple[tuple[Value, ...], float | None]]:
    """Columns whose cells are all numbers as numbers, whole ones as whole."""
    columns = [_numbers(column) for column in zip(*(row for row, _ in rows), strict=True)]
    for at, (_, value) in enumerate(rows):
        yield tuple(column[at] for column in columns), value


def _numbers(cells: Sequence[str]) -> Sequence[Value]:
    try:
        numbers = [float(cell) for cell in cells]
    except ValueError:
        return cells
    if not all(map(math.isfinite, numbers)):
        return cells
    if all(number.is_integer() for number in numbers):
        return [int(number) for number in numbers]
    return numbers
