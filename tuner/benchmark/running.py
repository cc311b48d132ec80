"""Running many runs side by side: over cores, in an order that gives all the same load.

Jobs go by seed, then table, then contestant: contestants take turns, and an early look at the
results sees every table.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tuner.benchmark.contestants import Entry
from tuner.benchmark.errors import UnknownName
from tuner.benchmark.evaluating import Job, Run, Setting, evaluate
from tuner.benchmark.results import Key, ResultsFile, key
from tuner.benchmark.scoring import Scoring
from tuner.benchmark.tables import Role, Table

logger = logging.getLogger(__name__)

_ONE_THREAD = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
)
"""With a process a core, threads of the linear algebra would only get in each other's way."""


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A run that did not end: what it was, and why."""

    task: str
    contestant: str
    seed: int
    reason: str
    traceback: str


def choose_tables(tables: Sequence[Table], patterns: Sequence[str], *, history: int) -> list[Table]:
    """The tables to search: those that a pattern names; without any, the targets of the transfer
    groups where there is a history, else every table outside such groups.

    Raises:
        UnknownName: a pattern names no table, or nothing is left.
        InvalidTable: one of them cannot be scored.
    """
    for pattern in patterns:
        if not any(fnmatchcase(table.name, pattern) for table in tables):
            names = ", ".join(table.name for table in tables)
            raise UnknownName(f"table {pattern!r} is none of {names}")
    if patterns:
        named = (one for one in tables if any(fnmatchcase(one.name, p) for p in patterns))
        chosen = [one for one in named if not history or one.role is Role.TARGET]
    else:
        chosen = [one for one in tables if one.role is (Role.TARGET if history else None)]
    if not chosen:
        kind = "target of a transfer group" if history else "outside a transfer group"
        raise UnknownName(f"no table is {kind}: name tables by --tasks, or other data")
    for table in chosen:
        Scoring.of(table)
    return chosen


def plan(
    tables: Sequence[Table],
    chosen: Sequence[Table],
    entries: Sequence[Entry],
    *,
    seeds: int,
    setting: Setting,
) -> list[Job]:
    """Every run of a benchmark, in the order they are begun."""
    return [
        Job(
            table=table,
            entry=entry,
            seed=seed,
            setting=setting,
            sources=tuple(
                one
                for one in tables
                if setting.history and one.role is Role.SOURCE and one.group == table.group
            ),
        )
        for seed in range(seeds)
        for table in chosen
        for entry in entries
    ]


def run_all(
    jobs: Sequence[Job],
    results: ResultsFile | None,
    *,
    processes: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[Run], list[Broken]]:
    """Make the runs that the file does not hold yet, each written to it as it ends.

    Returns:
        the runs of all jobs, those of the file among them; and the ones that broke off, which are
        not written and so are tried again the next time.
    """
    known = {key(run): run for run in results.runs} if results else {}
    have = [known[_key(job)] for job in jobs if _key(job) in known]
    missing = [job for job in jobs if _key(job) not in known]
    broken: list[Broken] = []
    progress(0, len(missing))
    for done, ended in enumerate(_ended(missing, processes), 1):
        if isinstance(ended, Run):
            have.append(ended)
            if results:
                results.append(ended)
        else:
            logger.warning(
                "run broke off task=%s contestant=%s seed=%d: %s",
                ended.task,
                ended.contestant,
                ended.seed,
                ended.reason,
            )
            logger.debug("%s", ended.traceback)
            broken.append(ended)
        progress(done, len(missing))
    return have, broken


def _key(job: Job) -> Key:
    return job.table.name, job.entry.label, job.seed, job.setting


def _attempt(job: Job) -> Run | Broken:
    """One run; whatever goes wrong in a contestant ends this run and no other."""
    try:
        return evaluate(job)
    except Exception as error:
        return Broken(
            task=job.table.name,
            contestant=job.entry.label,
            seed=job.seed,
            reason=f"{type(error).__name__}: {error}",
            traceback=traceback.format_exc(),
        )


def _ended(jobs: Sequence[Job], processes: int) -> Iterator[Run | Broken]:
    if processes == 1 or len(jobs) < 2:
        yield from _here(jobs)
    else:
        yield from _beside(jobs, processes)


def _here(jobs: Sequence[Job]) -> Iterator[Run | Broken]:
    from threadpoolctl import threadpool_limits

    for job in jobs:
        with threadpool_limits(1):  # each time anew: it reaches libraries that are loaded by then
            ended = _attempt(job)
        yield ended


def _beside(jobs: Sequence[Job], processes: int) -> Iterator[Run | Broken]:
    """In processes of their own, a few jobs ahead of each; they end with this one."""
    before = set(multiprocessing.active_children())
    queue = iter(jobs)
    with _one_thread():
        pool = ProcessPoolExecutor(
            processes, mp_context=multiprocessing.get_context("spawn"), initializer=_follow_parent
        )
        try:
            waiting: set[Future[Run | Broken]] = set()
            for job in queue:
                waiting.add(pool.submit(_attempt, job))
                if len(waiting) < 2 * processes:
                    continue
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
            pool.shutdown()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in set(multiprocessing.active_children()) - before:
                child.terminate()
            raise


@contextmanager
def _one_thread() -> Iterator[None]:
    """The environment that processes begun within inherit: libraries read it when they load."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _follow_parent() -> None:
    """In a process of the pool: leave Ctrl-C to the parent, and end when it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, name="follow-parent", daemon=True).start()
