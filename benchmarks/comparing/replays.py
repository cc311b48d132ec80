"""The page's parts that are of replayed tables: each its commands, its tables, how to read them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from figures import joined

from comparing.aims import (
    CHANCE,
    LATER,
    REFERENCE,
    SUBJECT,
    WARM,
    WARM_AT,
    behind,
    best_peer,
    families,
    family_gap,
    has,
    line_of,
    section_of,
    seed_regrets,
)
from comparing.kept import Kept, Lines, prose
from tuner.benchmark import Run, Scoring, figure_rows, lane_rows, markdown_table, reach, summarise
from tuner.benchmark.contestants import PEER_PREFIX
from tuner.benchmark.intervals import Figure
from tuner.benchmark.reaching import OVERALL
from tuner.benchmark.summary import ALL, COMPLETE, Section, Summary

SLOW_UP_TO = 50
TRANSFERS = ("transfer", "transfer-cold", "misled")


def cold(kept: Kept) -> Lines:
    """Everybody cold: the complete tables, all of them, each family, and whose turns they were."""
    runs = kept.runs("cold")
    summary = _summary(runs)
    lines = ["## Cold, without noise", "", *kept.command("cold"), *_left_out(summary)]
    for section in _wholes(summary):
        lines += _both(section, summary)
    for section in families(summary):
        lines += _regrets(section, summary.checkpoints)
    lines += prose(" ".join([*_leads(summary), *_gaps(summary, runs)]))
    lines += _conduct(summary)
    if any(line.lanes for line in summary.sections[0].lines):
        rows = [row for row in lane_rows(summary.sections) if row[1] in ("contestant", SUBJECT)]
        lines += ["Whose turns they were, of `auto`:", ""]
        lines += [*markdown_table([[row[0], row[2]] for row in rows]), ""]
    return lines


def slow(kept: Kept) -> Lines:
    """Peers that had fewer evaluations, beside the reference and `auto`."""
    runs = [*_only(kept.runs("cold"), SUBJECT, REFERENCE, CHANCE), *kept.runs("slow")]
    return ["## Slow peers", "", *kept.command("slow"), *_beside(runs, SLOW_UP_TO)]


def hebo(kept: Kept) -> Lines:
    """HEBO on a few tables, beside others on the same ones with the same seeds."""
    theirs = kept.runs("hebo")
    made = {(run.task, run.seed) for run in theirs}
    budget = max(run.setting.budget for run in theirs)
    others = [run for run in kept.runs("cold") if (run.task, run.seed) in made]
    names = sorted({task for task, _ in made})
    return [
        "## HEBO",
        "",
        *prose(f"""HEBO takes seconds a suggestion. On {joined([f"`{name}`" for name in names])},
               with the same seeds for everybody:"""),
        *kept.command("hebo"),
        *_beside([*_only(others, SUBJECT, REFERENCE, CHANCE), *theirs], budget),
    ]


def every(kept: Kept) -> Lines:
    """Each installed recommender beside random search."""
    runs = kept.runs("every")
    summary = summarise(runs, reference=CHANCE)[0]
    section, last = summary.sections[0], summary.checkpoints[-1]
    rows = [["recommender", f"regret at {last}", f"of random search's at {last}", "surely better"]]
    for line in section.lines:
        ratio = line.ratio.get(last)
        surely = "" if ratio is None else "yes" if _surely_less(ratio, 1.0) else "no"
        rows.append([line.contestant, f"{line.regret[last]:.3f}",
                     "-" if ratio is None else f"{ratio:.2f}", surely])  # fmt: skip
    return [
        "## Every recommender beside random search",
        "",
        *prose(f"""Over {_tables(section)}, {section.lines[0].seeds} seeds. `{CHANCE}` repeats
               itself, the recommender `random` does not. Those that are made for something else
               (bandits for a few known configurations, `hyperband` for windows that can be
               shortened) show here only what they do without it."""),
        *kept.command("every"),
        *markdown_table(rows),
        "",
    ]


def noise(kept: Kept, names: Sequence[str]) -> Lines:
    """The true regret of what is named, under noise."""
    lines = [
        "## Cold, with noise",
        "",
        *prose("Scored is the true value of the configuration that is *named*."),
    ]
    for name in names:
        runs = kept.runs(name)
        summary = _summary(runs)
        scatter = runs[0].setting.noise
        lines += [f"### {100 * scatter:.3g} %", "", *kept.command(name)]
        lines += _drowned(kept, runs, scatter)
        for section in _wholes(summary):
            lines += _regrets(section, summary.checkpoints)
            lines += _named(section, runs, summary.checkpoints[-1])
    return lines


def _drowned(kept: Kept, runs: Sequence[Run], scatter: float) -> Lines:
    """On how many tables there is no more to gain than the noise."""
    names = {run.task for run in runs}
    scorings = [Scoring.of(table) for table in kept.tables if table.name in names]
    ways = [abs(math.log(one.median / one.best)) for one in scorings if one.best > 0]
    count = sum(way <= scatter for way in ways)
    return prose(f"""On {count} of {len(names)} tables the noise is as large as the way from the
                 best row to the median one, or larger.""")


def _named(section: Section, runs: Sequence[Run], at: int) -> Lines:
    best = best_peer(section, at)
    beside = section_of(summarise(runs, reference=best)[0], section.title) if best else None
    line = line_of(beside, SUBJECT) if beside else None
    ratio = line.ratio.get(at) if line else None
    if best is None or ratio is None:
        return []
    return [f"`auto` has {ratio:.2f} of the best peer's ({_plain(best)}) at {at}.", ""]


def transfer(kept: Kept) -> Lines:
    """With history, without, and with a history that says the opposite."""
    warm, cold_runs, misled = (kept.runs(name) for name in TRANSFERS)
    at = (10, WARM_AT)
    head = ["table", *(f"{who} at {mark}" for who in ("warm TPE", "`auto`") for mark in at)]
    head += [f"`auto` cold at {WARM_AT}", "more than cold", "more than cold, misled"]
    apart, turned = behind(warm, cold_runs, WARM_AT), behind(misled, cold_runs, WARM_AT)
    rows = [head]
    for task in sorted({run.task for run in warm}):
        cells = [task]
        cells += [_mean(warm, who, mark, task) for who in (WARM, SUBJECT) for mark in at]
        cells.append(_mean(cold_runs, SUBJECT, WARM_AT, task))
        cells += [f"{some[task]:+.3f}" if task in some else "-" for some in (apart, turned)]
        rows.append(cells)
    seeds = len({run.seed for run in warm})
    lines = [
        "## With the history of other environments",
        "",
        *prose(f"""The same system in other environments, random observations of each as history.
               `warm-tpe` evaluates the three best of each source and goes on with TPE. Misled: with
               the objective of every source negated. Means of {seeds} seeds, differences with
               intervals over seeds."""),
        *kept.command(*(name for name in TRANSFERS if kept.has(name))),
        *markdown_table(rows),
        "",
    ]
    if has(warm, SUBJECT, WARM):
        summary = summarise(warm, reference=WARM)[0]
        line = line_of(summary.sections[0], SUBJECT)
        if line:
            ratios = [f"{line.ratio[mark]:.2f} at {mark}" for mark in at if mark in line.ratio]
            lines += [f"Over {_tables(summary.sections[0])} `auto` has, of warm TPE's regret, "
                      f"{joined(ratios)}.", ""]  # fmt: skip
    return lines


def own(kept: Kept) -> Lines:
    """How soon the best is near on the tables that come with Lontra."""
    runs = kept.runs("own")
    found = {(line.task, line.contestant): line for line in reach(runs, kept.own_tables,
                                                                  reference=REFERENCE)}  # fmt: skip
    tasks = [*dict.fromkeys(task for task, _ in found)]
    names = [one for one in (SUBJECT, REFERENCE, CHANCE) if (tasks[0], one) in found]
    rows = [["table", *map(_plain, names), "`auto` is sooner than TPE, times"]]
    for task in tasks:
        ratio = found[task, SUBJECT].ratio
        counts = [f"{found[task, name].evaluations:.1f}" for name in names]
        rows.append([task, *counts, "-" if ratio is None else f"{ratio:.2f}"])
    sooner = [
        task for task in tasks if task != OVERALL and _surely_more(found[task, SUBJECT].ratio, 1.0)
    ]
    surely = f"on {joined([f'`{task}`' for task in sooner])}" if sooner else "on none"
    return [
        "## How soon the best is near, on our own tables",
        "",
        *prose(f"""Evaluations until 95 % of the best; a run that never comes near counts as one
               evaluation more than it had. {found[tasks[0], SUBJECT].pairs} seeds, intervals over
               seeds."""),
        *kept.command("own")[:-2],
        f"lontra bench reach {kept.parts['own'].file}",
        "```",
        "",
        *markdown_table(rows),
        "",
        *prose(f"""Of single tables `auto` is surely sooner {surely}. Where a few random
               configurations come near the best, as on the cache tables, no method can be sooner by
               much."""),
    ]


def _summary(runs: Sequence[Run]) -> Summary:
    return summarise(runs, reference=REFERENCE if has(runs, REFERENCE) else runs[0].contestant)[0]


def _only(runs: Iterable[Run], *contestants: str) -> list[Run]:
    return [run for run in runs if run.contestant in contestants]


def _beside(runs: Sequence[Run], up_to: int) -> Lines:
    summary = _summary(runs)
    marks = tuple(at for at in (10, *LATER) if at <= up_to)
    lines = _left_out(summary)
    for section in _wholes(summary):
        lines += _both(section, summary, marks)
    return lines


def _wholes(summary: Summary) -> list[Section]:
    """The complete tables and all of them; once where these are the same."""
    found = [one for title in (COMPLETE, ALL) if (one := section_of(summary, title))]
    return found[:1] if len({one.tasks for one in found}) == 1 else found


def _left_out(summary: Summary) -> Lines:
    """Tables that are not compared, for somebody has not run there."""
    told = [f"{task} (no runs of {joined(who)})" for task, who in summary.left_out.items()]
    return prose(f"Left out: {joined(told)}.") if told else []


def _both(section: Section, summary: Summary, marks: Sequence[int] = ()) -> Lines:
    """Regrets, and ratios to the reference, in two tables that a page is wide enough for."""
    marks = marks or summary.checkpoints
    ratios = figure_rows(section.lines, marks, ratios=True)
    lines = _regrets(section, marks)
    if len(ratios) > 1:
        lines += [f"Ratio to {_plain(summary.reference)}, {section.title}:", ""]
        lines += [*markdown_table(ratios), ""]
    return lines


def _regrets(section: Section, marks: Sequence[int]) -> Lines:
    count = _tables(section)
    title = section.title if section.title in (ALL, COMPLETE) else f"family {section.title}"
    rows = figure_rows(section.lines, marks)
    return [f"**Regret, {title}** ({count}):", "", *markdown_table(rows), ""]


def _leads(summary: Summary) -> Lines:
    """Where `auto` has the least regret of all."""
    lines = []
    for section in _wholes(summary):
        line = line_of(section, SUBJECT)
        if line is None:
            continue
        rivals = [one.regret for one in section.lines]
        first = [
            str(at)
            for at, figure in line.regret.items()
            if all(figure.value <= regret[at].value for regret in rivals if at in regret)
        ]
        where = f"at {joined(first)} evaluations" if first else "at no point"
        lines.append(f"Over {section.title} `auto` has the least regret of all {where}.")
    return lines


def _conduct(summary: Summary) -> Lines:
    """Ranks and repeats, which a mean of regrets does not show."""
    section, last = summary.sections[0], summary.checkpoints[-1]
    rows = [["contestant", f"mean rank at {last}", "suggestions that repeat a row"]]
    for line in section.lines:
        rank = f"{line.rank[last]:.1f}" if last in line.rank else "-"
        rows.append([line.contestant, rank, f"{line.repeats:.0%}"])
    return ["Rank in each table and repeats, all tables:", "", *markdown_table(rows), ""]


def _gaps(summary: Summary, runs: Sequence[Run]) -> Lines:
    """Families in which a peer is ahead of `auto`."""
    found = []
    for section in families(summary):
        for at in summary.checkpoints:
            gap = family_gap(section, runs, (at,))
            if gap and gap[3].value > 0:
                found.append(f"in {section.title} {gap[2]} at {at} ({gap[3]:+.3f})")
    return [f"Peers ahead of it: {'; '.join(found) if found else 'none in any family'}."]


def _mean(runs: Sequence[Run], contestant: str, at: int, task: str) -> str:
    regrets = seed_regrets(runs, contestant, at).get(task)
    if not regrets:
        return "-"
    return f"{sum(regrets.values()) / len(regrets):.3f}"


def _tables(section: Section) -> str:
    return f"{len(section.tasks)} table{'s' if len(section.tasks) > 1 else ''}"


def _plain(contestant: str) -> str:
    return f"`{contestant.removeprefix(PEER_PREFIX)}`"


def _surely_less(figure: Figure, limit: float) -> bool:
    return figure.high is not None and figure.high < limit


def _surely_more(figure: Figure | None, limit: float) -> bool:
    return figure is not None and figure.low is not None and figure.low > limit
