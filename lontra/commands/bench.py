"""`lontra bench`: recommenders and other people's optimizers side by side on recorded systems."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lontra.commands.bench_convert import convert_command
from lontra.text import duration

if TYPE_CHECKING:
    from tuner.benchmark import Entry, Run

REFERENCE = "peer:optuna-tpe-mv"

_FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)
_FILE = click.Path(path_type=Path, dir_okay=False)
_EXISTING = click.Path(path_type=Path, dir_okay=False, exists=True)


def _names(_: click.Context, __: click.Parameter, given: Iterable[str]) -> list[str]:
    """Names out of a repeatable option, each time with commas between; none twice."""
    names = [name.strip() for text in given for name in text.split(",")]
    return list(dict.fromkeys(name for name in names if name))


@click.group("bench")
def bench_command() -> None:
    """Compare recommenders and other people's optimizers on recorded systems.

    \b
    Examples:
      lontra bench tables                          the tables that come with Lontra
      lontra bench replay --seeds 3 --budget 50    auto against random and Optuna on them
      lontra bench replay --data tables --peers smac,optuna-tpe-mv --out runs.csv
      lontra bench report runs.csv --markdown benchmarks.md
      lontra bench reach runs.csv --data tables    evaluations until 95 % of the best
    """


@bench_command.command("replay")
@click.option(
    "--data",
    type=_FOLDER,
    help="A folder of tables, those in folders below it too [default: Lontra's own].",
)
@click.option(
    "--tasks",
    multiple=True,
    callback=_names,
    metavar="NAMES",
    help="Only these tables, with commas between; * and ? stand for any text and character "
    "[default: those outside transfer groups; with --history, the groups' targets].",
)
@click.option(
    "--recommenders",
    multiple=True,
    default=["auto"],
    callback=_names,
    metavar="NAMES",
    help="Recommenders to run, with commas between [default: auto]. Options follow a name: "
    "gp:option=value. NAME:deterministic is told that a configuration always gives the same "
    "value. An empty text runs none.",
)
@click.option(
    "--peers",
    multiple=True,
    default=["random,optuna-tpe-mv"],
    callback=_names,
    metavar="NAMES",
    help="Other people's optimizers to run, with commas between [default: random,optuna-tpe-mv]; "
    "see `lontra bench peers`. An empty text runs none.",
)
@click.option(
    "--seeds",
    default=10,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="Runs of each contestant on each table.",
)
@click.option(
    "--budget",
    default=100,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="Evaluations a run.",
)
@click.option(
    "--noise",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0, 2),
    help="Each evaluation is multiplied by a random factor whose logarithm has this standard "
    "deviation; scored is the true value of the configuration that the contestant names.",
)
@click.option(
    "--history",
    default=0,
    show_default=True,
    type=click.IntRange(0, 100_000),
    help="Contestants know so many random rows of each source of the table's transfer group.",
)
@click.option(
    "--mislead",
    default="no",
    show_default=True,
    type=click.Choice(["no", "add", "only"]),
    help="With --history: a source whose objective is negated is added, or all of them are so.",
)
@click.option(
    "--out",
    type=_FILE,
    help="Keep the runs in this CSV file, each as it ends; runs it has are not made again.",
)
@click.option("--html", type=_FILE, help="Draw the curves to this page.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 1024),
    help="Runs side by side, a process each [default: one a core].",
)
@click.option(
    "--peer-python",
    "pythons",
    multiple=True,
    metavar="NAME=PYTHON",
    help="The interpreter of a peer that has an environment of its own; repeatable.",
)
@click.option("--reference", help=f"Whom to compare with [default: {REFERENCE} where it runs].")
@click.option("--per-task", is_flag=True, help="Print each table apart, too.")
def replay_command(**options: Any) -> None:
    """Run contestants on recorded tables and print regret, rank, repeats and time.

    A table answers in place of the system, so a run takes seconds and is the same for the same
    seed. Ctrl-C loses no run that has ended; with --out the same command goes on.

    \b
    Examples:
      lontra bench replay --recommenders auto,gp --peers random,optuna-tpe-mv,smac
      lontra bench replay --data tables --noise 0.05 --budget 50 --out noise.csv --html noise.html
      lontra bench replay --data tables --history 200 --peers warm-tpe --seeds 30
      lontra bench replay --data tables --peers hebo --peer-python hebo=/opt/hebo/bin/python
    """
    from tuner.benchmark import (
        RECORDED,
        Mislead,
        ResultsFile,
        Setting,
        choose_tables,
        load_tables,
        plan,
        run_all,
    )

    if options["mislead"] != "no" and not options["history"]:
        raise click.UsageError("--mislead needs --history: there is no source to mislead with")
    entries = _entries(options["recommenders"], options["peers"], options["pythons"])
    tables = load_tables(options["data"] or RECORDED)
    chosen = choose_tables(tables, options["tasks"], history=options["history"])
    setting = Setting(
        budget=options["budget"],
        noise=options["noise"],
        history=options["history"],
        mislead=Mislead(options["mislead"]),
    )
    jobs = plan(tables, chosen, entries, seeds=options["seeds"], setting=setting)
    try:
        runs, broken = run_all(
            jobs,
            ResultsFile(options["out"]) if options["out"] else None,
            processes=options["jobs"] or len(os.sched_getaffinity(0)),
            progress=_progress(),
        )
    except BrokenExecutor as error:
        raise click.ClickException(
            "a process of the benchmark died (killed, or out of memory); runs that had ended are "
            "in the file of --out: give the same command again, with fewer --jobs"
        ) from error
    if runs:
        _show(runs, options["reference"], options["html"], per_task=options["per_task"])
    if broken:
        lines = [
            f"  {one.contestant} on {one.task}, seed {one.seed}: {one.reason}" for one in broken
        ]
        raise click.ClickException(
            f"{len(broken)} of {len(jobs)} runs broke off and are missing above:\n"
            + "\n".join(lines)
        )


@bench_command.command("report")
@click.argument("files", nargs=-1, required=True, type=_EXISTING)
@click.option("--only", multiple=True, callback=_names, help="Only these contestants.")
@click.option("--tasks", multiple=True, callback=_names, help="Only these tables.")
@click.option("--reference", help=f"Whom to compare with [default: {REFERENCE} where it ran].")
@click.option("--markdown", type=_FILE, help="Also write the tables to this Markdown file.")
@click.option("--html", type=_FILE, help="Also draw the curves to this page.")
@click.option("--per-task", is_flag=True, help="Print each table apart, too.")
def report_command(
    files: tuple[Path, ...],
    *,
    only: list[str],
    tasks: list[str],
    reference: str | None,
    markdown: Path | None,
    html: Path | None,
    per_task: bool,
) -> None:
    """Print again what `lontra bench replay --out` kept; several files count as one.

    Compared are the tables that every contestant has runs of; `--only` leaves out contestants that
    ran on few.

    \b
    Example:
      lontra bench report cold.csv smac.csv --only auto,peer:optuna-tpe-mv,peer:smac
    """
    from tuner.benchmark import read_runs

    runs = [
        run
        for run in read_runs(files)
        if (not only or run.contestant in only) and (not tasks or run.task in tasks)
    ]
    if not runs:
        raise click.ClickException("no run is left to report")
    _show(runs, reference, html, per_task=per_task, markdown=markdown)


@bench_command.command("reach")
@click.argument("files", nargs=-1, required=True, type=_EXISTING)
@click.option("--data", type=_FOLDER, help="The folder of their tables [default: Lontra's own].")
@click.option(
    "--share",
    default=0.95,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="How near the best is near enough.",
)
@click.option("--tasks", multiple=True, callback=_names, help="Only these tables.")
@click.option("--reference", help=f"Whom to compare with [default: {REFERENCE} where it ran].")
@click.option("--markdown", type=_FILE, help="Also write the table to this Markdown file.")
def reach_command(
    files: tuple[Path, ...],
    *,
    data: Path | None,
    share: float,
    tasks: list[str],
    reference: str | None,
    markdown: Path | None,
) -> None:
    """Print how many evaluations each contestant took to come near the best row.

    Compared seed by seed with the reference, for each table and over all; a run that never came
    near counts as one evaluation more than its budget.

    \b
    Example:
      lontra bench replay --recommenders auto --peers optuna-tpe-mv --seeds 10 --out own.csv
      lontra bench reach own.csv --tasks 'sqlite*,matmul*,cache*'
    """
    from fnmatch import fnmatchcase

    from tuner.benchmark import (
        RECORDED,
        columns,
        load_tables,
        markdown_table,
        reach,
        reach_rows,
        read_runs,
    )

    runs = [
        run
        for run in read_runs(files)
        if not tasks or any(fnmatchcase(run.task, pattern) for pattern in tasks)
    ]
    if len({run.setting for run in runs}) > 1:
        raise click.ClickException(
            "these runs were made under different rules (budget, noise or history): give one file"
        )
    labels = list(dict.fromkeys(run.contestant for run in runs))
    if not labels:
        raise click.ClickException("no run is left to report")
    usual = REFERENCE if REFERENCE in labels else labels[0]
    lines = reach(runs, load_tables(data or RECORDED), reference=reference or usual, share=share)
    rows = reach_rows(lines, share=share)
    click.echo("\n".join(columns(rows)))
    if markdown:
        markdown.write_text("\n".join(markdown_table(rows)) + "\n", "utf-8")


@bench_command.command("tables")
@click.option("--data", type=_FOLDER, help="A folder of tables [default: Lontra's own].")
def tables_command(data: Path | None) -> None:
    """List recorded tables: family, rows, parameters, and what they are of."""
    from tuner.benchmark import RECORDED, columns, load_tables

    rows = [["table", "family", "goal", "rows", "parameters", "complete", "role", "note"]]
    for table in load_tables(data or RECORDED):
        rows.append(
            [
                table.name,
                table.family,
                str(table.direction),
                str(len(table)),
                str(len(table.parameters)),
                "yes" if table.complete else "no",
                f"{table.role} of {table.group}" if table.role else "",
                table.note,
            ]
        )
    click.echo("\n".join(columns(rows)))


@bench_command.command("peers")
def peers_command() -> None:
    """List the peers, and whether each can run here."""
    from tuner.benchmark import columns
    from tuner.benchmark.peers import PEERS, missing

    rows = [[name, missing(name) or "ready", entry.summary] for name, entry in PEERS.items()]
    click.echo("\n".join(columns(rows)))


bench_command.add_command(convert_command)


def _entries(
    recommenders: Iterable[str], peers: Iterable[str], pythons: Iterable[str]
) -> list[Entry]:
    """The contestants, each seen to be able to run before any does."""
    from tuner.benchmark import Entry
    from tuner.benchmark.peers import check_peer
    from tuner.registry import load_recommender

    interpreters = {}
    for text in pythons:
        name, equals, python = text.partition("=")
        if not equals or not python:
            raise click.BadParameter(f"{text!r}: write NAME=PYTHON", param_hint="--peer-python")
        interpreters[name] = python
    entries = [Entry.recommender(text) for text in recommenders]
    for entry in entries:
        load_recommender(entry.name)(entry.options)
    for name in peers:
        python = interpreters.get(name, "")
        check_peer(name, python=python)
        entries.append(Entry(name=name, peer=True, python=python))
    if not entries:
        raise click.UsageError("nobody to run: name --recommenders or --peers")
    return entries


def _show(
    runs: list[Run],
    reference: str | None,
    html: Path | None,
    *,
    per_task: bool,
    markdown: Path | None = None,
) -> None:
    from tuner.benchmark import as_markdown, as_text, curves_page, summarise

    labels = list(dict.fromkeys(run.contestant for run in runs))
    usual = REFERENCE if REFERENCE in labels else labels[0]
    summaries = summarise(runs, reference=reference or usual)
    for summary in summaries:
        click.echo(as_text(summary, per_task=per_task))
    if markdown:
        markdown.write_text("\n".join(map(as_markdown, summaries)).lstrip() + "\n", "utf-8")
    if html:
        html.write_text(curves_page(summaries), "utf-8")
        click.echo(f"\ncurves: {html}")


def _progress() -> Callable[[int, int], None]:
    """Tells on standard error how many runs are made and about how long the rest will take: on a
    terminal in one line that changes, elsewhere in a line each tenth of the way."""
    began = time.monotonic()
    terminal = sys.stderr.isatty()

    def tell(done: int, total: int) -> None:
        if not total or not (terminal or done == total or done % max(1, total // 10) == 0):
            return
        text = f"{done} of {total} runs"
        if 0 < done < total:
            left = (time.monotonic() - began) * (total - done) / done
            text += f", about {duration(left)} left"
        ends = terminal and done < total
        click.echo(f"\r{text:<60}" if terminal else text, err=True, nl=not ends)

    return tell
