"""A ring with a scripted target on a fresh knowledge base."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from knowledge_base import Store, upgrade
from targets.clock import ManualClock
from tests.tuner.scripted import Scripted


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """A fresh knowledge base."""
    url = f"sqlite:///{tmp_path / 'kb.db'}"
    upgrade(url)
    return url


@pytest.fixture
def ring(database_url: str) -> Iterator[Scripted]:
    """Store, service and worker on it."""
    clock = ManualClock()
    with Store.open(database_url, clock=clock) as store:
        yield Scripted(store, clock)
