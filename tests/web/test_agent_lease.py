"""What an agent's farewell and a hand on a knob do on the server."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from knowledge_base import Store, upgrade
from knowledge_base.records import Scope, SessionState
from targets.agent.client import ServerClient
from targets.clock import ManualClock
from targets.errors import AgentRefused
from targets.protocol import EventReport, Registration
from targets.simulated.adapter import SimulatedAdapter
from tuner.service import SessionRequest, SessionService
from web import create_app


class Side:
    """One server with one target, and a client that may speak for it."""

    def __init__(self, folder: Path) -> None:
        url = f"sqlite:///{folder / 'kb.db'}"
        upgrade(url)
        self.clock = ManualClock()
        self.store = Store.open(url, clock=self.clock)
        target = self.store.targets.describe("t", {})
        _, secret = self.store.tokens.create(scope=Scope.AGENT, label="a", target_id=target.id)
        app = create_app(self.store, clock=self.clock)
        self.client = ServerClient(
            "http://localhost", secret, transport=httpx2.WSGITransport(app=app)
        )
        self.adapter = SimulatedAdapter({}, folder)

    def register(self, instance: str, incarnation: str) -> None:
        safe = self.adapter.read()
        self.client.register(
            Registration(
                protocol=1, agent_version="1", target="t", instance=instance,
                incarnation=incarnation, host="h",
                description=self.adapter.describe().to_dict(), safe=safe, in_force=safe,
            )
        )  # fmt: skip

    def event(self, kind: str, incarnation: str, *, at: str = "") -> None:
        report = EventReport(
            instance="one", kind=kind, message="m", incarnation=incarnation,
            occurred_at=at or self.clock.now().isoformat(),
        )  # fmt: skip
        self.client.deliver("/agents/events", report.to_json(), key=f"{kind}-{incarnation}-{at}")


@pytest.fixture
def side(tmp_path: Path) -> Side:
    return Side(tmp_path)


def test_an_agent_that_said_farewell_makes_room_at_once(side: Side) -> None:
    side.register("one", "a")
    with pytest.raises(AgentRefused):
        side.register("two", "b")
    side.event("agent-stopped", "a")
    side.register("two", "b")


def test_a_late_farewell_does_not_take_the_lease_from_the_next_start(side: Side) -> None:
    side.register("one", "a")
    side.register("one", "b")
    side.event("agent-stopped", "a")
    with pytest.raises(AgentRefused):
        side.register("two", "c")


def test_a_hand_on_a_knob_ends_the_open_session_even_before_its_first_trial(side: Side) -> None:
    side.register("one", "a")
    session = SessionService(side.store, side.clock).start(SessionRequest(target="t"))
    side.event("knob-changed-outside", "a", at="2025-01-01T00:00:00+00:00")
    assert side.store.sessions.get(session.id).state is SessionState.RUNNING
    side.clock.advance(1)
    side.event("knob-changed-outside", "a")
    assert side.store.sessions.get(session.id).state is SessionState.STOOD_DOWN
