"""Record the product's own benchmark tables: what each configuration of a target comes to.

    python benchmarks/record.py                            all tables, about an hour (see below)
    python benchmarks/record.py --list                     which there are
    python benchmarks/record.py --tasks cache,matmul__128  those whose names begin so
    python benchmarks/record.py --report                   no recording: sizes, headroom and noise

A recorded table lets recommenders be compared without the target: `lontra bench replay` reads it.
Each configuration of a discretised part of a target's space is measured through the target's own
adapter. Deterministic targets (cache-policy) are measured once. The others are measured in several
passes, each in a random order of its own, with a reference configuration in between that follows
the drift of the machine; a table's value is the median over the passes, and its json says how far
the passes agree. A configuration that fails by its own fault is recorded as failed.

Interrupt it whenever you like: the same command goes on from there. What was measured is kept under
--work, a folder a table; --passes may be raised later and only the new passes are then measured. A
table is written to --out once all its passes are there, and again by each later run.

Let the machine do nothing else meanwhile, above all not for sqlite and matmul: their noise is
written into the table. The working folder must be on a disk, not in memory.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from types import FrameType

from recording.files import overview, read_table, read_tables, write_table
from recording.recorder import Progress, Recorder
from recording.summary import summarise
from recording.tables import TABLES, Table
from recording.tape import OtherRecording

from targets.adapter import Adapter
from targets.clock import Clock, SystemClock
from targets.errors import LontraError
from targets.registry import load_adapter

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "tuner" / "benchmark" / "recorded"
REPORT_SECONDS = 10.0
INTERRUPTED_STATUS = 130


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    given = _parser().parse_args(arguments)
    if given.report:
        print("\n".join(overview(read_tables(given.out))))
        return 0
    tables = [table for table in TABLES if _wanted(table.task, given.tasks)]
    if not tables:
        print(f"no table's name begins with {given.tasks}; --list shows them", file=sys.stderr)
        return 2
    if given.list:
        for table in tables:
            print(f"{table.task:22} {table.passes} x {table.adapter:13} {table.note}")
        return 0
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        for table in tables:
            passes = given.passes or table.passes
            record(table, passes=passes, work=given.work, out=given.out, clock=SystemClock())
    except KeyboardInterrupt:
        print("\ninterrupted: the same command goes on from here", file=sys.stderr)
        return INTERRUPTED_STATUS
    except (OtherRecording, LontraError) as error:
        print(f"stopped: {error}", file=sys.stderr)
        return 1
    return 0


def record(table: Table, *, passes: int, work: Path, out: Path, clock: Clock) -> None:
    """Record what is missing of a table, and write it."""
    if table.reference_every == 0:
        passes = 1  # deterministic
    recorder = Recorder(table, work / table.task, open_adapter=_open)
    try:
        with recorder.tape() as tape:
            _show(recorder.record(tape, passes), clock)
            write_table(recorder, summarise(tape, passes), out, passes=passes)
    finally:
        recorder.close()
    print(*overview([read_table(out / f"{table.task}.json")]), sep="\n", flush=True)


def _show(steps: Iterable[Progress], clock: Clock) -> None:
    """Take all steps; print how far it is every few seconds."""
    started = shown = clock.monotonic()
    for step in steps:
        now = clock.monotonic()
        if now - shown < REPORT_SECONDS and step.left:
            continue
        shown = now
        each = (now - started) / step.done
        print(
            f"{step.task}: pass {step.pass_number + 1} of {step.passes}, "
            f"{step.left} measurements left, {each:.2f} s each, "
            f"{step.failed} configurations failed, "
            f"{each * step.left / 60:.1f} minutes to go",
            flush=True,
        )


def _open(table: Table, workdir: Path) -> Adapter:
    return load_adapter(table.adapter)(table.settings, workdir)


def _wanted(task: str, prefixes: str) -> bool:
    return task.startswith(tuple(prefix.strip() for prefix in prefixes.split(",")))


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--tasks", default="", metavar="NAME,...", help="only tables whose names begin so"
    )
    parser.add_argument(
        "--passes",
        type=_positive,
        metavar="N",
        help="how often each configuration is measured; default: as the table says (--list)",
    )
    parser.add_argument("--out", type=Path, default=SHIPPED, help="where tables go; %(default)s")
    parser.add_argument(
        "--work",
        type=Path,
        default=ROOT / "build" / "recording",
        help="where measurements are kept and targets have their files; %(default)s",
    )
    parser.add_argument("--list", action="store_true", help="list the tables and end")
    parser.add_argument(
        "--report", action="store_true", help="describe the tables in --out, as Markdown, and end"
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} passes: it takes 1 at least")
    return number


if __name__ == "__main__":
    sys.exit(main())
