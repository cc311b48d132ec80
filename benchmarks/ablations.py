"""What each part of `auto` earns: the whole beside it without one part, on recorded tables.

    python benchmarks/ablations.py [--data DIR] [--part lanes|again|failures|transfer|names]
        [--seeds 10] [--budget 50] [--jobs 2] [--csv FILE]

Every variant makes the same runs as the whole, seed by seed. Printed is the mean regret at 25
evaluations and at the end, and by how much more it is without the part, with 95 % intervals over
tables; above 0 the part earns something. `lanes` leaves out one lane at a time, and all but one.
`again` leaves out deliberate repeats, with 5 % and 15 % noise. `failures` lets a quarter of each
table fail, what lies beyond a plane through its space, and leaves out the model of what fails.
`transfer` leaves out the history of other tables. `names` changes nothing of the recommender:
parameters change names and order and levels of categories their places, which should change
nothing but luck.

Without `--data` the product's own tables are replayed.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
from figures import Measured, as_text, save

from tuner.benchmark import RECORDED, Job, Run, Setting, Table, evaluate, load_tables
from tuner.benchmark.contestants import Brief, Contestant, Entry, RecommenderContestant
from tuner.benchmark.intervals import over_tasks
from tuner.benchmark.parameters import ParameterType
from tuner.benchmark.tables import Role
from tuner.recommenders.auto import AutoRecommender, default_lanes
from tuner.surrogates.acceptability import Acceptability

WHOLE = "whole"
EARLY = 25
FAILING = 0.25
HISTORY = 200
NOISES = (0.05, 0.15)
SHUFFLES = 3


class PartlyAuto(AutoRecommender):
    """`auto` with some of its lanes."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self._lanes = tuple(lane for lane in default_lanes() if lane.name in names)


@dataclass(frozen=True, kw_only=True)
class Variant(Entry):
    """`auto`, whole or not."""

    lanes: tuple[str, ...] = ()
    repeats: bool = True
    fears_failure: bool = True
    hears_history: bool = True

    @property
    def label(self) -> str:
        return self.name

    def enter(self, brief: Brief) -> Contestant:
        told = brief if self.hears_history else replace(brief, sources=())
        contestant = RecommenderContestant(told, "auto", options={}, deterministic=False)
        if self.lanes:
            contestant._optimizer.recommender = PartlyAuto(self.lanes)
        return contestant

    def run(self, job: Job) -> Run:
        """The job's run, with parts of the recommender put out of order."""
        with ExitStack() as stack:
            if not self.repeats:
                stack.enter_context(patch("tuner.recommenders.auto.probe", lambda _: None))
                stack.enter_context(patch("tuner.recommenders.auto.may_race", lambda _: False))
            if not self.fears_failure:
                certain = patch.object(Acceptability, "chance", lambda _, rows: np.ones(len(rows)))
                stack.enter_context(certain)
            return evaluate(job)


def lanes(tables: Sequence[Table], budget: int) -> Iterator[Job]:
    names = [lane.name for lane in default_lanes()]
    kept = {WHOLE: names}
    kept |= {f"without {name}": [one for one in names if one != name] for name in names}
    kept |= {f"{name} alone": [name] for name in names}
    for table in tables:
        for label, some in kept.items():
            yield _job(table, Variant(name=label, lanes=tuple(some)), Setting(budget=budget))


def again(tables: Sequence[Table], budget: int) -> Iterator[Job]:
    for table in tables:
        for noise in NOISES:
            noisy = replace(table, name=f"{table.name}, noise {noise:.0%}")
            for entry in (Variant(name=WHOLE), Variant(name="without repeats", repeats=False)):
                yield _job(noisy, entry, Setting(budget=budget, noise=noise))


def failures(tables: Sequence[Table], budget: int) -> Iterator[Job]:
    for table in tables:
        harder = _failing(table)
        blind = Variant(name="without the model of failures", fears_failure=False)
        for entry in (Variant(name=WHOLE), blind):
            yield _job(harder, entry, Setting(budget=budget))


def transfer(tables: Sequence[Table], budget: int) -> Iterator[Job]:
    setting = Setting(budget=min(budget, EARLY), history=HISTORY)
    deaf = Variant(name="without history", hears_history=False)
    for table in tables:
        if table.role is Role.TARGET:
            sources = [s for s in tables if s.role is Role.SOURCE and s.group == table.group]
            for entry in (Variant(name=WHOLE), deaf):
                yield _job(table, entry, setting, tuple(sources))


def names(tables: Sequence[Table], budget: int) -> Iterator[Job]:
    for table in tables:
        yield _job(table, Variant(name=WHOLE), Setting(budget=budget))
        for number in range(SHUFFLES):
            shuffled = _shuffled(table, np.random.default_rng(number))
            yield _job(shuffled, Variant(name=f"shuffled {number + 1}"), Setting(budget=budget))


PARTS: dict[str, Callable[[Sequence[Table], int], Iterator[Job]]] = {
    "lanes": lanes,
    "again": again,
    "failures": failures,
    "transfer": transfer,
    "names": names,
}


def _job(table: Table, entry: Variant, setting: Setting, sources: tuple[Table, ...] = ()) -> Job:
    return Job(table=table, entry=entry, seed=0, setting=setting, sources=sources)


def _failing(table: Table) -> Table:
    """The table with a quarter of its rows failing: those furthest out in a random direction of its
    space, though never the best."""
    rng = np.random.default_rng(len(table))
    spread = table.rows.std(axis=0)
    places = (table.rows - table.rows.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    best = int(np.nanargmin(table.values if str(table.direction) == "min" else -table.values))
    while True:
        out = places @ rng.standard_normal(places.shape[1])
        fails = out > np.quantile(out, 1 - FAILING)
        if not fails[best]:
            return replace(table, values=np.where(fails, np.nan, table.values))


def _shuffled(table: Table, rng: np.random.Generator) -> Table:
    """The same system under other names, its parameters and its categories' levels in another
    order."""
    order = rng.permutation(len(table.parameters))
    rows = table.rows[:, order].copy()
    parameters = []
    for place, old in enumerate(order):
        parameter = replace(table.parameters[old], name=f"p{rng.integers(10**6):06d}_{place}")
        if parameter.type is ParameterType.CATEGORICAL:
            moved = rng.permutation(len(parameter.values))
            parameter = replace(parameter, values=tuple(parameter.values[k] for k in moved))
            rows[:, place] = np.argsort(moved)[rows[:, place].astype(int)]
        parameters.append(parameter)
    return replace(table, parameters=tuple(parameters), rows=rows)


def _made(job: Job) -> Run:
    if not isinstance(job.entry, Variant):
        raise TypeError(f"{job.entry} is no variant of auto")
    return job.entry.run(job)


def _measured(part: str, runs: Sequence[Run], budget: int) -> Iterator[Measured]:
    """The part's table: each variant's regret, and how much more than the whole's it is."""
    tasks = sorted({run.task for run in runs})
    found: dict[tuple[str, str], list[Sequence[float]]] = defaultdict(list)
    for run in runs:
        found[run.contestant, run.task].append(run.regrets)
    for label in dict.fromkeys(run.contestant for run in runs):
        for at in sorted({min(EARLY, budget), budget}):
            mine, whole = (
                np.array([np.mean([one[at - 1] for one in found[name, task]]) for task in tasks])
                for name in (label, WHOLE)
            )
            place = {"table": part, "row": label}
            yield Measured(**place, column=f"at {at}", figure=over_tasks(mine))
            if label != WHOLE:
                more = over_tasks(mine - whole)
                yield Measured(**place, column=f"more at {at}", figure=more, form="+.3f")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=RECORDED, help="a folder of tables")
    parser.add_argument("--part", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--budget", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--csv", type=Path, help="also write the figures here")
    given = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    tables = load_tables(given.data)
    apart = [table for table in tables if table.role is None]
    found: list[Measured] = []
    for part in given.part:
        planned = PARTS[part](tables if part == "transfer" else apart, given.budget)
        jobs = [replace(job, seed=seed) for job in planned for seed in range(given.seeds)]
        with ProcessPoolExecutor(given.jobs) as pool:
            runs = list(pool.map(_made, jobs, chunksize=4))
        budget = min(given.budget, EARLY) if part == "transfer" else given.budget
        found += _measured(part, runs, budget)
        if given.csv:
            save(given.csv, found)
    print(as_text(found, "variant"))


if __name__ == "__main__":
    main()
