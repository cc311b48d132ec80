"""The page's parts that other benchmark scripts measure: their tables, under their commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from figures import Measured, as_rows, tables

from comparing.kept import Kept, Lines, prose
from tuner.benchmark import markdown_table

ABLATIONS = {
    "lanes": "One lane left out at a time, and each alone:",
    "again": "Without deliberate repeats, under 5 % and 15 % noise:",
    "failures": "With a quarter of each table failing, without the model of what fails:",
    "names": """With parameters renamed and reordered, and levels of categories in other places,
        which should change nothing but luck:""",
}
LIMITS_SHOWN = ("at 25", "at 50", "broken")


def ablations(kept: Kept) -> Lines:
    """What each part of `auto` earns."""
    lines = [
        "## What each part of `auto` earns",
        "",
        *prose("""The same runs without one part; *more* is how much more regret there is without
               it: above 0 the part earns something."""),
    ]
    for name, words in ABLATIONS.items():
        if kept.has(name):
            lines += [*prose(words), *kept.command(name), *_table(kept.figures(name), "variant")]
    return lines + prose(
        """A lane that earns nothing sure stays where it guards against what recorded tables do not
        show: `random` is the one that no model can mislead. What the model of failures saves is
        failures, and here a failure costs no more than its trial."""
    )


def wide(kept: Kept) -> Lines:
    """Spaces of many knobs."""
    return [
        "## Wide spaces",
        "",
        *prose("""Simulated systems of many mixed knobs of which a few matter; regret is 0 at the
               best known configuration and 1 at the average random one, intervals are over systems.
               `auto-whole` is `auto` without the subspace that widens."""),
        *kept.command("wide"),
        *_each_table(kept.figures("wide"), "contestant"),
    ]


def fronts(kept: Kept) -> Lines:
    """Several objectives."""
    return [
        "## Several objectives",
        "",
        *prose("""The share of the true front's hypervolume that was found, on simulated systems;
               intervals over seeds."""),
        *kept.command("fronts"),
        *_each_column(kept.figures("fronts"), lambda columns: columns[-1:]),
    ]


def limits(kept: Kept) -> Lines:
    """Limits on what else a configuration does."""
    return [
        "## Limits",
        "",
        *prose("""The regret of the best configuration within the limits, on simulated systems, and
               the share of suggestions that broke one; intervals over seeds."""),
        *kept.command("limits"),
        *_each_column(
            kept.figures("limits"), lambda columns: [one for one in columns if one in LIMITS_SHOWN]
        ),
    ]


def short_windows(kept: Kept) -> Lines:
    """What windows that can be shortened are worth."""
    return [
        "## Short windows",
        "",
        *prose("""Simulated systems with 5 % noise, the same time of measuring for everybody; regret
               is the logarithm of the best over the named. Short windows are only noisier
               (*noisy*), or biased against large memory (*cold*), or rank the wrong way round
               (*contrary*)."""),
        *kept.command("short-windows"),
        *_each_table(_without_windows(kept.figures("short-windows")), "recommender"),
    ]


def cost(kept: Kept, names: Sequence[str]) -> Lines:
    """What a suggestion costs."""
    lines = [
        "## What a suggestion costs",
        "",
        *prose("""In a mixed space of 20 knobs, by processor time; ratios and growth are of medians,
               with intervals over rounds. Milliseconds are those of the machine that ran it, busy
               or not. With history: six other sessions of 200 observations each."""),
    ]
    for name in names:
        lines += [*kept.command(name), *_each_table(kept.figures(name), "observations")]
    return lines


def _without_windows(measured: Sequence[Measured]) -> list[Measured]:
    return [one for one in measured if not one.column.startswith("windows of")]


def _each_table(measured: Sequence[Measured], corner: str) -> Lines:
    lines: Lines = []
    for name, some in tables(measured).items():
        lines += [f"**{name}**", "", *_table(some, corner)]
    return lines


def _each_column(measured: Sequence[Measured], wanted: Callable[[list[str]], list[str]]) -> Lines:
    """A table for each wanted column: problems down, contestants across."""
    lines: Lines = []
    for column in wanted(list(dict.fromkeys(one.column for one in measured))):
        turned = [
            Measured(table=column, row=one.table, column=one.row, figure=one.figure, form=one.form)
            for one in measured
            if one.column == column
        ]
        lines += [f"**{column}**", "", *_table(turned, "problem")]
    return lines


def _table(measured: Sequence[Measured], corner: str) -> Lines:
    return [*markdown_table(as_rows(measured, corner)), ""]
