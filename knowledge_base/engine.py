"""Engines: one kind of transaction on SQLite and on PostgreSQL, whatever the driver's habits.

Two kinds of transactions, both through `Database`:

* `read()` sees one moment of the database: a deferred transaction in SQLite's write-ahead log,
  REPEATABLE READ READ ONLY on PostgreSQL. It blocks nobody and is blocked by nobody.
* `write()` begins with BEGIN IMMEDIATE on SQLite, so that it waits for another writer before it
  has read anything (a transaction that reads first and writes later fails there instead of
  waiting); on PostgreSQL it is READ COMMITTED, and writers lock the rows they decide upon.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    IntegrityError,
    OperationalError,
    StatementError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session, sessionmaker

from knowledge_base.errors import Conflict, InvalidDatabase, Unavailable
from targets.errors import LontraError, MissingExtra

BUSY_TIMEOUT_SECONDS = 30.0
"""How long a SQLite writer waits for another one. Transactions here take milliseconds; a machine
that swaps or a disk that stalls may stretch one to seconds."""

POOL_SIZE = 10
POOL_OVERFLOW = 20

_IMMEDIATE = "lontra_immediate"


class Database:
    """One database, safe to use from many threads. Not to be shared across a fork.

    Args:
        url: `sqlite:///path` or `postgresql://user@host/name` (any SQLAlchemy URL of the two).
        enforce_foreign_keys: SQLite only; off while a migration rebuilds tables.

    Raises:
        InvalidDatabase: the URL is none, or of another engine, or of a database in memory.
        MissingExtra: PostgreSQL's driver is not installed.
    """

    def __init__(self, url: str, *, enforce_foreign_keys: bool = True) -> None:
        self.url = _checked_url(url)
        reading: dict[str, Any]
        writing: dict[str, Any]
        if self.is_sqlite:
            self.engine = _sqlite_engine(self.url, enforce_foreign_keys=enforce_foreign_keys)
            reading, writing = {}, {_IMMEDIATE: True}
        else:
            self.engine = _postgresql_engine(self.url)
            reading = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            writing = {}
        self._reading = _sessions(self.engine, reading)
        self._writing = _sessions(self.engine, writing)

    @property
    def is_sqlite(self) -> bool:
        """Whether the engine is SQLite; else it is PostgreSQL."""
        return self.url.get_backend_name() == "sqlite"

    def __str__(self) -> str:
        """The URL without its password."""
        shown = self.url.set(drivername=self.url.get_backend_name())
        return shown.render_as_string(hide_password=True)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that sees one moment and changes nothing.

        Raises:
            NotFound: an identifier is beyond what any row has.
            Unavailable: the database cannot be reached.
        """
        with self._transaction(self._reading) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that is carried out whole or, on any exception, not at all.

        Raises:
            InvalidRecord: a value cannot be kept exactly.
            Conflict: a rule of the schema is broken that the caller did not check first.
            Unavailable: the database cannot be reached, or is locked for too long.
        """
        with self._transaction(self._writing) as session:
            yield session

    def close(self) -> None:
        """Close all connections that are not in use."""
        self.engine.dispose()

    @contextmanager
    def _transaction(self, sessions: sessionmaker[Session]) -> Iterator[Session]:
        """A transaction that raises Lontra's errors where SQLAlchemy's would be no help."""
        try:
            with sessions.begin() as session:
                session.connection()  # begins now, not with the first statement
                yield session
        except IntegrityError as error:
            raise Conflict(f"database {self} refuses this: {error.orig}") from error
        except PoolTimeoutError as error:
            raise Unavailable(f"database {self} is too busy: {error}") from error
        except StatementError as error:
            if isinstance(error.orig, LontraError):  # a column type refused a value
                raise error.orig from None
            if type(error) in (OperationalError, DatabaseError):  # not a fault of the statement
                raise Unavailable(f"database {self} cannot be used: {error.orig}") from error
            raise


def _sessions(engine: Engine, options: dict[str, Any]) -> sessionmaker[Session]:
    return sessionmaker(engine.execution_options(**options), expire_on_commit=False)


def one_at_a_time(session: Session, what: str) -> None:
    """Until this write transaction ends, let no other one do `what`.

    On SQLite there is one writer at a time anyway. On PostgreSQL it is an advisory lock.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:what, 0))"),
            {"what": f"lontra {what}"},
        )


def _checked_url(text: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise InvalidDatabase(
            "the database URL cannot be read: give sqlite:///path/to/lontra.db "
            "or postgresql://user@host/database"
        ) from error
    backend = url.get_backend_name()
    if backend == "sqlite":
        if url.database in (None, "", ":memory:") or url.query.get("mode") == "memory":
            raise InvalidDatabase(
                f"database {text!r} lives in memory, where agents, workers and pages cannot "
                "share it: give a file, sqlite:///path/to/lontra.db"
            )
        return url.set(drivername="sqlite+pysqlite")
    if backend == "postgresql":
        if importlib.util.find_spec("psycopg") is None:
            raise MissingExtra("a PostgreSQL knowledge base", "psycopg", "postgresql")
        return url.set(drivername="postgresql+psycopg")
    raise InvalidDatabase(
        f"database {url.render_as_string(hide_password=True)} is of kind {backend}: "
        "the knowledge base runs on sqlite or postgresql"
    )


def _sqlite_engine(url: URL, *, enforce_foreign_keys: bool) -> Engine:
    engine = create_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=POOL_OVERFLOW,
        # isolation_level=None stops the sqlite3 module from beginning transactions on its own
        # idea of when; `begin` below is then the only one who does.
        connect_args={"timeout": BUSY_TIMEOUT_SECONDS, "isolation_level": None},
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, record: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        # In WAL mode NORMAL keeps the database sound through a power cut, but may lose the last
        # commits: a trial that ended in them is then leased and measured once more.
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.execute(f"PRAGMA foreign_keys = {'ON' if enforce_foreign_keys else 'OFF'}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get(_IMMEDIATE, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _postgresql_engine(url: URL) -> Engine:
    return create_engine(url, pool_size=POOL_SIZE, max_overflow=POOL_OVERFLOW, pool_pre_ping=True)
