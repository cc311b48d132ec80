"""The SQLite adapter: the contract, the durability classes, hand-made changes, honest windows."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from targets.adapter import Adapter, CancelToken
from targets.errors import (
    ApplyFailed,
    Cancelled,
    HarnessFailed,
    InvalidSetting,
    Rejected,
    TargetDown,
    WorkloadFailed,
)
from targets.knobs import Risk, Value
from targets.sqlite.adapter import SqliteAdapter
from targets.sqlite.database import Database
from targets.sqlite.metrics import latency_quantile
from targets.sqlite.window import check_state
from targets.testing import AdapterContract

SMALL: dict[str, Value] = {
    "rows": 2_000,
    "row_bytes": 60,
    "scan_rows": 20,
    "window_seconds": 0.1,
    "warm_up_share": 0.2,
}


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data set made, to copy."""
    folder = tmp_path_factory.mktemp("sqlite")
    SqliteAdapter(SMALL, folder).close()
    return folder


@pytest.fixture
def make(made: Path, tmp_path: Path) -> Callable[..., SqliteAdapter]:
    """Make an adapter on this test's folder, with some settings changed."""

    def make_adapter(**settings: Value) -> SqliteAdapter:
        _use(made, tmp_path)
        return SqliteAdapter({**SMALL, **settings}, tmp_path)

    return make_adapter


@pytest.fixture
def adapter(make: Callable[..., SqliteAdapter]) -> SqliteAdapter:
    return make()


def _use(made: Path, workdir: Path) -> None:
    for dataset in made.glob("dataset-*.db"):
        if not (workdir / dataset.name).exists():
            shutil.copyfile(dataset, workdir / dataset.name)


def changed(adapter: SqliteAdapter, **knobs: Value) -> dict[str, Value]:
    return {**adapter.describe().space.default(), **knobs}


def by_hand(adapter: SqliteAdapter, *statements: str) -> None:
    with closing(sqlite3.connect(adapter.database.path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement).fetchall()


def content(path: Path) -> str:
    """A digest of everything a database holds, whatever its pages and journal are."""
    with closing(sqlite3.connect(path)) as connection:
        return hashlib.sha256("\n".join(connection.iterdump()).encode()).hexdigest()


class TestSqliteContract(AdapterContract):
    @pytest.fixture(autouse=True)
    def _prepare(self, made: Path, tmp_path: Path) -> None:
        _use(made, tmp_path)

    def make_adapter(self, workdir: Path) -> Adapter:
        return SqliteAdapter(SMALL, workdir)


class TestSqliteContractConsistentClassTwoConnections(TestSqliteContract):
    opted_in = True
    compares = False

    def make_adapter(self, workdir: Path) -> Adapter:
        return SqliteAdapter({**SMALL, "durability": "consistent", "connections": 2}, workdir)


# -- durability classes


@pytest.mark.parametrize(
    ("durability", "levels", "risk"),
    [
        ("durable", ("full", "extra"), Risk.SAFE),
        ("consistent", ("normal", "full", "extra"), Risk.DURABILITY),
        ("none", ("off", "normal", "full", "extra"), Risk.DURABILITY),
    ],
)
def test_a_class_offers_only_its_own_levels(
    make: Callable[..., SqliteAdapter], durability: str, levels: tuple[str, ...], risk: Risk
) -> None:
    space = make(durability=durability).describe().space
    assert space["synchronous"].levels == levels
    assert space["synchronous"].risk is risk
    assert space["journal_mode"].levels == ("delete", "truncate", "persist", "wal")


def test_the_durable_class_refuses_to_leave_it(adapter: SqliteAdapter) -> None:
    before = adapter.read()
    with pytest.raises(Rejected, match="synchronous='normal'"):
        adapter.apply(changed(adapter, journal_mode="wal", synchronous="normal"))
    assert adapter.read() == before


def test_the_consistent_class_takes_normal_only_with_a_log(
    make: Callable[..., SqliteAdapter],
) -> None:
    adapter = make(durability="consistent")
    wanted = changed(adapter, journal_mode="wal", synchronous="normal")
    assert adapter.apply(wanted).in_force == wanted
    with pytest.raises(Rejected, match="corrupt"):
        adapter.apply(changed(adapter, journal_mode="persist", synchronous="normal"))


def test_a_configuration_that_sqlite_takes_differently_is_not_put_in_force(
    adapter: SqliteAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = adapter.read()
    monkeypatch.setattr("targets.sqlite.database.encode", lambda _: {"synchronous": "off"})
    with pytest.raises(ApplyFailed, match="outside the durability class durable"):
        adapter.apply(changed(adapter, journal_mode="wal"))
    assert adapter.read() == before


# -- where a session begins


def test_baseline_wal_begins_in_write_ahead_mode(make: Callable[..., SqliteAdapter]) -> None:
    adapter = make(baseline="wal")
    assert adapter.read() == changed(adapter, journal_mode="wal")
    assert adapter.describe().space["journal_mode"].default == "delete"


def test_another_baseline_is_another_database(make: Callable[..., SqliteAdapter]) -> None:
    first = make()
    promoted = first.apply(changed(first, journal_mode="wal", cache_size=9_000)).in_force
    assert make(baseline="wal").read()["cache_size"] == first.describe().space["cache_size"].default
    assert make().read() == promoted


def test_scans_must_fit_the_data(make: Callable[..., SqliteAdapter]) -> None:
    with pytest.raises(InvalidSetting, match="scan_rows=1500 is above half of rows=2000"):
        make(scan_rows=1_500)


# -- what is in force


def test_page_size_changes_and_comes_back_in_write_ahead_mode(adapter: SqliteAdapter) -> None:
    data = content(adapter.database.path)
    for page_size in (8192, 1024, 4096):
        wanted = changed(adapter, journal_mode="wal", page_size=page_size)
        assert adapter.apply(wanted).in_force == wanted
        header = adapter.database.path.read_bytes()[:20]
        assert int.from_bytes(header[16:18], "big") == page_size
        assert header[18:20] == b"\x02\x02", "the file itself says that it has a write-ahead log"
        assert content(adapter.database.path) == data
        assert adapter.measure().objectives["throughput"] > 0


@pytest.mark.parametrize(
    ("statements", "knob", "value"),
    [
        (["PRAGMA journal_mode = WAL"], "journal_mode", "wal"),
        (["PRAGMA page_size = 8192", "VACUUM"], "page_size", 8192),
    ],
)
def test_a_change_by_hand_to_the_file_is_read_and_measured(
    adapter: SqliteAdapter, statements: list[str], knob: str, value: Value
) -> None:
    by_hand(adapter, *statements)
    assert adapter.read() == changed(adapter, **{knob: value})
    gauges = adapter.measure().metrics
    assert (gauges["log_bytes"] > 0) == (knob == "journal_mode")
    assert gauges["database_bytes"] / gauges["pages"] == adapter.read()["page_size"]


def test_a_change_by_hand_to_the_pragmas_is_read(adapter: SqliteAdapter) -> None:
    adapter.database.pragmas_path.write_text('{"cache_size": -4096, "temp_store": "memory"}')
    assert adapter.read() == changed(adapter, cache_size=4096, temp_store="memory")


def test_a_change_by_hand_out_of_the_class_is_read_and_not_measured(
    adapter: SqliteAdapter,
) -> None:
    safe = adapter.snapshot()
    adapter.database.pragmas_path.write_text('{"synchronous": "off"}')
    assert adapter.read()["synchronous"] == "off"
    with pytest.raises(HarnessFailed, match="synchronous=off is outside the durability class"):
        adapter.measure()
    adapter.restore(safe)
    assert adapter.measure().objectives


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ("[]", "one object"),
        ('{"locking_mode": "exclusive"}', "pragma locking_mode is none of"),
        ('{"cache_size": "1; DROP TABLE account"}', "whole number or a word"),
        ('{"cache_size": true}', "whole number or a word"),
    ],
)
def test_a_pragma_file_that_makes_no_sense_is_told_and_can_be_put_right(
    adapter: SqliteAdapter, text: str, message: str
) -> None:
    safe = adapter.snapshot()
    adapter.database.pragmas_path.write_text(text)
    with pytest.raises(TargetDown, match=message):
        adapter.read()
    assert "pragma" in adapter.healthy()
    assert adapter.restore(safe).in_force == safe.configuration
    assert adapter.healthy() == ""


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"no database")])
def test_restore_makes_a_lost_database_again(
    adapter: SqliteAdapter, damage: Callable[[Path], object]
) -> None:
    safe = adapter.snapshot()
    damage(adapter.database.path)
    assert adapter.healthy() != ""
    assert adapter.restore(safe).in_force == safe.configuration
    assert adapter.healthy() == ""


def test_apply_that_fails_half_way_changes_nothing(adapter: SqliteAdapter) -> None:
    before = adapter.read()
    adapter.database.dataset().write_bytes(b"no database")
    with pytest.raises(ApplyFailed, match="not a database"):
        adapter.apply(changed(adapter, page_size=8192, cache_size=9_000))
    assert adapter.read() == before
    assert sorted(path.name for path in adapter.folder.iterdir()) == ["database.db", "pragmas.json"]


# -- windows


def test_every_window_starts_from_the_same_data(adapter: SqliteAdapter, tmp_path: Path) -> None:
    starts = set()
    for knobs in ({}, {"journal_mode": "wal"}, {"journal_mode": "wal", "page_size": 1024}):
        adapter.apply(changed(adapter, **knobs))
        assert adapter.measure().metrics["writes"] > 0
        adapter.database.copy(tmp_path / "start.db")
        starts.add(content(tmp_path / "start.db"))
    assert starts == {content(adapter.database.dataset())}


def test_a_window_counts_what_it_did(adapter: SqliteAdapter) -> None:
    window = adapter.measure(seed=3)
    metrics = window.metrics
    done = metrics["transactions"] * window.seconds
    assert done == pytest.approx(window.details["transactions"])
    assert window.objectives["throughput"] == pytest.approx(metrics["transactions"])
    parts = metrics["reads"] + metrics["scans"] + metrics["writes"]
    assert parts == pytest.approx(metrics["transactions"])
    assert metrics["rows_written"] == pytest.approx(3 * metrics["writes"])
    assert adapter.observe()["transactions"] == window.details["transactions"]
    assert set(metrics) <= {metric.name for metric in adapter.describe().metrics}


def test_connections_work_at_once(make: Callable[..., SqliteAdapter]) -> None:
    adapter = make(connections=3, baseline="wal")
    assert all(count > 0 for count in adapter.measure().details["by_connection"])


def test_data_changed_before_the_window_is_noticed(adapter: SqliteAdapter) -> None:
    by_hand(adapter, "UPDATE account SET balance = balance + 1 WHERE id = 7")
    with pytest.raises(WorkloadFailed, match="its data was changed before the window"):
        adapter.measure()


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE account SET balance = balance - 1 WHERE id = 1", "holds 1 and 1"),
        ("DELETE FROM history", "holds 2 and 0"),
    ],
)
def test_a_lost_transaction_is_noticed(
    adapter: SqliteAdapter, statement: str, message: str
) -> None:
    by_hand(
        adapter,
        "UPDATE account SET balance = balance + 1 WHERE id IN (1, 2)",
        "INSERT INTO history (account, delta) VALUES (1, 1)",
    )
    check_state(adapter.database.path, adapter.mix, 1)
    by_hand(adapter, statement)
    with pytest.raises(WorkloadFailed, match=message):
        check_state(adapter.database.path, adapter.mix, 1)


def test_a_damaged_database_is_noticed(adapter: SqliteAdapter) -> None:
    with adapter.database.path.open("r+b") as file:
        file.seek(10 * 4096)
        file.write(b"\xff" * 4096)
    with pytest.raises(WorkloadFailed, match=r"damaged|cannot be read"):
        check_state(adapter.database.path, adapter.mix, 0)


def test_a_connection_that_is_not_as_claimed_is_noticed(
    adapter: SqliteAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed = changed(adapter, synchronous="extra")
    monkeypatch.setattr(Database, "read", lambda self: claimed)
    with pytest.raises(HarnessFailed, match="instead of the one in force"):
        adapter.measure()


def test_a_cancelled_window_ends_at_once_and_leaves_nothing(
    make: Callable[..., SqliteAdapter],
) -> None:
    adapter = make(window_seconds=60.0, warm_up_share=0.0)
    cancel = CancelToken()
    timer = threading.Timer(0.5, cancel.cancel, ["enough"])
    timer.start()
    start = time.monotonic()
    with pytest.raises(Cancelled, match="enough"):
        adapter.measure(cancel=cancel)
    timer.join()
    assert time.monotonic() - start < 20
    assert not _workers(psutil.Process())
    assert not list(adapter.folder.glob("window-*"))


def test_a_killed_agent_leaves_no_worker_and_no_trace_in_the_next_window(
    make: Callable[..., SqliteAdapter], tmp_path: Path
) -> None:
    adapter = make(baseline="wal")
    program = (
        "import json, sys; from pathlib import Path\n"
        "from targets.sqlite.adapter import SqliteAdapter\n"
        "SqliteAdapter(json.loads(sys.argv[1]), Path(sys.argv[2])).measure()\n"
    )
    long = {**adapter.settings, "window_seconds": 120.0, "warm_up_share": 0.0}
    agent = subprocess.Popen([sys.executable, "-c", program, json.dumps(long), str(tmp_path)])
    try:
        _until(lambda: [log for log in adapter.folder.glob("window-*/*-wal") if log.stat().st_size])
        workers = _workers(psutil.Process(agent.pid))
    finally:
        agent.kill()
        agent.wait()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert workers
    assert not alive, "a worker goes on without its agent"
    assert list(adapter.folder.glob("window-*"))
    assert adapter.measure().objectives
    assert not list(adapter.folder.glob("window-*"))


def test_reference_lines_are_the_other_starting_points(
    make: Callable[..., SqliteAdapter],
) -> None:
    for baseline, other in (
        ("default", "write-ahead log, else SQLite's defaults"),
        ("wal", "SQLite's defaults"),
    ):
        assert [line.name for line in make(baseline=baseline).reference_lines()] == [other]


def test_a_file_system_in_memory_is_told(
    adapter: SqliteAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "warning" not in adapter.measure().details
    mount = SimpleNamespace(mountpoint=str(adapter.folder), fstype="tmpfs")
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: [mount])
    assert "put the workdir on a disk" in adapter.measure().details["warning"]
    assert adapter.describe().hardware["file_system"] == "tmpfs"


def test_quantiles_are_nearest_ranks() -> None:
    times = list(range(1000, 101_000, 1000))
    assert latency_quantile(times, 0.95) == 95
    assert latency_quantile(times, 0.99) == 99
    assert latency_quantile([500], 0.99) == 0.5


def _workers(process: psutil.Process) -> list[psutil.Process]:
    return [child for child in process.children() if "targets.sqlite.worker" in child.cmdline()]


def _until(ask: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not ask():
        assert time.monotonic() < deadline, "no window was begun in 30 s"
        time.sleep(0.02)
