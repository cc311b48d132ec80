"""One window: a fresh copy of the data, the workload on it, and a look at what it left."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from targets.adapter import CancelToken
from targets.clock import Clock
from targets.errors import HarnessFailed, WorkloadFailed
from targets.knobs import Configuration
from targets.sqlite.crew import Crew
from targets.sqlite.files import database_bytes
from targets.sqlite.metrics import counts, latency_quantile
from targets.sqlite.pragmas import Pragmas, ask, connect
from targets.sqlite.worker import Job, Result
from targets.sqlite.workload import STATE, Kind, Mix

logger = logging.getLogger(__name__)

LIMIT_SECONDS = 60.0
"""How long a worker may be late: far above any checkpoint or lock seen, far below for ever."""

_PREFIX = "window-"


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is run in a window, on which configuration."""

    mix: Mix
    seed: int
    warm_up_seconds: float
    window_seconds: float
    pragmas: Pragmas
    configuration: Configuration


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A window's objective values, its counters' growth and its gauges."""

    seconds: float
    objectives: Mapping[str, float]
    counters: Mapping[str, float]
    gauges: Mapping[str, float]
    details: Mapping[str, Any]


def run_window(
    work: Work,
    folder: Path,
    *,
    copy: Callable[[Path], None],
    clock: Clock,
    cancel: CancelToken,
) -> Outcome:
    """Copy the data with `copy`, run the work on the copy in `folder`, check and remove it.

    The copy, the warm-up and the check are not measured. A log is settled before the window and,
    as part of the measured time, after it: work put off into the log is not work saved.

    Raises:
        WorkloadFailed: a statement failed or answered wrongly, or the database does not hold what
            was committed.
        HarnessFailed: the copy could not be made, a connection is not configured as it should be,
            or a worker died.
        TimedOut, Cancelled: as their names say.
    """
    cancel.check()
    mix = work.mix
    with _scratch(folder) as scratch:
        database = scratch / "database.db"
        jobs = [_job(work, database, connection) for connection in range(mix.connections)]
        with Crew(jobs, clock=clock, cancel=cancel) as crew:
            _copy(copy, database)  # while the workers make their transactions
            crew.answers(limit_seconds=LIMIT_SECONDS)
            for opened in crew.tell("open", limit_seconds=LIMIT_SECONDS):
                _check_configuration(opened["configuration"], work.configuration)
            warm_up = crew.tell("warm-up", limit_seconds=work.warm_up_seconds + LIMIT_SECONDS)
            crew.tell_first("settle", limit_seconds=LIMIT_SECONDS)
            answers = crew.tell("window", limit_seconds=work.window_seconds + LIMIT_SECONDS)
            settled = crew.tell_first("settle", limit_seconds=LIMIT_SECONDS)["seconds"]
            sizes = database_bytes(database)
        results = [Result(**answer) for answer in answers]
        written = sum(answer["written"] for answer in warm_up)
        written += sum(result.transactions[Kind.WRITE] for result in results)
        pages = check_state(database, mix, written)
    return _outcome(results, mix, settled=settled, sizes=sizes, pages=pages)


def check_state(database: Path, mix: Mix, written: int) -> dict[str, float]:
    """Compare what the database holds with what was committed; answers its page counts.

    Raises:
        WorkloadFailed: a committed transaction is missing, one is there that was not committed,
            or the file is damaged.
    """
    wanted = (written * mix.updates_per_transaction, written * mix.inserts_per_transaction)
    try:
        with closing(connect(database, {})) as connection:
            damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            found = connection.execute(STATE).fetchone()
            pages = {
                "pages": float(ask(connection, "page_count")),
                "free_pages": float(ask(connection, "freelist_count")),
            }
    except sqlite3.Error as error:
        raise WorkloadFailed(f"the database cannot be read after the window: {error}") from error
    if damage != "ok":
        raise WorkloadFailed(f"the database is damaged after the window: {damage}")
    if found != wanted:
        raise WorkloadFailed(
            f"{written} write transactions were committed, which makes {wanted[0]} updates and "
            f"{wanted[1]} inserts, but the database holds {found[0]} and {found[1]}: transactions "
            "were lost, or its data was changed before the window"
        )
    return pages


def _job(work: Work, database: Path, connection: int) -> Job:
    return Job(
        mix=asdict(work.mix),
        seed=work.seed,
        connection=connection,
        database=str(database),
        pragmas=dict(work.pragmas),
        warm_up_seconds=work.warm_up_seconds,
        window_seconds=work.window_seconds,
    )


def _copy(copy: Callable[[Path], None], database: Path) -> None:
    try:
        copy(database)
    except (sqlite3.Error, OSError) as error:
        raise HarnessFailed(f"the window's copy of the data cannot be made: {error}") from error


def _check_configuration(found: Configuration, wanted: Configuration) -> None:
    """A durable claim holds only if every connection of the window is what it claims to be."""
    if found != wanted:
        raise HarnessFailed(
            f"a connection of the window has the configuration {dict(found)} instead of the one "
            f"in force, {dict(wanted)}"
        )


def _outcome(
    results: list[Result],
    mix: Mix,
    *,
    settled: float,
    sizes: Mapping[str, int],
    pages: Mapping[str, float],
) -> Outcome:
    seconds = max(result.seconds for result in results) + settled
    latencies = sorted(latency for result in results for latency in result.latencies_us)
    return Outcome(
        seconds=seconds,
        objectives={
            "throughput": len(latencies) / seconds,
            "latency_p95": latency_quantile(latencies, 0.95),
            "latency_p99": latency_quantile(latencies, 0.99),
        },
        counters=counts(results, mix),
        gauges={
            "latency_mean": sum(latencies) / len(latencies) / 1000,
            "latency_p50": latency_quantile(latencies, 0.5),
            "settle_seconds": settled,
            "database_bytes": float(sizes[""]),
            "log_bytes": float(sizes["-wal"] + sizes["-journal"]),
            **pages,
        },
        details={
            "transactions": len(latencies),
            "by_connection": [sum(result.transactions.values()) for result in results],
        },
    )


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A new folder, removed afterwards; those of windows that were killed are removed as well.

    Each window has a folder of its own because a worker of a killed window may live a moment
    longer: in the next one's folder it would leave a journal that the next one would roll back.
    """
    for leftover in folder.glob(f"{_PREFIX}*"):
        logger.info("removing what a killed window left path=%s", leftover)
        shutil.rmtree(leftover, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
