"""The front of the knowledge base: one object, one repository for each kind of record."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from knowledge_base.engine import Database
from knowledge_base.migrations import require_head
from knowledge_base.repositories.agents import AgentsRepository
from knowledge_base.repositories.artefacts import ArtefactsRepository
from knowledge_base.repositories.events import EventsRepository
from knowledge_base.repositories.leases import LeasesRepository
from knowledge_base.repositories.replies import RepliesRepository
from knowledge_base.repositories.reports import ReportsRepository
from knowledge_base.repositories.sessions import SessionsRepository
from knowledge_base.repositories.targets import TargetsRepository
from knowledge_base.repositories.tokens import TokensRepository
from knowledge_base.repositories.trials import TrialsRepository
from knowledge_base.repositories.windows import WindowsRepository
from knowledge_base.retention import Retention
from targets.clock import Clock, SystemClock


class Store:
    """The knowledge base, opened. Safe to use from many threads, not across a fork.

    Every call is one transaction: it is carried out whole or raises and changes nothing.

    >>> store = Store.open("sqlite:///lontra.db")  # doctest: +SKIP
    >>> store.targets.by_name("orders-db")  # doctest: +SKIP
    """

    def __init__(self, database: Database, *, clock: Clock | None = None) -> None:
        clock = clock or SystemClock()
        self.database = database
        self.targets = TargetsRepository(database, clock)
        self.agents = AgentsRepository(database, clock)
        self.leases = LeasesRepository(database, clock)
        self.sessions = SessionsRepository(database, clock)
        self.trials = TrialsRepository(database, clock)
        self.windows = WindowsRepository(database, clock)
        self.events = EventsRepository(database, clock)
        self.reports = ReportsRepository(database, clock)
        self.artefacts = ArtefactsRepository(database, clock)
        self.tokens = TokensRepository(database, clock)
        self.replies = RepliesRepository(database, clock)
        self.retention = Retention(database, clock)

    @classmethod
    def open(cls, url: str, *, clock: Clock | None = None) -> Store:
        """Open the database at `url` (see `Database` for its forms).

        Raises:
            SchemaMismatch: the database has another schema than this program, or none yet.
            InvalidDatabase: the URL names no database that can be used.
            MissingExtra: PostgreSQL's driver is not installed.
        """
        database = Database(url)
        try:
            require_head(database)
        except BaseException:
            database.close()
            raise
        return cls(database, clock=clock)

    @property
    def url(self) -> str:
        """The database's URL, password included: for opening it again, never for showing."""
        return self.database.url.render_as_string(hide_password=False)

    def close(self) -> None:
        """Close the connections."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
