"""Results on disk: one line a run, written as it ends, so that a benchmark can be gone on with."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tuner.benchmark.errors import InvalidResults
from tuner.benchmark.evaluating import Mislead, Run, Setting

COLUMNS = (
    "task",
    "family",
    "complete",
    "contestant",
    "seed",
    "budget",
    "noise",
    "history",
    "mislead",
    "evaluations",
    "repeated_rows",
    "repeated_points",
    "remeasured",
    "failures",
    "ms_cpu",
    "ms_wall",
    "lanes",
    "regrets",
)
"""`lanes` is JSON, `regrets` one number an evaluation with blanks between."""

Key = tuple[str, str, int, Setting]
"""What tells one run from another: table, contestant, seed, setting."""


def key(run: Run) -> Key:
    """The key of a run."""
    return run.task, run.contestant, run.seed, run.setting


class ResultsFile:
    """A CSV file of runs that grows; a line that was cut off by a crash is dropped at opening.

    Raises:
        InvalidResults: the file is there and is not one of results.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._drop_torn_line()
        self.runs: list[Run] = list(read_runs([path])) if path.exists() else []

    def append(self, run: Run) -> None:
        """Write a run to the file, and to the disk."""
        self.runs.append(run)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8", newline="") as stream:
            if stream.tell() == 0:
                writer.writerow(COLUMNS)
            writer.writerow(_cells(run))
            stream.write(text.getvalue())
            stream.flush()
            os.fsync(stream.fileno())

    def _drop_torn_line(self) -> None:
        if not self.path.exists():
            return
        with self.path.open("r+b") as stream:
            content = stream.read()
            if content and not content.endswith(b"\n"):
                stream.truncate(content.rfind(b"\n") + 1)


def read_runs(paths: Sequence[Path]) -> Iterator[Run]:
    """The runs of several files; of one that stands in two of them, the later.

    Raises:
        InvalidResults: the text names the file, the line and what is wrong.
    """
    found: dict[Key, Run] = {}
    for path in paths:
        try:
            with path.open(encoding="utf-8", newline="") as stream:
                found.update({key(run): run for run in _runs(path, csv.reader(stream))})
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise InvalidResults(f"{path}: cannot be read: {error}") from error
    yield from found.values()


def _runs(path: Path, lines: Iterable[list[str]]) -> Iterator[Run]:
    for line, cells in enumerate(lines, 1):
        if line == 1:
            if tuple(cells) != COLUMNS:
                raise InvalidResults(
                    f"{path}: not a file of results: its first line must be {','.join(COLUMNS)}"
                )
            continue
        try:
            yield _run(dict(zip(COLUMNS, cells, strict=True)))
        except (ValueError, KeyError, AttributeError) as error:
            raise InvalidResults(f"{path} line {line}: {error}") from error


def _cells(run: Run) -> list[str]:
    setting = run.setting
    return [
        run.task,
        run.family,
        str(run.complete).lower(),
        run.contestant,
        str(run.seed),
        str(setting.budget),
        repr(setting.noise),
        str(setting.history),
        str(setting.mislead),
        str(run.evaluations),
        str(run.repeated_rows),
        str(run.repeated_points),
        str(run.remeasured),
        str(run.failures),
        repr(run.ms_cpu),
        repr(run.ms_wall),
        json.dumps(dict(sorted(run.lanes.items())), separators=(",", ":")),
        " ".join(f"{regret:.6g}" for regret in run.regrets),
    ]


def _run(cells: dict[str, str]) -> Run:
    setting = Setting(
        budget=int(cells["budget"]),
        noise=float(cells["noise"]),
        history=int(cells["history"]),
        mislead=Mislead(cells["mislead"]),
    )
    regrets = tuple(map(float, cells["regrets"].split()))
    if len(regrets) != setting.budget:
        raise ValueError(f"{len(regrets)} regrets for a budget of {setting.budget}")
    return Run(
        task=cells["task"],
        family=cells["family"],
        complete=_flag(cells["complete"]),
        contestant=cells["contestant"],
        seed=int(cells["seed"]),
        setting=setting,
        regrets=regrets,
        evaluations=int(cells["evaluations"]),
        repeated_rows=int(cells["repeated_rows"]),
        repeated_points=int(cells["repeated_points"]),
        remeasured=int(cells["remeasured"]),
        failures=int(cells["failures"]),
        ms_cpu=float(cells["ms_cpu"]),
        ms_wall=float(cells["ms_wall"]),
        lanes={lane: int(count) for lane, count in json.loads(cells["lanes"]).items()},
    )


def _flag(cell: str) -> bool:
    if cell not in ("true", "false"):
        raise ValueError(f"{cell!r} is neither true nor false")
    return cell == "true"
