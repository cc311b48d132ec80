"""docs/benchmarks.md out of what a comparison kept: every figure on it is computed here."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator

from figures import joined

from comparing import aims, measures, replays
from comparing.kept import Kept, Lines, prose
from tuner.benchmark import Table, markdown_table

NOISES = {"noise-05": 5, "noise-15": 15}
COSTS = ("cost", "cost-with-history")
WIDTH = 100

Section = Callable[[], Lines]


def written(kept: Kept, *, remedy: str) -> str:
    """The whole page.

    Args:
        remedy: the command that runs the parts that are missing.
    """
    lines = [*_introduction(), *_summary(kept), *_tables(kept)]
    absent = []
    for needs, section in _sections(kept):
        if all(kept.has(name) for name in needs):
            lines += section()
        else:
            absent += [name for name in needs if name in kept.parts and not kept.has(name)]
    if absent:
        names = joined([f"`{name}`" for name in dict.fromkeys(absent)])
        lines += ["## Not on this page", ""]
        lines += prose(f"These parts were not run: {names}. `{remedy}` runs them.")
    return "\n".join(_wrapped(lines)).rstrip() + "\n"


def _sections(kept: Kept) -> Iterator[tuple[tuple[str, ...], Section]]:
    """Every section in its place, with the parts it cannot do without."""
    yield ("cold",), lambda: replays.cold(kept)
    yield ("cold", "slow"), lambda: replays.slow(kept)
    yield ("cold", "hebo"), lambda: replays.hebo(kept)
    yield from _some(kept, list(NOISES), lambda names: replays.noise(kept, names))
    yield ("transfer", "transfer-cold"), lambda: replays.transfer(kept)
    if "transfer" in kept.parts:
        yield ("misled",), lambda: []
    yield ("own",), lambda: replays.own(kept)
    yield ("every",), lambda: replays.every(kept)
    yield from _some(kept, list(measures.ABLATIONS), lambda _: measures.ablations(kept))
    yield ("wide",), lambda: measures.wide(kept)
    yield ("fronts",), lambda: measures.fronts(kept)
    yield ("limits",), lambda: measures.limits(kept)
    yield ("short-windows",), lambda: measures.short_windows(kept)
    yield from _some(kept, list(COSTS), lambda names: measures.cost(kept, names))


def _some(
    kept: Kept, names: list[str], section: Callable[[list[str]], Lines]
) -> Iterator[tuple[tuple[str, ...], Section]]:
    """A section that shows those of its parts that were run; the others are told as missing."""
    there = [name for name in names if kept.has(name)]
    if there:
        yield tuple(there), lambda: section(there)
    yield from (((name,), lambda: []) for name in names if name not in there)


def _introduction() -> Lines:
    return [
        "# Benchmarks of the recommenders",
        "",
        *prose("""How `auto` does beside other optimizers on recorded systems. `make bench` writes
               this page, every table under the command that made it.
               [The replay benchmark](replay-benchmark.md) says what is replayed and how it is
               scored: normalised regret, 0 for the best recorded configuration and 1 for the median
               one, so less is better. Intervals are 95 %, over tables where nothing else is said;
               with nine or fewer tables they are wide, and rather too narrow than too wide."""),
        *prose("""The start, the kernel and the lanes' first credit of `auto` were chosen while
               looking at published tables: where these are among those below, take its figures as
               an upper end."""),
    ]


def _summary(kept: Kept) -> Lines:
    """The aims, and what was come to."""
    found = [*aims.cold_aims(kept.runs("cold"))]
    for name, percent in NOISES.items():
        found += aims.noise_aims(kept.runs(name), percent)
    cold = kept.runs("transfer-cold")
    found += aims.transfer_aims(kept.runs("transfer"), cold, kept.runs("misled"))
    found += aims.reach_aims(kept.runs("own"), kept.own_tables)
    found += aims.cost_aims(kept.figures("cost"))
    found += aims.cost_aims(kept.figures("cost-with-history"), " and 6 past sessions")
    if not found:
        return []
    met = sum(aim.met for aim in found)
    rows = [["`auto`'s", "aim", "comes to", ""], *(aim.cells for aim in found)]
    return [
        "## What was aimed at",
        "",
        *prose(f"""{met} of {len(found)} aims are met by the figure itself; how far the interval
               reaches says how surely."""),
        *markdown_table(rows),
        "",
    ]


def _tables(kept: Kept) -> Lines:
    """What was replayed."""
    used = {run.task for name in ("cold", "transfer") for run in kept.runs(name)}
    shown = [table for table in kept.tables if table.name in used]
    if not shown:
        return []
    rows = [["table", "family", "rows", "parameters", "complete"], *map(_described, shown)]
    return ["## The tables", "", *markdown_table(rows), ""]


def _described(table: Table) -> list[str]:
    whole = "yes" if table.complete else "no"
    return [table.name, table.family, str(len(table)), str(len(table.parameters)), whole]


def _wrapped(lines: Lines) -> Iterator[str]:
    """Prose at the page's width; tables, commands and headings as they are."""
    fenced = False
    for line in lines:
        fenced ^= line.startswith("```")
        if fenced or line.startswith(("|", "#", "```")):
            yield line
        else:
            yield from textwrap.wrap(
                line, WIDTH, break_long_words=False, break_on_hyphens=False
            ) or [""]
