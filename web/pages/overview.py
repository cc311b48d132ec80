"""The first page: what runs, what was found lately, who is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from flask import Blueprint, Response, render_template

from knowledge_base.records import Agent, Event, Session, SessionState, Target
from knowledge_base.store import Store
from web.pages.login import require_access
from web.pages.polling import live
from web.services import services

blueprint = Blueprint("overview", __name__)
blueprint.before_request(require_access)

SHOWN_SESSIONS = 12
SHOWN_EVENTS = 10
SHOWN_AGENTS = 200
# Twice the lease: an agent that is merely late is not yet called silent.
SILENT_AFTER_LEASES = 2


@dataclass(frozen=True, kw_only=True)
class SessionLine:
    """A session in a list."""

    session: Session
    target: Target
    measured: float | None = None


@dataclass(frozen=True, kw_only=True)
class AgentLine:
    """An agent in a list."""

    agent: Agent
    target: Target
    silent: bool

    @property
    def machine(self) -> str:
        """The name of its machine, as far as its adapter tells: `agent.host` is an identity."""
        return str(self.target.description.get("hardware", {}).get("host") or self.agent.host)


def session_lines(store: Store, sessions: Sequence[Session]) -> list[SessionLine]:
    """Sessions with their targets; those that have not ended with how far they came."""
    targets: dict[int, Target] = {}
    lines = []
    for session in sessions:
        if session.target_id not in targets:
            targets[session.target_id] = store.targets.get(session.target_id)
        lines.append(
            SessionLine(
                session=session,
                target=targets[session.target_id],
                measured=None if session.state.ended else _measured(store, session),
            )
        )
    return lines


def agent_line(agent: Agent, target: Target) -> AgentLine:
    """An agent with whether it went silent."""
    unheard = services().clock.now() - agent.last_seen_at
    lease = timedelta(seconds=services().settings.agent_lease_seconds)
    return AgentLine(agent=agent, target=target, silent=unheard > SILENT_AFTER_LEASES * lease)


@blueprint.get("/")
def overview() -> str:
    """The whole page."""
    return render_template("overview.html", **_contents())


@blueprint.get("/live")
def overview_live() -> Response:
    """The part that changes."""
    return live("overview_live.html", _contents())


def _contents() -> Mapping[str, object]:
    store = services().store
    running = store.sessions.list(state=SessionState.RUNNING, limit=SHOWN_SESSIONS)
    latest = store.sessions.list(limit=SHOWN_SESSIONS)
    agents = store.agents.list(limit=SHOWN_AGENTS).items
    events: Sequence[Event] = store.events.list(limit=SHOWN_EVENTS, newest_first=True)
    return {
        "running": session_lines(store, running.items),
        "running_total": running.total,
        "latest": session_lines(store, [s for s in latest.items if s.state.ended]),
        "sessions_total": latest.total,
        "targets_total": store.targets.list(limit=1).total,
        "agents": [agent_line(agent, store.targets.get(agent.target_id)) for agent in agents],
        "events": events,
    }


def _measured(store: Store, session: Session) -> float:
    return sum(
        trial.fidelity
        for trial in store.trials.all(session.id)
        if trial.task == "trial"
        and trial.state.ended
        and trial.suggestion.get("kind") != "baseline"
    )
