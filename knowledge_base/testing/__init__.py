"""The contract suite of the knowledge base, and small histories to test with.

Subclass `StoreContract` and give it an opened, empty store; every test of the suite then runs on
your engine. Needs pytest and hypothesis: `pip install 'lontra[dev]'`.

```python
class TestStoreOnSqlite(StoreContract):
    @pytest.fixture
    def store(self, clock, tmp_path):
        url = f"sqlite:///{tmp_path}/lontra.db"
        upgrade(url)
        with Store.open(url, clock=clock) as store:
            yield store
```
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from knowledge_base.store import Store
from knowledge_base.testing.access import AccessContract
from knowledge_base.testing.concurrency import ConcurrencyContract
from knowledge_base.testing.events import EventsContract
from knowledge_base.testing.exactness import ExactnessContract
from knowledge_base.testing.leasing import LeasingContract
from knowledge_base.testing.results import ResultsContract
from knowledge_base.testing.retention import RetentionContract
from knowledge_base.testing.sessions import SessionsContract
from knowledge_base.testing.targets import TargetsContract
from targets.clock import ManualClock

__all__ = ["StoreContract"]


class StoreContract(
    TargetsContract,
    SessionsContract,
    LeasingContract,
    ResultsContract,
    EventsContract,
    AccessContract,
    RetentionContract,
    ExactnessContract,
    ConcurrencyContract,
):
    """Everything that a store promises. Subclasses override the fixture `store`."""

    @pytest.fixture
    def clock(self) -> ManualClock:
        """The store's time: it stands still until a test moves it."""
        return ManualClock()

    @pytest.fixture
    def store(self, clock: ManualClock) -> Iterator[Store]:
        """An open, empty store on `clock`, this test's own."""
        pytest.fail("a subclass of StoreContract must override the fixture `store`")
        yield
