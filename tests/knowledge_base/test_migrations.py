"""Every old schema leads to this program's tables, on both engines, and others are refused."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, inspect, text

from knowledge_base import Store, current, head, migrations, upgrade
from knowledge_base.engine import Database
from knowledge_base.errors import Conflict, InvalidDatabase, SchemaMismatch
from knowledge_base.records import Scope
from knowledge_base.schema import Base
from knowledge_base.testing.scene import MEASURED_AT, described, started
from tests.knowledge_base.postgresql import Server

SCRIPTS = ScriptDirectory(str(Path(migrations.__file__).parent))
REVISIONS = [script.revision for script in SCRIPTS.walk_revisions()]
ENGINES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)]

# All there is in the schema, as the engine itself tells it.
CATALOGUE = {
    "sqlite": "SELECT name || ': ' || sql FROM sqlite_master"
    " WHERE sql IS NOT NULL AND type IN ('table', 'index') AND name != 'alembic_version'",
    "postgresql": "SELECT indexname || ': ' || indexdef FROM pg_indexes"
    " WHERE schemaname = 'public' AND tablename != 'alembic_version'"
    " UNION ALL SELECT conname || ': ' || pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace = 'public'::regnamespace AND conrelid != 'alembic_version'::regclass"
    " UNION ALL SELECT table_name || '.' || column_name || ': ' || data_type || ' ' || is_nullable"
    " || coalesce(character_maximum_length::text, '') || coalesce(column_default, '')"
    " FROM information_schema.columns"
    " WHERE table_schema = 'public' AND table_name != 'alembic_version'",
}


@pytest.fixture(params=ENGINES)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without tables, on each engine in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/new.db"
        return
    server: Server = request.getfixturevalue("postgresql_server")
    url = server.empty_database()
    yield url
    server.drop(url)


def catalogue(database: Database) -> list[str]:
    """The schema as the engine tells it; SQLite's own words, in an order of their own, and without
    the quotes that it puts around the name of a table once rebuilt."""
    query = CATALOGUE[database.engine.dialect.name]
    with database.read() as session:
        told = session.scalars(text(query)).all()
    return sorted(" ".join(sorted(re.split(r"[\s,]+", line.replace('"', "")))) for line in told)


def set_revision(url: str, revision: str) -> None:
    """Say that the database has another schema."""
    database = Database(url)
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = :r"), {"r": revision})
    database.close()


@pytest.mark.parametrize("revision", REVISIONS)
def test_every_revision_leads_to_the_models(empty_url: str, revision: str) -> None:
    upgrade(empty_url, revision=revision)
    assert current(empty_url) == revision
    upgrade(empty_url)
    assert current(empty_url) == head()
    database = Database(empty_url)
    with database.read() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    # Alembic looks at neither partial indexes nor checks: compare with tables made from the models.
    migrated = catalogue(database)
    with database.write() as session:
        Base.metadata.drop_all(session.connection())
        Base.metadata.create_all(session.connection())
    assert migrated == catalogue(database)
    database.close()


def test_upgrading_again_changes_nothing(empty_url: str) -> None:
    upgrade(empty_url)
    with Store.open(empty_url) as store:
        target = store.targets.describe("orders-db", {})
    upgrade(empty_url)
    with Store.open(empty_url) as store:
        assert store.targets.get(target.id) == target


def test_many_may_upgrade_at_once(empty_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(upgrade, [empty_url] * 4))
    assert current(empty_url) == head()


def test_an_upgrade_that_fails_changes_nothing(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("power cut")

    monkeypatch.setattr("alembic.op.execute", fail)  # the triggers come last
    with pytest.raises(RuntimeError, match="power cut"):
        upgrade(empty_url)
    database = Database(empty_url)
    assert inspect(database.engine).get_table_names() == []
    database.close()
    monkeypatch.undo()
    upgrade(empty_url)
    assert current(empty_url) == head()


LATER = "9998"
LATER_MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "9998"
down_revision = "HEAD"


def upgrade():
    with op.batch_alter_table("targets", recreate=RECREATE) as batch:
        batch.add_column(sa.Column("note", sa.Text()))
"""


def test_a_later_migration_may_rebuild_a_table_that_others_refer_to(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade(empty_url)
    with Store.open(empty_url) as store:
        target = described(store)
        session = started(store, target)
    folder = tmp_path / "migrations"
    shutil.copytree(Path(migrations.__file__).parent, folder)
    recreate = "'always'" if empty_url.startswith("sqlite") else "'never'"
    later = LATER_MIGRATION.replace("RECREATE", recreate).replace("HEAD", head())
    (folder / "versions" / "9998_later.py").write_text(later)
    with monkeypatch.context() as patch:
        patch.setattr("knowledge_base.migrations.__file__", str(folder / "__init__.py"))
        upgrade(empty_url)
        assert current(empty_url) == LATER
        with Store.open(empty_url) as store:
            assert store.targets.get(target.id) == target
            assert store.sessions.get(session.id) == session
            with pytest.raises(Conflict):
                store.tokens.create(scope=Scope.AGENT, label="", target_id=41)
    with pytest.raises(SchemaMismatch, match=f"schema {LATER}"):
        Store.open(empty_url)


OBJECTIVE = {"name": "throughput", "direction": "max", "unit": "1/s", "best": 1.0000000000000002}
SESSION_OF_0001 = {
    "id": 3, "target_id": 1, "space_id": 1, "workload_id": 1, "mode": "offline",
    "objective": OBJECTIVE, "recommender": "random", "recommender_options": {}, "seed": 7,
    "budget": {"trials": 10}, "baseline": {"n": 1}, "pins": {}, "versions": {}, "actor": "ada",
    "state": "finished", "phase": "done", "reason": "", "verdict": {}, "revision": 4,
    "created_at": datetime(2026, 1, 1, tzinfo=UTC),
}  # fmt: skip


def test_sessions_of_the_first_schema_keep_their_one_objective(empty_url: str) -> None:
    upgrade(empty_url, revision="0001")
    database = Database(empty_url)
    tables = MetaData()
    tables.reflect(database.engine)
    space = {"id": 1, "digest": "s", "space": {"knobs": []}, "created_at": MEASURED_AT}
    target = {"id": 1, "name": "old", "kind": "k", "version": "1", "space_id": 1,
              "description": {}, "created_at": MEASURED_AT}  # fmt: skip
    trial = {
        "id": 5, "session_id": 3, "number": 0, "task": "trial", "block": 0, "sequence": [],
        "seed": 1, "configuration": {}, "suggestion": {}, "based_on": [], "recommender": {},
        "recommender_state": {}, "timeout_seconds": 1.0, "state": "completed", "epoch": 1,
        "message": "", "seconds": 1.0, "restarted": False, "lines": [], "created_at": MEASURED_AT,
    }  # fmt: skip
    with database.write() as session:
        for name, row in (
            ("spaces", space),
            ("workloads", {"id": 1, "digest": "w", "name": "mix", "parameters": {}}),
            ("targets", target),
            ("sessions", SESSION_OF_0001),
            ("trials", trial),
        ):
            session.execute(tables.tables[name].insert(), row)
        session.execute(text("UPDATE sessions SET incumbent_trial_id = 5"))
    database.close()
    upgrade(empty_url)
    with Store.open(empty_url) as store:
        old = store.sessions.get(3)
        assert (old.objectives, old.limits) == ((OBJECTIVE,), ())
        assert (old.objective, old.incumbent_trial_id, old.actor) == (OBJECTIVE, 5, "ada")
        assert [one.id for one in store.trials.all(3)] == [5]
        with store.database.read() as session:
            kept = session.execute(text("SELECT CAST(objectives AS TEXT) FROM sessions"))
            assert [json.loads(objectives) for (objectives,) in kept] == [[OBJECTIVE]]


def test_an_upgrade_that_would_leave_broken_references_is_undone(sqlite_url: str) -> None:
    by_hand = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    by_hand.execute(
        "INSERT INTO leases (target_id, holder, incarnation, epoch, expires_at)"
        " VALUES (41, 'a', 'b', 1, '2026-01-01 00:00:00.000000')"
    )
    by_hand.commit()
    by_hand.close()
    with pytest.raises(SchemaMismatch, match=r"1 broken references in leases; nothing was"):
        upgrade(sqlite_url)


def test_a_database_without_schema_is_refused_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "absent.db"
    assert current(f"sqlite:///{path}") is None
    with pytest.raises(SchemaMismatch) as error:
        Store.open(f"sqlite:///{path}")
    assert str(path) in str(error.value)
    assert f"needs schema {head()}" in str(error.value)
    assert "run `lontra db upgrade`" in str(error.value)
    assert not path.exists()


def test_a_database_of_a_newer_program_is_refused(empty_url: str) -> None:
    upgrade(empty_url)
    set_revision(empty_url, "9999")
    for use in (Store.open, upgrade):
        with pytest.raises(SchemaMismatch) as error:
            use(empty_url)
        assert "schema 9999" in str(error.value)
        assert f"up to {head()}" in str(error.value)
        assert "lontra db upgrade" in str(error.value)


def test_an_older_database_is_refused_until_it_is_upgraded(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade(empty_url)
    monkeypatch.setattr("knowledge_base.migrations.head", lambda: LATER)
    with pytest.raises(SchemaMismatch, match=f"has schema {REVISIONS[0]}.*needs schema {LATER}"):
        Store.open(empty_url)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidDatabase, match=r"nowhere.*make it first"):
        upgrade(f"sqlite:///{tmp_path}/nowhere/lontra.db")


def test_a_password_is_never_shown() -> None:
    database = Database("postgresql://ada:secret@127.0.0.1:1/lontra")
    assert str(database) == "postgresql://ada:***@127.0.0.1:1/lontra"


@pytest.mark.parametrize("percent", ["100%", "%(here)s"])
def test_the_scripts_are_found_wherever_the_package_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, percent: str
) -> None:
    folder = tmp_path / percent
    folder.symlink_to(Path(migrations.__file__).parent)
    monkeypatch.setattr("knowledge_base.migrations.__file__", str(folder / "__init__.py"))
    upgrade(f"sqlite:///{tmp_path}/new.db")
    assert current(f"sqlite:///{tmp_path}/new.db") == head()
