"""The contract suite on both engines, for real; `counting.py` counts and compares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from knowledge_base import Store
from knowledge_base.engine import Database
from knowledge_base.testing import StoreContract
from targets.clock import ManualClock


class TestStoreOnSqlite(StoreContract):
    @pytest.fixture
    def store(self, clock: ManualClock, sqlite_database: Database) -> Iterator[Store]:
        with Store(sqlite_database, clock=clock) as store:
            yield store


@pytest.mark.postgresql
class TestStoreOnPostgresql(StoreContract):
    @pytest.fixture
    def store(self, clock: ManualClock, postgresql_database: Database) -> Iterator[Store]:
        with Store(postgresql_database, clock=clock) as store:
            yield store
