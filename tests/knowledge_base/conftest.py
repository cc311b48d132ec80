"""Databases for the tests, and the count that keeps a silent skip from passing for a success."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from knowledge_base import upgrade
from knowledge_base.engine import Database
from tests.knowledge_base.counting import ContractCount
from tests.knowledge_base.postgresql import WAIVER, Server, waived


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(ContractCount(), "knowledge-base-contract-count")


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite knowledge base, to be copied."""
    path = tmp_path_factory.mktemp("template") / "lontra.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(migrated_file: Path, tmp_path: Path) -> str:
    """An empty SQLite knowledge base of the test's own."""
    path = tmp_path / "lontra.db"
    shutil.copyfile(migrated_file, path)
    return f"sqlite:///{path}"


@pytest.fixture(scope="session")
def sqlite_engine(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """One engine for many tests: it compiles a statement once."""
    return Database(f"sqlite:///{tmp_path_factory.mktemp('shared')}/lontra.db")


@pytest.fixture
def sqlite_database(sqlite_engine: Database, migrated_file: Path) -> Database:
    """An empty SQLite knowledge base, under the URL of the one before."""
    path = Path(str(sqlite_engine.url.database))
    for left in path.parent.glob(f"{path.name}*"):  # -wal and -shm belong to the old file
        left.unlink()
    shutil.copyfile(migrated_file, path)
    return sqlite_engine


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Server]:
    """A server for the whole run. Without one, tests fail unless they were called off."""
    if waived():
        pytest.skip(f"tests on PostgreSQL were called off with {WAIVER}=off")
    server = Server()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgresql_engine(postgresql_server: Server) -> Database:
    """As `sqlite_engine`."""
    return Database(postgresql_server.database())


@pytest.fixture
def postgresql_database(postgresql_server: Server, postgresql_engine: Database) -> Database:
    """An empty PostgreSQL knowledge base, under the URL of the one before."""
    postgresql_server.renew(postgresql_engine.url.render_as_string())
    return postgresql_engine


@pytest.fixture
def postgresql_url(postgresql_server: Server) -> Iterator[str]:
    """An empty PostgreSQL knowledge base of the test's own."""
    url = postgresql_server.database()
    yield url
    postgresql_server.drop(url)
