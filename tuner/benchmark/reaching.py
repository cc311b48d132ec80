"""How many evaluations it takes to come near the best: what a user waits for.

Near is a share of the best row's value, 95 % by default: for a table to minimise, a value of at
most the best over 0.95. Each seed is a pair of the contestant and the reference; a run that does
not come near within its budget counts as one evaluation more than that, so a mean of such is too
low, and a ratio to a reference that does come near is too kind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from targets.metrics import Direction
from tuner.benchmark.errors import UnknownName
from tuner.benchmark.evaluating import Run
from tuner.benchmark.intervals import Figure, ratio_over_tasks
from tuner.benchmark.scoring import Scoring
from tuner.benchmark.tables import Table

OVERALL = "all tables"


@dataclass(frozen=True, kw_only=True)
class Reach:
    """One contestant on one table, or on all.

    `evaluations` is the mean, `missed` the share of runs that did not come near; `ratio` the
    reference's mean over this contestant's, above 1 where this one is sooner, its 95 % interval by
    resampling seeds in pairs; None of the reference itself.
    """

    task: str
    contestant: str
    pairs: int
    evaluations: float
    missed: float
    ratio: Figure | None


def near_regret(table: Table, share: float) -> float | None:
    """The regret at which a value is that share of the best; None where shares mean nothing, for
    the best is not above 0."""
    scoring = Scoring.of(table)
    if scoring.best <= 0:
        return None
    lowest = table.direction is Direction.MINIMISE
    near = scoring.best / share if lowest else scoring.best * share
    if scoring.logs:
        return float(np.log(near / scoring.best) / np.log(scoring.median / scoring.best))
    return (near - scoring.best) / (scoring.median - scoring.best)


def evaluations_to_reach(regrets: Sequence[float], limit: float) -> int:
    """The first evaluation (1 is the first) whose regret is at most `limit`; one past the last
    where none is."""
    # Results keep six digits of a regret.
    near = np.flatnonzero(np.asarray(regrets) <= limit + 1e-6 * max(1.0, abs(limit)))
    return int(near[0]) + 1 if len(near) else len(regrets) + 1


def reach(
    runs: Iterable[Run], tables: Iterable[Table], *, reference: str, share: float = 0.95
) -> list[Reach]:
    """Every contestant on every table the reference ran on, and on all of them together.

    Args:
        runs: under one set of rules.

    Raises:
        UnknownName: the reference has no runs on these tables.
    """
    limits = {table.name: near_regret(table, share) for table in tables}
    counts: dict[str, dict[str, dict[int, tuple[int, bool]]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for run in runs:
        limit = limits.get(run.task)
        if limit is None:
            continue
        taken = evaluations_to_reach(run.regrets, limit)
        counts[run.contestant][run.task][run.seed] = (taken, taken > len(run.regrets))
    if reference not in counts:
        raise UnknownName(
            f"reference {reference} has no runs on these tables: name one that has, by --reference"
        )
    lines: list[Reach] = []
    for task in sorted(counts[reference]):
        for name, tasks in counts.items():
            if task in tasks:
                lines.append(_line(task, name, [tasks[task]], [counts[reference][task]], reference))
    if len(counts[reference]) > 1:
        for name, tasks in counts.items():
            shared = sorted(tasks.keys() & counts[reference].keys())
            ours, theirs = ([by[task] for task in shared] for by in (tasks, counts[reference]))
            lines.append(_line(OVERALL, name, ours, theirs, reference))
    return lines


def _line(
    task: str,
    name: str,
    ours: Sequence[Mapping[int, tuple[int, bool]]],
    theirs: Sequence[Mapping[int, tuple[int, bool]]],
    reference: str,
) -> Reach:
    pairs = [
        (mine[seed], other[seed])
        for mine, other in zip(ours, theirs, strict=True)
        for seed in sorted(mine.keys() & other.keys())
    ]
    taken: NDArray[np.float64] = np.array([mine[0] for mine, _ in pairs], float)
    beside = np.array([other[0] for _, other in pairs], float)
    return Reach(
        task=task,
        contestant=name,
        pairs=len(pairs),
        evaluations=float(taken.mean()),
        missed=float(np.mean([mine[1] for mine, _ in pairs])),
        ratio=None if name == reference else ratio_over_tasks(beside, taken),
    )


def reach_rows(lines: Sequence[Reach], *, share: float) -> list[list[str]]:
    """As cells, the heads first."""
    head = ["table", "contestant", "pairs", f"evaluations to {share:.0%}", "never", "times sooner"]
    return [head, *map(_cells, lines)]


def _cells(line: Reach) -> list[str]:
    return [
        line.task,
        line.contestant,
        str(line.pairs),
        f"{line.evaluations:.1f}",
        f"{line.missed:.0%}",
        "-" if line.ratio is None else f"{line.ratio:.2f}",
    ]
