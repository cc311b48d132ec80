"""The workload: its settings, its schema, and the transactions that a seed makes of them.

Accounts belong to branches, fifty to a branch, spread over the whole file. Three transactions:

- read: the balances of some accounts, by primary key, in one statement;
- scan: the sum over a run of accounts in branch order, by the secondary index, so that each row
  lies on a page of its own;
- write: update some accounts, insert into the history, commit.

A statement does much work for one call, so that SQLite and not the client is measured. Keys follow
a zipfian distribution whose ranks are scattered over the file, as YCSB's scrambled one does
(Cooper et al., "Benchmarking Cloud Serving Systems with YCSB", SoCC 2010).
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Self

from targets.errors import InvalidSetting
from targets.knobs import Value
from targets.settings import Setting

ROWS_PER_BRANCH = 50
MOST_TRANSACTIONS = 8192
MOST_KEYS = 2**18
"""What is made beforehand for a connection: a few seconds' transactions, a few megabytes."""

_BLOCK = 100
_SCATTER = 2_654_435_761  # prime (Knuth's multiplicative hash) and above every allowed `rows`

SCHEMA = (
    "CREATE TABLE account (id INTEGER PRIMARY KEY, branch INTEGER NOT NULL,"
    " balance INTEGER NOT NULL, filler TEXT NOT NULL)",
    "CREATE TABLE history (id INTEGER PRIMARY KEY, account INTEGER NOT NULL,"
    " delta INTEGER NOT NULL)",
)
INDEX = "CREATE INDEX account_branch ON account (branch)"
ADD_ACCOUNT = "INSERT INTO account VALUES (?, ?, 0, ?)"
SCAN = (
    "SELECT count(*), sum(balance) FROM"
    " (SELECT balance FROM account WHERE branch >= ? ORDER BY branch LIMIT ?)"
)
UPDATE = "UPDATE account SET balance = balance + 1 WHERE id = ?"
INSERT = "INSERT INTO history (account, delta) VALUES (?, 1)"
STATE = "SELECT (SELECT sum(balance) FROM account), (SELECT count(*) FROM history)"
"""What the database itself says was done: accounts updated and history rows inserted."""

SHORTEST_SECONDS = 0.1
"""The shortest window: some dozens of transactions where each waits for a sync."""

SETTINGS: tuple[Setting, ...] = (
    Setting(
        name="rows", default=30_000, low=1_000, high=10_000_000, unit="rows",
        help="Accounts in the database",
    ),
    Setting(
        name="row_bytes", default=1_000, low=1, high=60_000, unit="bytes",
        help="Length of each account's text",
    ),
    Setting(
        name="read_share", default=0.92, low=0.0, high=1.0,
        help="Share of the transactions that only read",
    ),
    Setting(
        name="scan_share", default=0.5, low=0.0, high=1.0,
        help="Share of the reading transactions that scan a range; the others read by key",
    ),
    Setting(
        name="reads_per_transaction", default=20, low=1, high=900, unit="rows",
        help="Accounts that a read transaction reads by key",
    ),
    Setting(
        name="scan_rows", default=500, low=1, high=100_000, unit="rows",
        help="Accounts that a scan transaction reads in branch order",
    ),
    Setting(
        name="updates_per_transaction", default=2, low=1, high=1_000, unit="rows",
        help="Accounts that a write transaction updates",
    ),
    Setting(
        name="inserts_per_transaction", default=1, low=0, high=1_000, unit="rows",
        help="History rows that a write transaction inserts",
    ),
    Setting(
        name="zipf_theta", default=0.9, low=0.0, high=2.0,
        help="Skew of the keys: 0 makes all alike, 0.99 is YCSB's default",
    ),
    Setting(
        name="connections", default=1, low=1, high=64, unit="connections",
        help="Connections at work at once, each in a process of its own",
    ),
    Setting(
        name="window_seconds", default=1.2, low=SHORTEST_SECONDS, high=600.0, unit="s",
        help="Length of a window",
    ),
    Setting(
        name="warm_up_share", default=0.25, low=0.0, high=2.0,
        help="Length of the warm-up before each window, as a share of the window's",
    ),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Mix:
    """The workload's parameters; fields are the settings of the same name."""

    rows: int
    row_bytes: int
    read_share: float
    scan_share: float
    reads_per_transaction: int
    scan_rows: int
    updates_per_transaction: int
    inserts_per_transaction: int
    zipf_theta: float
    connections: int

    @classmethod
    def of(cls, settings: Mapping[str, Value]) -> Self:
        """Pick the parameters out of an adapter's settings.

        Raises:
            InvalidSetting: two of them contradict each other.
        """
        mix = cls(**{field.name: settings[field.name] for field in fields(cls)})  # type: ignore[arg-type]
        if mix.scan_rows > mix.rows // 2:
            raise InvalidSetting(
                f"setting scan_rows={mix.scan_rows} is above half of rows={mix.rows}: scans would "
                "all read the same accounts; lower scan_rows or raise rows"
            )
        return mix

    @property
    def branches(self) -> int:
        """How many branches the accounts belong to."""
        return self.rows // ROWS_PER_BRANCH

    def branch_of(self, account: int) -> int:
        """Neighbours in the file are in different branches."""
        return account * _SCATTER % self.branches

    @property
    def rows_per_write(self) -> int:
        """Rows that a write transaction writes."""
        return self.updates_per_transaction + self.inserts_per_transaction

    @property
    def read_statement(self) -> str:
        """The read transaction's one statement."""
        marks = ", ".join("?" * self.reads_per_transaction)
        return f"SELECT count(*), sum(balance) FROM account WHERE id IN ({marks})"  # noqa: S608


class Kind(StrEnum):
    """What a transaction does."""

    READ = "read"
    SCAN = "scan"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction, in the form its statements take.

    `keys` are the accounts to read, or a scan's first branch and length; `expected` is the number
    of rows that must be found. `updates` and `inserts` are accounts, one parameter row each.
    """

    kind: Kind
    keys: tuple[int, ...] = ()
    expected: int = 0
    updates: tuple[tuple[int], ...] = ()
    inserts: tuple[tuple[int], ...] = ()


def transactions(mix: Mix, *, seed: int, connection: int) -> list[Transaction]:
    """The transactions of one connection, a function of the arguments and nothing else.

    They are run in this order, and after the last one again from the first. Every hundred of them
    hold the shares of the mix exactly: two seeds differ in order and keys, not in amount of work.
    """
    rng = random.Random(f"{seed}/{connection}")
    longest = max(
        mix.reads_per_transaction, mix.updates_per_transaction, mix.inserts_per_transaction
    )
    blocks = max(1, min(MOST_TRANSACTIONS, MOST_KEYS // longest) // _BLOCK)
    kinds = [kind for _ in range(blocks) for kind in _block(mix, rng)]
    keys = itertools.cycle(_zipfian(mix, rng, count=MOST_KEYS // 4))
    return [_transaction(mix, kind, keys) for kind in kinds]


def _block(mix: Mix, rng: random.Random) -> list[Kind]:
    reading = round(_BLOCK * mix.read_share)
    scans = round(reading * mix.scan_share)
    kinds = [Kind.SCAN] * scans + [Kind.READ] * (reading - scans)
    kinds += [Kind.WRITE] * (_BLOCK - reading)
    rng.shuffle(kinds)
    return kinds


def _zipfian(mix: Mix, rng: random.Random, *, count: int) -> list[int]:
    """Accounts drawn with a probability of rank^-theta; the ranks are scattered over the file."""
    weights = itertools.accumulate(rank**-mix.zipf_theta for rank in range(1, mix.rows + 1))
    ranks = rng.choices(range(mix.rows), cum_weights=list(weights), k=count)
    return [rank * _SCATTER % mix.rows for rank in ranks]


def _transaction(mix: Mix, kind: Kind, keys: Iterator[int]) -> Transaction:
    if kind is Kind.READ:
        accounts = tuple(itertools.islice(keys, mix.reads_per_transaction))
        return Transaction(kind, keys=accounts, expected=len(set(accounts)))
    if kind is Kind.SCAN:
        last = mix.branches - math.ceil(mix.scan_rows / ROWS_PER_BRANCH)
        first = mix.branch_of(next(keys)) % (last + 1)
        return Transaction(kind, keys=(first, mix.scan_rows), expected=mix.scan_rows)
    updates = tuple((key,) for key in itertools.islice(keys, mix.updates_per_transaction))
    inserts = tuple((key,) for key in itertools.islice(keys, mix.inserts_per_transaction))
    return Transaction(kind, updates=updates, inserts=inserts)
