"""Figures with intervals that one command measures and another puts on a page, as CSV in between.

A figure stands in a row and a column of one of a command's tables; `form` is how it is written, a
format specification such as `.3f` or `+.0%`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tuner.benchmark import columns
from tuner.benchmark.intervals import Figure

HEADS = ("table", "row", "column", "value", "low", "high", "form")
ABSENT = "-"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One figure, and where it stands."""

    table: str
    row: str
    column: str
    figure: Figure
    form: str = ".3f"

    @property
    def text(self) -> str:
        """The number with its interval, as a reader sees it."""
        return f"{self.figure:{self.form}}"


def save(path: Path, measured: Iterable[Measured]) -> None:
    """Write figures, in their order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(HEADS)
        for one in measured:
            ends = ["" if end is None else repr(end) for end in (one.figure.low, one.figure.high)]
            place = (one.table, one.row, one.column)
            writer.writerow([*place, repr(one.figure.value), *ends, one.form])


def load(path: Path) -> list[Measured]:
    """Read figures.

    Raises:
        ValueError: the file is not one of figures; the text names the file and the line.
    """
    found = []
    with path.open(encoding="utf-8", newline="") as stream:
        for line, cells in enumerate(csv.reader(stream), 1):
            if line == 1 and tuple(cells) == HEADS:
                continue
            try:
                table, row, column, value, low, high, form = cells
                ends = [float(end) if end else None for end in (low, high)]
                figure = Figure(float(value), *ends)
                found.append(
                    Measured(table=table, row=row, column=column, figure=figure, form=form)
                )
            except ValueError as error:
                raise ValueError(f"{path} line {line}: not a line of figures: {error}") from error
    return found


def as_rows(measured: Sequence[Measured], corner: str) -> list[list[str]]:
    """One table's figures as cells, rows and columns in the order they come, the heads first."""
    cells = {(one.row, one.column): one.text for one in measured}
    heads = list(dict.fromkeys(one.column for one in measured))
    names = list(dict.fromkeys(one.row for one in measured))
    body = [[name, *(cells.get((name, head), ABSENT) for head in heads)] for name in names]
    return [[corner, *heads], *body]


def tables(measured: Iterable[Measured]) -> dict[str, list[Measured]]:
    """The figures of each table, in the order they come."""
    found: dict[str, list[Measured]] = {}
    for one in measured:
        found.setdefault(one.table, []).append(one)
    return found


def as_text(measured: Iterable[Measured], corner: str) -> str:
    """All tables for a terminal, each under its name."""
    return "\n".join(
        "\n".join(["", name, *columns(as_rows(some, corner))])
        for name, some in tables(measured).items()
    )


def joined(words: Sequence[str]) -> str:
    """Words as an enumeration: a, b and c."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
