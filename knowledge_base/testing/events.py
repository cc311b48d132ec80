"""What is promised of the audit log and of artefacts."""

# ruff: noqa: S101 - asserts are what a suite is made of

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from knowledge_base.errors import Conflict
from knowledge_base.records import NewEvent
from knowledge_base.store import Store
from knowledge_base.testing.scene import described, new_trial, started
from targets.clock import ManualClock

CHANGES = [
    "UPDATE events SET message = 'it never happened'",
    "DELETE FROM events",
    "INSERT INTO events (id, actor, kind, message, occurred_at, recorded_at, details)"
    " SELECT id, actor, kind, 'it never happened', occurred_at, recorded_at, details FROM events",
]


def new_event(**changes: Any) -> NewEvent:
    """Something that happened."""
    return NewEvent(
        **{
            "actor": "ada",
            "kind": "session-paused",
            "message": "lunch",
            "occurred_at": datetime(2026, 1, 1, tzinfo=UTC),
            **changes,
        }
    )


class EventsContract:
    """Events are added and never changed; artefacts are versioned."""

    def test_an_event_is_found_again_as_it_happened(self, store: Store, clock: ManualClock) -> None:
        target = described(store)
        session = started(store, target)
        trial = store.trials.add(new_trial(session))
        kathmandu = timezone(timedelta(hours=5, minutes=45))
        clock.advance(60)
        event = store.events.add(
            new_event(
                occurred_at=datetime(2026, 1, 1, 5, 45, 0, 7, tzinfo=kathmandu),
                target_id=target.id,
                session_id=session.id,
                trial_id=trial.id,
                details={"knob": "cache_size", "from": 1, "to": 2.5},
            )
        )
        assert store.events.list() == [event]
        assert event.occurred_at == datetime(2026, 1, 1, 0, 0, 0, 7, tzinfo=UTC)
        assert event.occurred_at.utcoffset() == timedelta(0)
        assert event.recorded_at == clock.now()
        assert event.details == {"knob": "cache_size", "from": 1, "to": 2.5}
        assert (event.target_id, event.session_id, event.trial_id) == (
            target.id,
            session.id,
            trial.id,
        )

    def test_events_are_found_by_what_they_are_about(self, store: Store) -> None:
        target = described(store)
        session = started(store, target)
        general = store.events.add(new_event(kind="agent-started"))
        of_target = store.events.add(new_event(target_id=target.id))
        of_session = store.events.add(new_event(target_id=target.id, session_id=session.id))
        assert store.events.list() == [general, of_target, of_session]
        assert store.events.list(newest_first=True) == [of_session, of_target, general]
        assert store.events.list(target_id=target.id) == [of_target, of_session]
        assert store.events.list(session_id=session.id) == [of_session]
        assert store.events.list(kind="agent-started") == [general]
        assert store.events.list(after_id=general.id, limit=1) == [of_target]
        assert store.events.list(after_id=2**80) == []

    def test_an_event_about_nothing_is_refused(self, store: Store) -> None:
        with pytest.raises(Conflict):
            store.events.add(new_event(session_id=41))
        assert store.events.list() == []

    @pytest.mark.parametrize("statement", CHANGES, ids=["update", "delete", "replace"])
    def test_the_audit_log_refuses_to_be_rewritten(self, store: Store, statement: str) -> None:
        event = store.events.add(new_event())
        if statement.startswith("INSERT") and store.url.startswith("sqlite"):
            statement = statement.replace("INSERT", "INSERT OR REPLACE")
        with (
            pytest.raises((DBAPIError, Conflict), match=r"audit log|duplicate key"),
            store.database.write() as session,
        ):
            session.execute(text(statement))
        assert store.events.list() == [event]

    def test_artefacts_are_versioned_by_kind_and_session(self, store: Store) -> None:
        session = started(store, described(store))
        assert store.artefacts.latest("ranking") is None
        first = store.artefacts.put("ranking", {"cache_size": 0.75})
        second = store.artefacts.put("ranking", {"cache_size": 0.5})
        own = store.artefacts.put("ranking", {"journal": 1.0}, session_id=session.id)
        assert (first.version, second.version, own.version) == (1, 2, 1)
        assert store.artefacts.latest("ranking") == second
        assert store.artefacts.latest("ranking", session_id=session.id) == own
        assert store.artefacts.latest("mapping") is None
        with pytest.raises(Conflict):
            store.artefacts.put("ranking", {}, session_id=41)

    def test_what_is_decided_once_stays(self, store: Store) -> None:
        session = started(store, described(store))
        first = store.artefacts.put_once("history", {"sessions": [1]}, session_id=session.id)
        again = store.artefacts.put_once("history", {"sessions": [2]}, session_id=session.id)
        assert again == first == store.artefacts.latest("history", session_id=session.id)
        assert store.artefacts.put_once("history", {"sessions": [3]}).content == {"sessions": [3]}
        with pytest.raises(Conflict):
            store.artefacts.put_once("history", {}, session_id=41)

    def test_what_was_kept_last_is_known_by_its_id(self, store: Store) -> None:
        one, two = (started(store, described(store, name)) for name in ("a", "b"))
        assert store.artefacts.last_id(one.id) == 0
        own = store.artefacts.put("ranking", {}, session_id=one.id)
        store.artefacts.put("ranking", {}, session_id=two.id)
        assert store.artefacts.last_id(one.id) == own.id
        shared = store.artefacts.put("pruning", {})
        assert store.artefacts.last_id(one.id) == store.artefacts.last_id(two.id) == shared.id

    def test_the_newest_of_many_sessions_are_found_at_once(self, store: Store) -> None:
        one, two = (started(store, described(store, name)) for name in ("a", "b"))
        store.artefacts.put("ranking", {"n": 1}, session_id=one.id)
        newest = store.artefacts.put("ranking", {"n": 2}, session_id=one.id)
        store.artefacts.put("mapping", {"n": 3}, session_id=two.id)
        assert store.artefacts.latest_of("ranking", [one.id, two.id]) == {one.id: newest}
        assert store.artefacts.latest_of("ranking", []) == {}
