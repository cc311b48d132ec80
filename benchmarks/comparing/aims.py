"""What `auto` was meant to show, and what it comes to: one line an aim, every figure computed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from figures import Measured, joined

from tuner.benchmark import Run, Table, reach, summarise
from tuner.benchmark.contestants import PEER_PREFIX
from tuner.benchmark.intervals import Figure, over_seeds, over_tasks
from tuner.benchmark.reaching import OVERALL
from tuner.benchmark.summary import ALL, COMPLETE, Line, Section, Summary

SUBJECT = "auto"
REFERENCE = "peer:optuna-tpe-mv"
CHANCE = "peer:random"
WARM = "peer:warm-tpe"
LATER = (25, 50, 100)
NAMED_AT = 50
WARM_AT = 25


@dataclass(frozen=True, kw_only=True)
class Aim:
    """One aim: a figure that is to be at most, or at least, so much."""

    subject: str
    limit: float
    figure: Figure
    form: str = ".2f"
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the figure itself keeps the limit, wherever its interval reaches."""
        if self.at_least:
            return self.figure.value >= self.limit
        return self.figure.value <= self.limit

    @property
    def cells(self) -> list[str]:
        """As a row of the summary: aim, limit, figure with its interval, met or missed."""
        bound = "at least" if self.at_least else "at most"
        verdict = "met" if self.met else "**missed**"
        return [self.subject, f"{bound} {self.limit:g}", f"{self.figure:{self.form}}", verdict]


def section_of(summary: Summary, title: str) -> Section | None:
    """The summary's section of that title, where there is one."""
    return next((one for one in summary.sections if one.title == title), None)


def line_of(section: Section, contestant: str) -> Line | None:
    """A contestant's line, where it has one."""
    return next((one for one in section.lines if one.contestant == contestant), None)


def families(summary: Summary) -> list[Section]:
    """The sections of single families."""
    return [one for one in summary.sections if one.title not in (ALL, COMPLETE)]


def has(runs: Iterable[Run], *contestants: str) -> bool:
    """Whether all of them have runs."""
    return set(contestants) <= {run.contestant for run in runs}


def seed_regrets(runs: Iterable[Run], contestant: str, at: int) -> dict[str, dict[int, float]]:
    """One contestant's regret after so many evaluations, by table and seed."""
    found: dict[str, dict[int, float]] = defaultdict(dict)
    for run in runs:
        if run.contestant == contestant and len(run.regrets) >= at:
            found[run.task][run.seed] = run.regrets[at - 1]
    return found


def behind(
    runs: Sequence[Run], others: Sequence[Run], at: int, *, than: str = SUBJECT
) -> dict[str, Figure]:
    """By how much more regret the subject has in `runs` than `than` in `others`, table by table,
    over the seeds that both have."""
    mine, theirs = seed_regrets(runs, SUBJECT, at), seed_regrets(others, than, at)
    found = {}
    for task in sorted(mine.keys() & theirs.keys()):
        seeds = sorted(mine[task].keys() & theirs[task].keys())
        if seeds:
            pairs = [mine[task][seed] - theirs[task][seed] for seed in seeds]
            found[task] = over_seeds(np.array(pairs))
    return found


def cold_aims(runs: Sequence[Run]) -> Iterator[Aim]:
    """Ratios to the reference and to chance, and the worst family."""
    if has(runs, SUBJECT, REFERENCE):
        summary = summarise(runs, reference=REFERENCE)[0]
        for title, limit in ((COMPLETE, 0.6), (ALL, 0.85)):
            for at in LATER:
                yield from _ratio(summary, title, at, limit, "TPE's")
        yield from _worst_family(summary, runs)
    if has(runs, SUBJECT, CHANCE):
        yield from _ratio(
            summarise(runs, reference=CHANCE)[0], COMPLETE, 10, 0.7, "random search's"
        )


def _ratio(
    summary: Summary, title: str, at: int, limit: float, whose: str, rules: str = ""
) -> Iterator[Aim]:
    section = section_of(summary, title)
    line = line_of(section, SUBJECT) if section else None
    if line and at in line.ratio:
        subject = f"share of {whose} regret at {at}{rules}, {title}"
        yield Aim(subject=subject, limit=limit, figure=line.ratio[at])


def _worst_family(summary: Summary, runs: Sequence[Run]) -> Iterator[Aim]:
    for marks in ((10,), LATER):
        gaps = [gap for one in families(summary) if (gap := family_gap(one, runs, marks))]
        if gaps:
            at, family, peer, figure = max(gaps, key=lambda gap: gap[3].value)
            when = joined([str(mark) for mark in marks])
            subject = f"regret above the best peer's of a family at {when}, at worst"
            where = f" ({family}, {peer}{f', at {at}' if len(marks) > 1 else ''})"
            yield Aim(subject=subject + where, limit=0.02, figure=figure, form="+.3f")


def family_gap(
    section: Section, runs: Sequence[Run], marks: Sequence[int]
) -> tuple[int, str, str, Figure] | None:
    """Where `auto` is furthest behind a family's best peer: at, family, peer, by how much."""
    gaps = []
    here = [run for run in runs if run.task in section.tasks]
    for at in marks:
        best = best_peer(section, at)
        if best is None:
            continue
        mine, theirs = seed_regrets(here, SUBJECT, at), seed_regrets(here, best, at)
        means = [
            np.mean([*mine[task].values()]) - np.mean([*theirs[task].values()])
            for task in sorted(mine.keys() & theirs.keys())
        ]
        if means:
            name = best.removeprefix(PEER_PREFIX)
            gaps.append((at, section.title, name, over_tasks(np.array(means))))
    return max(gaps, key=lambda gap: gap[3].value, default=None)


def best_peer(section: Section, at: int) -> str | None:
    """The peer with the least regret after so many evaluations."""
    reached = {
        one.contestant: one.regret[at].value
        for one in section.lines
        if one.contestant.startswith(PEER_PREFIX) and at in one.regret
    }
    return min(reached, key=reached.__getitem__, default=None)


def noise_aims(runs: Sequence[Run], percent: int) -> Iterator[Aim]:
    """Ratios to the best peer, each of the summary's."""
    if not has(runs, SUBJECT):
        return
    plain = summarise(runs, reference=SUBJECT)[0]
    for title in (COMPLETE, ALL):
        section = section_of(plain, title)
        best = best_peer(section, NAMED_AT) if section else None
        if best:
            summary = summarise(runs, reference=best)[0]
            whose = f"the best peer's ({best.removeprefix(PEER_PREFIX)})"
            rules = f" with {percent} % noise"
            yield from _ratio(summary, title, NAMED_AT, 0.7, whose, rules)


def transfer_aims(warm: Sequence[Run], cold: Sequence[Run], misled: Sequence[Run]) -> Iterator[Aim]:
    """Against warm-started TPE, and against the subject's own cold runs."""
    if has(warm, SUBJECT, WARM):
        summary = summarise(warm, reference=WARM)[0]
        for at, limit in ((10, 1.0), (WARM_AT, 0.6)):
            yield from _ratio(summary, ALL, at, limit, "warm TPE's", " with history")
    for words, runs in (("with history", warm), ("with misleading history", misled)):
        apart = behind(runs, cold, WARM_AT)
        if apart:
            task = max(apart, key=lambda task: apart[task].value)
            subject = f"regret at {WARM_AT} {words} above the cold one, at worst ({task})"
            yield Aim(subject=subject, limit=0.03, figure=apart[task], form="+.3f")


def reach_aims(runs: Sequence[Run], tables: Sequence[Table]) -> Iterator[Aim]:
    """How much sooner than the reference, on the tables that come with Lontra."""
    if has(runs, SUBJECT, REFERENCE):
        for line in reach(runs, tables, reference=REFERENCE):
            if (line.task, line.contestant) == (OVERALL, SUBJECT) and line.ratio:
                subject = "times sooner than TPE at 95 % of the best, our own tables"
                yield Aim(subject=subject, limit=1.0, figure=line.ratio, at_least=True)


def cost_aims(measured: Sequence[Measured], rules: str = "") -> Iterator[Aim]:
    """A suggestion's cost, by what `suggestion_cost.py` kept; `rules` say what else was known."""
    known: Mapping[tuple[str, str], Figure] = {
        (one.row, one.column): one.figure for one in measured if one.table == SUBJECT
    }
    for told, milliseconds in (("100", 50.0), ("1000", 150.0)):
        for column, limit, words, form in (
            ("ms", milliseconds, "milliseconds", ".0f"),
            ("to TPE's", 1.0, "share of TPE's time", ".2f"),
        ):
            if (told, column) in known:
                subject = f"{words} of a suggestion at {told} observations{rules}"
                yield Aim(subject=subject, limit=limit, figure=known[told, column], form=form)
    if ("10000", "growth") in known:
        yield Aim(
            subject="times a suggestion at 1000 observations one at 10000 takes",
            limit=12.0,
            figure=known["10000", "growth"],
            form=".1f",
        )
