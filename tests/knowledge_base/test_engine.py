"""The two engines as they are set up: transactions, pragmas and URLs."""

from __future__ import annotations

import sqlite3
import sys
import threading
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import text

from knowledge_base import Store, upgrade
from knowledge_base.engine import Database
from knowledge_base.errors import Conflict, InvalidDatabase, Unavailable
from targets.errors import MissingExtra

PATIENCE_SECONDS = 30.0


@pytest.fixture
def database(sqlite_url: str) -> Database:
    return Database(sqlite_url)


def test_sqlite_is_set_up_for_many_readers_and_a_patient_writer(database: Database) -> None:
    with database.read() as session:
        pragmas = {
            name: session.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 1,
        "foreign_keys": 1,
        "busy_timeout": 30_000,
    }


def test_the_driver_begins_no_transaction_of_its_own(database: Database) -> None:
    with database.read() as session:
        driver = session.connection().connection.dbapi_connection
        assert isinstance(driver, sqlite3.Connection)
        assert driver.isolation_level is None


def test_a_writer_holds_the_lock_from_its_first_moment(database: Database) -> None:
    other = sqlite3.connect(str(database.url.database), timeout=0, isolation_level=None)
    with database.write():
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        assert other.execute("SELECT count(*) FROM targets").fetchone() == (0,)
    other.execute("BEGIN IMMEDIATE")
    other.close()


def test_a_reader_sees_one_moment_however_long_it_reads(sqlite_url: str) -> None:
    sees_one_moment(sqlite_url)


@pytest.mark.postgresql
def test_a_reader_sees_one_moment_on_postgresql_too(postgresql_url: str) -> None:
    sees_one_moment(postgresql_url)


def sees_one_moment(url: str) -> None:
    with Store.open(url) as store:
        count = text("SELECT count(*) FROM targets")
        with store.database.read() as session:
            assert session.scalar(count) == 0
            store.targets.describe("orders-db", {})
            assert session.scalar(count) == 0
        with store.database.read() as session:
            assert session.scalar(count) == 1


@pytest.mark.postgresql
def test_a_reader_cannot_write_on_postgresql(postgresql_url: str) -> None:
    database = Database(postgresql_url)
    with (
        pytest.raises(Exception, match="read-only transaction"),
        database.read() as session,
    ):
        session.execute(text("DELETE FROM replies"))
    database.close()


def test_a_write_that_fails_leaves_nothing(database: Database) -> None:
    insert = text(
        "INSERT INTO targets (name, kind, version, description, created_at)"
        " VALUES ('a', '', '', '{}', '2026-01-01 00:00:00.000000')"
    )
    with pytest.raises(RuntimeError), database.write() as session:
        session.execute(insert)
        raise RuntimeError
    with pytest.raises(Conflict, match=r"targets\.name"), database.write() as session:
        session.execute(insert)
        session.execute(insert)
    with database.read() as session:
        assert session.scalar(text("SELECT count(*) FROM targets")) == 0


def test_writers_in_threads_wait_for_each_other(database: Database) -> None:
    began, release = threading.Event(), threading.Event()
    order: list[str] = []

    def first() -> None:
        with database.write():
            began.set()
            release.wait(PATIENCE_SECONDS)
            order.append("first")

    def second() -> None:
        began.wait(PATIENCE_SECONDS)
        waiting.set()
        with database.write():
            order.append("second")

    waiting = threading.Event()
    threads = [threading.Thread(target=act) for act in (first, second)]
    for thread in threads:
        thread.start()
    waiting.wait(PATIENCE_SECONDS)
    release.set()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert order == ["first", "second"]


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"]
)
def test_a_database_in_memory_is_refused(url: str) -> None:
    with pytest.raises(InvalidDatabase, match=r"in memory.*give a file"):
        Database(url)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("lontra.db", "cannot be read: give sqlite:///path"),
        ("mysql://ada:secret@host/lontra", "of kind mysql: the knowledge base runs on sqlite or"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_password(url: str, why: str) -> None:
    with pytest.raises(InvalidDatabase, match=why) as error:
        Database(url)
    assert "secret" not in str(error.value)


def test_a_missing_driver_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra, match=r"pip install 'lontra\[postgresql\]'"):
        Database("postgresql://host/lontra")


def test_a_store_says_where_it_is_and_opens_again(sqlite_url: str) -> None:
    with Store.open(sqlite_url) as store:
        target = store.targets.describe("orders-db", {})
        with Store.open(store.url) as again:
            assert again.targets.list().items == (target,)


def test_a_path_with_odd_characters_is_a_path_like_any_other(tmp_path: Path) -> None:
    folder = tmp_path / "a b%20c+d"
    folder.mkdir()
    url = f"sqlite:///{quote(str(folder))}/lontra.db"
    upgrade(url)
    assert (folder / "lontra.db").exists()
    Store.open(url).close()


def test_a_server_that_does_not_answer_is_named() -> None:
    with pytest.raises(Unavailable, match=r"postgresql://ada:\*\*\*@127.0.0.1:1/lontra .* refused"):
        Store.open("postgresql://ada:secret@127.0.0.1:1/lontra")


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, and longer than the header of one would be" * 20)
    with pytest.raises(Unavailable, match=r"notes\.txt.*not a database"):
        Store.open(f"sqlite:///{path}")
    assert path.read_text().startswith("not a database")
