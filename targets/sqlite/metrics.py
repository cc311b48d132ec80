"""What a window of the SQLite workload is measured by, and how the workers' results become it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from targets.metrics import Direction, Metric, MetricKind, Objective
from targets.sqlite.worker import Result
from targets.sqlite.workload import Kind, Mix

OBJECTIVES = (
    Objective(
        name="throughput", direction=Direction.MAXIMISE, unit="transactions/s",
        help="Transactions a second; moving the log left behind into the database counts as time",
        accounted_by="transactions",
    ),
    Objective(
        name="latency_p95", direction=Direction.MINIMISE, unit="ms",
        help="Time that 95 % of the transactions stay within",
    ),
    Objective(
        name="latency_p99", direction=Direction.MINIMISE, unit="ms",
        help="Time that 99 % of the transactions stay within",
    ),
)  # fmt: skip

_COUNTERS: Mapping[str, tuple[str, str]] = {
    "transactions": ("transactions", "Transactions of all kinds"),
    "reads": ("transactions", "Read transactions: accounts by key"),
    "scans": ("transactions", "Scan transactions: a run of accounts by the secondary index"),
    "writes": ("transactions", "Write transactions, committed"),
    "rows_read": ("rows", "Accounts read by reads and scans"),
    "rows_written": ("rows", "Accounts updated and history rows inserted"),
    "read_seconds": ("s", "Time in read transactions, all connections together"),
    "scan_seconds": ("s", "Time in scan transactions"),
    "write_seconds": ("s", "Time in write transactions"),
    "begin_seconds": ("s", "Time until writers had the write lock"),
    "commit_seconds": ("s", "Time in COMMIT: writing and syncing log, journal and database"),
    "cpu_user_seconds": ("s", "CPU time of the connections' processes in user mode"),
    "cpu_system_seconds": ("s", "CPU time of the connections' processes in the kernel"),
    "page_faults": ("faults", "Page faults served without the disk; memory maps make them"),
    "voluntary_switches": ("switches", "Times a process waited, mostly for the disk or a lock"),
    "involuntary_switches": ("switches", "Times a process lost its CPU to another one"),
    "read_calls": ("calls", "System calls that read: cache misses, where nothing is mapped"),
    "write_calls": ("calls", "System calls that write"),
    "read_bytes": ("bytes", "Read by system calls, from the page cache or the disk"),
    "written_bytes": ("bytes", "Written by system calls"),
    "disk_written_bytes": ("bytes", "Written towards the disk by these processes"),
}
_GAUGES: Mapping[str, tuple[str, str]] = {
    "latency_mean": ("ms", "Mean time of a transaction"),
    "latency_p50": ("ms", "Time that half the transactions stay within"),
    "settle_seconds": ("s", "Time to move the log left behind into the database"),
    "database_bytes": ("bytes", "Size of the database file"),
    "log_bytes": ("bytes", "Size of the write-ahead log, or of a journal that is kept"),
    "pages": ("pages", "Pages of the database"),
    "free_pages": ("pages", "Pages of the database that hold nothing"),
}

METRICS = (
    *(
        Metric(name=name, kind=MetricKind.COUNTER, unit=unit, help=text)
        for name, (unit, text) in _COUNTERS.items()
    ),
    *(
        Metric(name=name, kind=MetricKind.GAUGE, unit=unit, help=text)
        for name, (unit, text) in _GAUGES.items()
    ),
)
COUNTERS = tuple(_COUNTERS)


def counts(results: Iterable[Result], mix: Mix) -> dict[str, float]:
    """The counters' growth in a window, summed over its connections."""
    total: dict[str, float] = {}
    for result in results:
        done, spent = result.transactions, result.kind_seconds
        rows = mix.reads_per_transaction * done[Kind.READ] + mix.scan_rows * done[Kind.SCAN]
        growth = {
            "transactions": sum(done.values()),
            "reads": done[Kind.READ],
            "scans": done[Kind.SCAN],
            "writes": done[Kind.WRITE],
            "rows_read": rows,
            "rows_written": mix.rows_per_write * done[Kind.WRITE],
            "read_seconds": spent[Kind.READ],
            "scan_seconds": spent[Kind.SCAN],
            "write_seconds": spent[Kind.WRITE],
            "begin_seconds": result.begin_seconds,
            "commit_seconds": result.commit_seconds,
            **result.usage,
        }
        for name, value in growth.items():
            total[name] = total.get(name, 0.0) + value
    return total


def latency_quantile(ordered_us: Sequence[int], share: float) -> float:
    """The time in ms that a share of the transactions stays within (nearest rank)."""
    return ordered_us[math.ceil(share * len(ordered_us)) - 1] / 1000
