"""Summing up runs: regret with intervals, ranks, ratios to a reference; numbers only.

A task counts once, by the mean over its seeds. Only tasks that every contestant has are compared,
so that no mean is of easier tasks than another.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tuner.benchmark.errors import UnknownName
from tuner.benchmark.evaluating import Mislead, Run
from tuner.benchmark.intervals import Figure, over_seeds, over_tasks, ratio_over_tasks

CHECKPOINTS = (10, 25, 50, 100)
"""Evaluations after which regret is told, as far as the budget reaches; and at its end."""

ALL = "all tables"
COMPLETE = "complete tables"

_MISLEAD = {
    Mislead.NO: "",
    Mislead.ADD: ", a misleading source added",
    Mislead.ONLY: ", misleading sources only",
}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One contestant within a section.

    Per checkpoint its budget reaches: mean regret, mean rank among the contestants (1 is best),
    and the ratio of its mean regret to the reference's. `repeats` is the share of evaluations
    answered by a row seen before, but for those that say that they measure again; `ms_cpu` and
    `ms_wall` are medians over runs; `lanes` the share of suggestions by `lane/kind`.
    """

    contestant: str
    seeds: int
    regret: Mapping[int, Figure]
    rank: Mapping[int, float]
    ratio: Mapping[int, Figure]
    repeats: float
    failures: float
    ms_cpu: float
    ms_wall: float
    lanes: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Section:
    """Some tasks together: a family, the complete tables, all of them; or one task alone, whose
    intervals are over its seeds. `curves`: each contestant's mean regret after each evaluation."""

    title: str
    tasks: tuple[str, ...]
    lines: tuple[Line, ...]
    curves: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """All that is said about the runs made under one set of rules.

    `left_out`: tasks that are not compared, each with the contestants that lack it.
    """

    title: str
    reference: str
    checkpoints: tuple[int, ...]
    sections: tuple[Section, ...]
    per_task: tuple[Section, ...]
    left_out: Mapping[str, tuple[str, ...]]


def summarise(runs: Iterable[Run], *, reference: str) -> tuple[Summary, ...]:
    """A summary for each set of rules the runs were made under.

    Args:
        reference: the contestant the others are compared with, by its label.

    Raises:
        UnknownName: the reference is not among the runs, or no task is common to all.
    """
    longest: dict[tuple[str, str, str, int], Run] = {}
    for run in runs:
        key = (rules(run), run.task, run.contestant, run.seed)
        if key not in longest or longest[key].setting.budget < run.setting.budget:
            longest[key] = run
    kinds: dict[str, list[Run]] = defaultdict(list)
    for (title, *_), run in longest.items():
        kinds[title].append(run)
    return tuple(_summary(title, kinds[title], reference) for title in sorted(kinds))


def rules(run: Run) -> str:
    """The rules a run was made under, in words; only runs under the same ones are compared."""
    setting = run.setting
    noise = f"noise {setting.noise:.3g}" if setting.noise else "no noise"
    if not setting.history:
        return f"cold, {noise}"
    return f"history of {setting.history} rows a source{_MISLEAD[setting.mislead]}, {noise}"


def _summary(title: str, runs: Sequence[Run], reference: str) -> Summary:
    contestants = list(dict.fromkeys(run.contestant for run in runs))
    if reference not in contestants:
        raise UnknownName(
            f"reference {reference} has no runs ({title}); there are {', '.join(contestants)}"
        )
    have = {(run.contestant, run.task) for run in runs}
    tasks = sorted({run.task for run in runs})
    lacking = {task: tuple(c for c in contestants if (c, task) not in have) for task in tasks}
    left_out = {task: names for task, names in lacking.items() if names}
    shared = [run for run in runs if run.task not in left_out]
    if not shared:
        raise UnknownName(
            f"no table has runs of all of {', '.join(contestants)} ({title}): compare fewer of them"
        )
    longest = max(run.setting.budget for run in runs)
    checkpoints = (*(at for at in CHECKPOINTS if at < longest), longest)
    groups = {ALL: shared, COMPLETE: [run for run in shared if run.complete]}
    for family in sorted({run.family for run in shared}):
        groups[family] = [run for run in shared if run.family == family]
    each = {task: [run for run in runs if run.task == task] for task in tasks}
    return Summary(
        title=title,
        reference=reference,
        checkpoints=checkpoints,
        sections=tuple(
            _section(name, group, reference, checkpoints) for name, group in groups.items() if group
        ),
        per_task=tuple(
            _section(task, group, reference, checkpoints) for task, group in each.items()
        ),
        left_out=left_out,
    )


class _Regrets:
    """Regrets by contestant and task, cut to the shortest where budgets differ."""

    def __init__(self, runs: Iterable[Run]) -> None:
        found: dict[str, dict[str, list[tuple[float, ...]]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for run in runs:
            found[run.contestant][run.task].append(run.regrets)
        self.by_contestant = {
            name: {task: _rectangle(seeds) for task, seeds in sorted(tasks.items())}
            for name, tasks in found.items()
        }

    def reaches(self, name: str, at: int) -> bool:
        """Whether every run of a contestant is that long."""
        return all(seeds.shape[1] >= at for seeds in self.by_contestant[name].values())

    def at(self, name: str, at: int) -> list[NDArray[np.float64]]:
        """Per task: (n_seeds,) regret after that many evaluations."""
        return [seeds[:, at - 1] for seeds in self.by_contestant[name].values()]

    def means(self, name: str, at: int) -> NDArray[np.float64]:
        """(n_tasks,) mean over seeds after that many evaluations."""
        return np.array([seeds.mean() for seeds in self.at(name, at)])

    def curve(self, name: str) -> NDArray[np.float64]:
        """Mean over tasks of the means over seeds, after each evaluation."""
        means = [seeds.mean(axis=0) for seeds in self.by_contestant[name].values()]
        mean: NDArray[np.float64] = _rectangle(means).mean(axis=0)
        return mean


def _rectangle(curves: Sequence[Sequence[float] | NDArray[np.float64]]) -> NDArray[np.float64]:
    length = min(len(curve) for curve in curves)
    return np.array([curve[:length] for curve in curves])


def _section(
    title: str, runs: Sequence[Run], reference: str, checkpoints: Sequence[int]
) -> Section:
    regrets = _Regrets(runs)
    own: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        own[run.contestant].append(run)
    ranks = {at: _ranks(regrets, at) for at in checkpoints}
    lines = []
    for name, made in own.items():
        evaluations = max(1, sum(run.evaluations for run in made))
        reached = [at for at in checkpoints if regrets.reaches(name, at)]
        lines.append(
            Line(
                contestant=name,
                seeds=min(len(seeds) for seeds in regrets.by_contestant[name].values()),
                regret={at: _figure(regrets.at(name, at)) for at in reached},
                rank={at: ranks[at][name] for at in reached},
                ratio=_ratios(regrets, name, reference, reached),
                repeats=sum(map(_unsaid_repeats, made)) / evaluations,
                failures=sum(run.failures for run in made) / evaluations,
                ms_cpu=median(run.ms_cpu for run in made),
                ms_wall=median(run.ms_wall for run in made),
                lanes=_lanes(made, evaluations),
            )
        )
    lines.sort(key=lambda line: _order(line, checkpoints[-1]))
    return Section(
        title=title,
        tasks=tuple(sorted({run.task for run in runs})),
        lines=tuple(lines),
        curves={line.contestant: regrets.curve(line.contestant) for line in lines},
    )


def _figure(tasks: Sequence[NDArray[np.float64]]) -> Figure:
    """Over tasks; over the seeds where there is but one task."""
    if len(tasks) == 1:
        return over_seeds(tasks[0])
    return over_tasks(np.array([seeds.mean() for seeds in tasks]))


def _ranks(regrets: _Regrets, at: int) -> dict[str, float]:
    """Each contestant's mean over tasks of its rank in the task; ties share their ranks."""
    names = [name for name in regrets.by_contestant if regrets.reaches(name, at)]
    if not names:
        return {}
    means = np.array([regrets.means(name, at) for name in names])
    ranks = stats.rankdata(means, axis=0).mean(axis=1)
    return dict(zip(names, map(float, ranks), strict=True))


def _ratios(
    regrets: _Regrets, name: str, reference: str, reached: Sequence[int]
) -> dict[int, Figure]:
    if name == reference or reference not in regrets.by_contestant:
        return {}
    found = {
        at: ratio_over_tasks(regrets.means(name, at), regrets.means(reference, at))
        for at in reached
        if regrets.reaches(reference, at)
    }
    return {at: figure for at, figure in found.items() if figure is not None}


def _unsaid_repeats(run: Run) -> int:
    return max(0, run.repeated_rows - run.remeasured)


def _lanes(runs: Sequence[Run], evaluations: int) -> dict[str, float]:
    counts: Counter[str] = Counter()
    for run in runs:
        counts.update(run.lanes)
    return {lane: count / evaluations for lane, count in counts.most_common()}


def _order(line: Line, last: int) -> tuple[bool, float]:
    """By regret at the end; those whose budget ended before come after the others."""
    figures = [figure.value for figure in line.regret.values()]
    return last not in line.regret, figures[-1] if figures else 0.0
