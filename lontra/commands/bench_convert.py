"""`lontra bench convert`: recorded tables out of other people's files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tuner.benchmark.foreign_files import Measured

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


def _shared(command: Callable[..., None]) -> Callable[..., None]:
    """The argument and options of every converter."""
    options = (
        click.argument("file", type=_FILE),
        click.option(
            "--out",
            required=True,
            type=click.Path(path_type=Path, file_okay=False),
            help="The folder the table is written to, as NAME.json and NAME.csv.gz.",
        ),
        click.option("--name", help="The table's name [default: the file's]."),
        click.option("--family", help="What kind of system it is of, for figures by family."),
        click.option(
            "--direction",
            default="min",
            show_default=True,
            type=click.Choice(["min", "max"]),
            help="Whether less or more of the objective is better.",
        ),
        click.option(
            "--complete",
            is_flag=True,
            help="Every feasible configuration is in the file.",
        ),
        click.option(
            "--categorical",
            multiple=True,
            metavar="COLUMN",
            help="This column's numbers have no order; repeatable.",
        ),
        click.option(
            "--log",
            multiple=True,
            metavar="COLUMN",
            help="This column is a range on a logarithmic scale; repeatable.",
        ),
        click.option("--note", default="", help="What was measured, in a line."),
        click.option("--origin", default="", help="Where the measurements come from."),
        click.option("--licence", default="", help="Their licence."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group("convert")
def convert_command() -> None:
    """Make a recorded table of a file that holds measured configurations."""


@convert_command.command("csv")
@_shared
@click.option("--objective", required=True, metavar="COLUMN", help="The column to improve.")
@click.option(
    "--leave-out", multiple=True, metavar="COLUMN", help="This column is no parameter; repeatable."
)
def csv_command(file: Path, *, objective: str, leave_out: Sequence[str], **options: Any) -> None:
    """A CSV file with a header: every column but the objective's is a parameter.

    A row failed where its objective is empty, nan or the word failed.

    \b
    Example:
      lontra bench convert csv runs.csv --objective latency_ms --direction min --out tables
    """
    from tuner.benchmark.foreign_files import read_csv

    _write(read_csv(file, objective=objective, leave_out=leave_out), file, options)


@convert_command.command("kernel-tuner")
@_shared
@click.option(
    "--objective", default="time", show_default=True, help="The entry's field to improve."
)
def kernel_tuner_command(file: Path, *, objective: str, **options: Any) -> None:
    """A cache file of Kernel Tuner, plain or gzipped; failed compilations and runs are failures.

    \b
    Example:
      lontra bench convert kernel-tuner gemm_A100.json.gz --complete --out tables
    """
    from tuner.benchmark.foreign_files import read_kernel_tuner

    _write(read_kernel_tuner(file, objective=objective), file, options)


def _write(measured: Measured, file: Path, options: dict[str, Any]) -> None:
    from targets.metrics import Direction
    from tuner.benchmark.converting import Wanted, write_table

    name = options["name"] or file.name.partition(".")[0]
    done = write_table(
        measured,
        Wanted(
            name=name,
            family=options["family"] or name,
            direction=Direction(options["direction"]),
            complete=options["complete"],
            categorical=options["categorical"],
            log=options["log"],
            note=options["note"],
            origin=options["origin"],
            licence=options["licence"],
        ),
        options["out"],
    )
    click.echo(f"{done.path}: {done.rows} configurations, {done.failed} of them failed")
    for parameter in done.parameters:
        levels = ", ".join(map(str, parameter.values))
        click.echo(
            f"  {parameter.name}: {parameter.type} "
            + (levels or f"{parameter.low:g}..{parameter.high:g}{' log' * parameter.log}")
        )
    if done.dropped:
        click.echo(f"left out, always the same: {', '.join(done.dropped)}")
    if done.merged:
        click.echo(f"{done.merged} rows had the configuration of another: their mean is kept")
