"""The audit log: who did what, when, to what and why. Rows are added, never changed."""

from __future__ import annotations

import builtins
from dataclasses import fields

from sqlalchemy import select

from knowledge_base.columns import LARGEST_INTEGER
from knowledge_base.engine import one_at_a_time
from knowledge_base.records import Event, NewEvent
from knowledge_base.repositories.base import Repository, record, stored
from knowledge_base.schema import EventRow


class EventsRepository(Repository):
    """The events, in the order in which they were recorded."""

    def add(self, new: NewEvent) -> Event:
        """Record an event. Raises Conflict when it names something that does not exist."""
        with self._database.write() as session:
            # Numbers are given out before commit: without this a reader that goes on after the
            # last number it saw could miss an event committed late under a lower one.
            one_at_a_time(session, "events")
            row = EventRow(
                **{field.name: getattr(new, field.name) for field in fields(NewEvent)},
                recorded_at=self._clock.now(),
            )
            return record(Event, stored(session, row))

    def list(
        self,
        *,
        target_id: int | None = None,
        session_id: int | None = None,
        kind: str | None = None,
        after_id: int = 0,
        limit: int = 100,
        newest_first: bool = False,
    ) -> builtins.list[Event]:
        """Events with a number above `after_id`, at most `limit`.

        To follow the log, ask again with the last number seen: nothing is missed or seen twice.
        """
        order = EventRow.id.desc() if newest_first else EventRow.id
        wanted = select(EventRow).where(EventRow.id > min(after_id, LARGEST_INTEGER))
        if target_id is not None:
            wanted = wanted.where(EventRow.target_id == target_id)
        if session_id is not None:
            wanted = wanted.where(EventRow.session_id == session_id)
        if kind is not None:
            wanted = wanted.where(EventRow.kind == kind)
        with self._database.read() as session:
            rows = session.scalars(wanted.order_by(order).limit(min(limit, LARGEST_INTEGER)))
            return [record(Event, row) for row in rows]
