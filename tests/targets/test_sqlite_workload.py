"""The SQLite workload: repeatable by seed, with the shares and the skew that its settings say."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import pytest

from targets.sqlite.adapter import SqliteAdapter
from targets.sqlite.workload import SETTINGS, Kind, Mix, transactions


def mix(**changes: object) -> Mix:
    settings = {setting.name: setting.default for setting in SETTINGS}
    return Mix.of({**settings, "rows": 5_000, "scan_rows": 120, **changes})  # type: ignore[dict-item]


def test_one_seed_makes_one_sequence() -> None:
    first = transactions(mix(), seed=5, connection=0)
    assert transactions(mix(), seed=5, connection=0) == first
    assert transactions(mix(), seed=6, connection=0) != first
    assert transactions(mix(), seed=5, connection=1) != first


@pytest.mark.parametrize(
    ("read_share", "scan_share", "expected"),
    [(0.9, 0.5, (45, 45, 10)), (1.0, 0.0, (100, 0, 0)), (0.0, 0.7, (0, 0, 100))],
)
def test_every_hundred_hold_the_shares_exactly(
    read_share: float, scan_share: float, expected: tuple[int, int, int]
) -> None:
    made = transactions(mix(read_share=read_share, scan_share=scan_share), seed=1, connection=0)
    for start in range(0, len(made), 100):
        kinds = Counter(transaction.kind for transaction in made[start : start + 100])
        assert (kinds[Kind.READ], kinds[Kind.SCAN], kinds[Kind.WRITE]) == expected


def test_transactions_are_as_large_as_the_settings_say() -> None:
    shape = mix(reads_per_transaction=7, updates_per_transaction=3, inserts_per_transaction=2)
    for transaction in transactions(shape, seed=1, connection=0):
        if transaction.kind is Kind.READ:
            assert len(transaction.keys) == 7
            assert transaction.expected == len(set(transaction.keys))
        elif transaction.kind is Kind.SCAN:
            assert transaction.expected == transaction.keys[1] == 120
        else:
            assert (len(transaction.updates), len(transaction.inserts)) == (3, 2)


def test_keys_are_accounts_and_scans_find_their_rows() -> None:
    shape = mix()
    in_branch = Counter(shape.branch_of(account) for account in range(shape.rows))
    for transaction in transactions(shape, seed=2, connection=0):
        if transaction.kind is Kind.SCAN:
            first, length = transaction.keys
            assert sum(in_branch[branch] for branch in range(first, first + 3)) >= length
        accounts = [*transaction.keys, *(key for (key,) in transaction.updates)]
        assert all(0 <= account < shape.rows for account in accounts)


@pytest.mark.parametrize(("theta", "low", "high"), [(0.0, 0.0, 0.02), (0.99, 0.4, 0.8)])
def test_skew_is_zipfian(theta: float, low: float, high: float) -> None:
    """With theta 0.99 the hottest 1 % of 5000 keys get about half of all accesses."""
    made = transactions(mix(zipf_theta=theta, scan_share=0.0), seed=1, connection=0)
    accesses = Counter(key for transaction in made for key in transaction.keys)
    hottest = sum(count for _, count in accesses.most_common(50))
    assert low < hottest / sum(accesses.values()) < high


def test_hot_keys_are_scattered_over_the_file() -> None:
    made = transactions(mix(zipf_theta=1.2, scan_share=0.0), seed=1, connection=0)
    accesses = Counter(key for transaction in made for key in transaction.keys)
    hottest = sorted(key for key, _ in accesses.most_common(20))
    assert min(b - a for a, b in itertools.pairwise(hottest)) > 20


def test_large_transactions_are_fewer_so_that_memory_stays_small() -> None:
    assert len(transactions(mix(), seed=1, connection=0)) > 5_000
    large = transactions(mix(updates_per_transaction=1_000), seed=1, connection=0)
    assert 100 <= len(large) <= 300


def test_documentation_names_every_setting_and_knob() -> None:
    root = Path(__file__).parents[2]
    text = (root / "docs" / "targets" / "sqlite.md").read_text(encoding="utf-8")
    catalogue = (root / "targets" / "sqlite" / "catalogue.toml").read_text(encoding="utf-8")
    knobs = [line[7:-1] for line in catalogue.splitlines() if line.startswith("[knobs.")]
    assert len(knobs) > 5
    for name in [*knobs, *(setting.name for setting in SqliteAdapter.settings_declared)]:
        assert f"`{name}`" in text, f"docs/targets/sqlite.md does not tell of {name}"
