"""Which tables are recorded: each a target, a part of its catalogue's space, and an objective.

A table's sub-space is complete: every combination of the levels below that the catalogue's
constraints allow. Knobs that a table does not name are held at the target's default.

The levels are few and far apart, so that every knob can matter; what each table comes to is in
docs/recorded-tables.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from targets.knobs import Value

ALL: tuple[Value, ...] = ()
"""In `Table.levels`: all levels that the catalogue declares for the knob."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table to record.

    Args:
        levels: the knobs that vary, each with its levels (`ALL`: the catalogue's).
        apart: knobs each of whose combinations has an adapter and a workdir of its own, so that
            going from one configuration to another in random order redoes nothing: SQLite keeps a
            database of each page size, the compiler no more than `KERNELS_KEPT` kernels a workdir.
        passes: how often each configuration is measured, in another random order each time.
        reference_every: after how many measurements the reference configuration is measured again,
            to follow the machine's drift; 0 for a deterministic target.
        reference: where the reference configuration differs from the target's default.
        role: source or target, for tables of one group (the part of the name before `__`); tables
            without one are there to be searched cold.
    """

    task: str
    family: str
    adapter: str
    settings: Mapping[str, Value]
    levels: Mapping[str, tuple[Value, ...]]
    objective: str
    note: str
    apart: tuple[str, ...] = ()
    passes: int = 1
    reference_every: int = 0
    reference: Mapping[str, Value] = field(default_factory=dict)
    role: str = ""

    @property
    def group(self) -> str:
        """The transfer group that the table's name begins with; empty when it is in none."""
        group, found, _ = self.task.partition("__")
        return group if found else ""


_POLICY_KNOBS = (
    "policy", "newcomer_share", "ghost_ratio", "lifetime", "admission", "admission_probability",
)  # fmt: skip


def _cache(trace: str, *, cache_size: float, environment: str = "", role: str = "") -> Table:
    return Table(
        task=f"cache_{trace}{environment}",
        family="cache",
        adapter="cache-policy",
        settings={"trace": trace, "cache_size": cache_size},
        levels=dict.fromkeys(_POLICY_KNOBS, ALL),
        objective="miss_ratio",
        note=f"generated trace {trace}, cache of {cache_size:.0%} of its pages",
        role=role,
    )


_SCHEDULE_LEVELS: dict[str, tuple[Value, ...]] = {
    "loop_order": ("nkm", "mkn"),
    "tile_m": (16, 64),
    "tile_k": (32, 128),
    "register_rows": (2, 4, 8, 12),
    "register_vectors": (1, 2, 4),
    "vector_bits": (256, 512),
    "pack": ("none", "b", "ab"),
}


def _matmul(
    environment: str, *, size: int, unroll: tuple[Value, ...] = (), role: str = ""
) -> Table:
    return Table(
        task=f"matmul{environment}",
        family="kernel",
        adapter="matmul",
        settings={
            "m": size, "n": size, "k": size,
            "max_threads": 1, "window_seconds": 0.03, "repetitions": 3, "limit_seconds": 20.0,
        },
        levels=_SCHEDULE_LEVELS | ({"unroll": unroll} if unroll else {}),
        objective="milliseconds",
        note=f"single-precision product of two {size} x {size} matrices, one thread",
        apart=("loop_order", "register_rows"),
        passes=3,
        reference_every=12,
        reference={"loop_order": "nkm"},
        role=role,
    )  # fmt: skip


def _sqlite(workload: str, *, read_share: float) -> Table:
    return Table(
        task=f"sqlite_{workload}",
        family="db",
        adapter="sqlite",
        settings={
            "durability": "consistent",
            "read_share": read_share,
            "rows": 8_000,
            "row_bytes": 500,
            "window_seconds": 0.25,
        },
        levels={
            "journal_mode": ("delete", "truncate", "persist", "wal"),
            "synchronous": ("normal", "full"),
            "page_size": (1024, 4096, 8192, 16384),
            "cache_size": (256, 1000, 2000, 16000),
            "mmap_size": (0, 64),
            "wal_autocheckpoint": (100, 1000, 10_000),
        },
        objective="throughput",
        note=f"{read_share:.0%} reading transactions, database of 5 MB, class consistent",
        apart=("journal_mode", "page_size"),
        passes=5,
        reference_every=12,
    )


TABLES: tuple[Table, ...] = (
    *(_cache(trace, cache_size=0.05) for trace in ("zipf", "loop", "scan", "mix", "phases")),
    _cache("zipf", cache_size=0.02, environment="__small", role="source"),
    _cache("zipf", cache_size=0.1, environment="__large", role="target"),
    _cache("mix", cache_size=0.02, environment="__small", role="source"),
    _cache("mix", cache_size=0.1, environment="__large", role="target"),
    _cache("phases", cache_size=0.02, environment="__small", role="source"),
    _cache("phases", cache_size=0.1, environment="__large", role="target"),
    _matmul("_384", size=384, unroll=(1, 8)),
    _sqlite("read", read_share=0.99),
    _sqlite("write", read_share=0.5),
    _matmul("__128", size=128, role="source"),
    _matmul("__256", size=256, role="target"),
)
