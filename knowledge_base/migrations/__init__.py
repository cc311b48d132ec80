"""Schema versions: how a database gets to this program's tables, and where it stands.

The migrations travel inside the package and need no `alembic.ini`. Write a new one by hand into
`versions/`, next number first; `tests/knowledge_base/test_migrations.py` compares its outcome
with `schema.py` on both engines.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from knowledge_base.engine import Database, one_at_a_time
from knowledge_base.errors import InvalidDatabase, SchemaMismatch


def upgrade(url: str, *, revision: str = "head") -> None:
    """Bring the database to `revision`, in one transaction; makes the tables where there are none.

    Safe to call from several processes at once: one upgrades, the others wait and find it done.

    Raises:
        InvalidDatabase: no such folder, or the URL is wrong.
        SchemaMismatch: the database was written by a newer program.
    """
    # A table is rebuilt by copy on SQLite: its references must not be checked half-way.
    database = Database(url, enforce_foreign_keys=False)
    if database.is_sqlite and not _file(database).parent.is_dir():
        raise InvalidDatabase(
            f"folder {_file(database).parent} of database {database} does not exist: make it first"
        )
    try:
        with database.write() as session:
            connection = session.connection()
            one_at_a_time(session, "upgrade")
            _require_known(database, _current(connection))
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
            if database.is_sqlite:
                _check_foreign_keys(database, connection)
    finally:
        database.close()


def head() -> str:
    """The revision of this program's schema."""
    revision = _scripts().get_current_head()
    assert revision is not None  # noqa: S101 - the package ships at least one migration
    return revision


def current(url: str) -> str | None:
    """The database's revision; None when it has no tables yet (or, for SQLite, no file)."""
    database = Database(url)
    try:
        return revision_of(database)
    finally:
        database.close()


def revision_of(database: Database) -> str | None:
    """As `current`, on an open database."""
    if database.is_sqlite and not _file(database).exists():
        return None  # looking must not make an empty file
    with database.read() as session:
        return _current(session.connection())


def require_head(database: Database) -> None:
    """Refuse a database of another schema.

    Raises:
        SchemaMismatch: names both revisions and what to do.
    """
    found = revision_of(database)
    if found == head():
        return
    _require_known(database, found)
    state = "has no schema yet" if found is None else f"has schema {found}"
    raise SchemaMismatch(
        f"database {database} {state}, this program needs schema {head()}: run `lontra db upgrade`"
    )


def _require_known(database: Database, revision: str | None) -> None:
    if revision is None:
        return
    try:
        _scripts().get_revision(revision)
    except CommandError as error:
        raise SchemaMismatch(
            f"database {database} has schema {revision}, which this program does not know; "
            f"it knows schemas up to {head()}: install the Lontra that wrote the database, "
            "or a newer one, and run its `lontra db upgrade`"
        ) from error


def _file(database: Database) -> Path:
    return Path(str(database.url.database).removeprefix("file:"))


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    config = Config()
    # `%` begins an interpolation there.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _check_foreign_keys(database: Database, connection: Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if broken:
        tables = ", ".join(sorted({str(row[0]) for row in broken}))
        raise SchemaMismatch(
            f"upgrading database {database} would leave {len(broken)} broken references "
            f"in {tables}; nothing was changed: restore a backup, or report this as a bug"
        )
