"""One connection of the workload, in a process of its own: `python -m targets.sqlite.worker`.

Processes, because threads of one Python process would share its interpreter lock, with each other
and with whatever else the agent's process does.

It reads a `Job` as a line of JSON, then commands, one a line, and answers each with a line of JSON:

| command  | does                                           | answer                             |
|----------|------------------------------------------------|------------------------------------|
| (job)    | makes its transactions                         | {"made": how many}                 |
| open     | opens its connection                           | {"configuration": as read back}    |
| warm-up  | runs for the job's warm-up                     | {"written": transactions}          |
| settle   | moves the write-ahead log into the database    | {"seconds": how long it took}      |
| window   | runs for the job's window                      | `Result`                           |

An error ends it: {"error": text} and status 1. So does its parent's end.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import resource
import sqlite3
import sys
import time
from array import array
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from targets.sqlite.pragmas import connect, decode
from targets.sqlite.workload import INSERT, SCAN, UPDATE, Kind, Mix, Transaction, transactions

CHECKPOINT = "PRAGMA wal_checkpoint(RESTART)"
"""RESTART leaves the log's file at its length, as in a database that has run for long; cutting it
would make every window pay for growing it again."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one connection is to do; `mix` has `Mix`'s fields."""

    mix: dict[str, Any]
    seed: int
    connection: int
    database: str
    pragmas: dict[str, Any]
    warm_up_seconds: float
    window_seconds: float


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one connection did in its window.

    `latencies_us` in order of execution, transactions and seconds by `Kind`; `usage` is what the
    process cost the system meanwhile.
    """

    seconds: float
    latencies_us: list[int]
    transactions: dict[str, int]
    kind_seconds: dict[str, float]
    begin_seconds: float
    commit_seconds: float
    usage: dict[str, float]


class WrongResult(Exception):
    """The database answered, and the answer is wrong."""


class Connection:
    """Runs the job's transactions on one connection."""

    def __init__(self, job: Job) -> None:
        mix = Mix(**job.mix)
        self._read = mix.read_statement
        self._plan: Iterator[Transaction] = itertools.cycle(
            made := transactions(mix, seed=job.seed, connection=job.connection)
        )
        self.made = len(made)
        self._job = job
        self._parent = os.getppid()

    def open(self) -> dict[str, Any]:
        """Connect as the application does; answers the configuration as read back."""
        self._database = connect(Path(self._job.database), self._job.pragmas)
        return decode(self._database)

    def settle(self) -> float:
        """Leave nothing in the log; answers the seconds it took. Nothing to do without a log."""
        start = time.perf_counter()
        busy, _, _ = self._database.execute(CHECKPOINT).fetchone()
        if busy:
            raise WrongResult("the write-ahead log could not be checkpointed: it is in use")
        return time.perf_counter() - start

    def run(self, seconds: float) -> Result:
        """Run transactions until the time is over; the last one begun is finished and counts."""
        clock = time.perf_counter
        latencies = array("d")
        kinds: list[Kind] = []
        self._begin_seconds = self._commit_seconds = 0.0
        before = usage()
        start = now = clock()
        end = start + seconds
        while now < end and os.getppid() == self._parent:
            transaction = next(self._plan)
            self._execute(transaction)
            then, now = now, clock()
            latencies.append(now - then)
            kinds.append(transaction.kind)
        after = usage()
        totals = {
            kind: [latency for latency, k in zip(latencies, kinds, strict=True) if k is kind]
            for kind in Kind
        }
        return Result(
            seconds=now - start,
            latencies_us=[round(latency * 1e6) for latency in latencies],
            transactions={kind: len(times) for kind, times in totals.items()},
            kind_seconds={kind: sum(times) for kind, times in totals.items()},
            begin_seconds=self._begin_seconds,
            commit_seconds=self._commit_seconds,
            usage={name: value - before[name] for name, value in after.items()},
        )

    def _execute(self, transaction: Transaction) -> None:
        database = self._database
        if transaction.kind is Kind.WRITE:
            start = time.perf_counter()
            database.execute("BEGIN IMMEDIATE")
            begun = time.perf_counter()
            database.executemany(UPDATE, transaction.updates)
            database.executemany(INSERT, transaction.inserts)
            done = time.perf_counter()
            database.execute("COMMIT")
            self._begin_seconds += begun - start
            self._commit_seconds += time.perf_counter() - done
            return
        statement = SCAN if transaction.kind is Kind.SCAN else self._read
        found = database.execute(statement, transaction.keys).fetchone()[0]
        if found != transaction.expected:
            raise WrongResult(
                f"a {transaction.kind} found {found} rows instead of {transaction.expected}"
            )


def usage() -> dict[str, float]:
    """What this process has cost so far; without the input and output counters where the system
    does not let a process see its own."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    result = {
        "cpu_user_seconds": spent.ru_utime,
        "cpu_system_seconds": spent.ru_stime,
        "page_faults": float(spent.ru_minflt),
        "voluntary_switches": float(spent.ru_nvcsw),
        "involuntary_switches": float(spent.ru_nivcsw),
    }
    try:
        lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    except OSError:
        return result
    counters = {name: float(value) for name, value in (line.split(": ") for line in lines)}
    result["read_calls"] = counters["syscr"]
    result["write_calls"] = counters["syscw"]
    result["read_bytes"] = counters["rchar"]
    result["written_bytes"] = counters["wchar"]
    result["disk_written_bytes"] = counters["write_bytes"]
    return result


def main() -> int:
    """Answer commands until the input ends."""
    lines = iter(sys.stdin)
    try:
        job = Job(**json.loads(next(lines)))
        connection = Connection(job)
        # What is made so far lives as long as the process; collecting it again and again would
        # stop the client at random moments.
        gc.freeze()
        gc.disable()
        _answer({"made": connection.made})
        for line in lines:
            match line.strip():
                case "open":
                    _answer({"configuration": connection.open()})
                case "warm-up":
                    done = connection.run(job.warm_up_seconds)
                    _answer({"written": done.transactions[Kind.WRITE]})
                case "settle":
                    _answer({"seconds": connection.settle()})
                case "window":
                    _answer(asdict(connection.run(job.window_seconds)))
                case unknown:
                    raise ValueError(f"no such command: {unknown!r}")
    except (sqlite3.Error, OSError, ValueError, WrongResult) as error:
        _answer({"error": f"{type(error).__name__}: {error}"})
        return 1
    return 0


def _answer(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
