"""The contract suite on both engines, for real; `conftest.py` counts and compares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from knowledge_base import Store
from knowledge_base.testing import StoreContract
from targets.clock import ManualClock


class TestStoreOnSqlite(StoreContract):
    @pytest.fixture
    def store(self, clock: ManualClock, sqlite_url: str) -> Iterator[Store]:
        with Store.open(sqlite_url, clock=clock) as store:
            yield store


@pytest.mark.postgresql
class TestStoreOnPostgresql(StoreContract):
    @pytest.fixture
    def store(self, clock: ManualClock, postgresql_url: str) -> Iterator[Store]:
        with Store.open(postgresql_url, clock=clock) as store:
            yield store
