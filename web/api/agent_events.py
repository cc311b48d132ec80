"""What agents report for the audit log, and what follows from two kinds of it."""

from __future__ import annotations

from typing import Any

from knowledge_base.errors import Conflict
from knowledge_base.records import Agent, Event, NewEvent, Scope, Session
from targets.protocol import EventReport
from tuner.errors import InvalidSession
from web.api.agent_identity import own_agent
from web.api.answers import EventSchema
from web.api.fields import parse_moment
from web.api.messages import message_schema
from web.api.operation import Answer, caller, operation
from web.auth import actor_of, require_own
from web.errors import Problem
from web.openapi import ApiBlueprint
from web.services import services

CHANGED_OUTSIDE = "knob-changed-outside"
STOPPED = "agent-stopped"

blueprint = ApiBlueprint(
    "agent-events",
    __name__,
    url_prefix="/api/v1/agents",
    description="What agents report for the audit log",
)


@operation(
    blueprint,
    "/events",
    method="POST",
    scope=Scope.AGENT,
    body=message_schema(EventReport),
    answer=Answer(EventSchema, 201),
    problems=("not-found",),
)
def report_event(message: EventReport) -> Any:
    """Something the agent did or saw, for the audit log.

    `knob-changed-outside` ends the target's session as stood down; `agent-stopped` gives up the
    lease on the target.
    """
    agent = own_agent(message.instance)
    session = _own_session(message)
    event = services().store.events.add(
        NewEvent(
            actor=actor_of(caller()),
            kind=message.kind,
            message=message.message,
            occurred_at=parse_moment(message.occurred_at),
            target_id=agent.target_id,
            session_id=session.id if session else None,
            trial_id=message.trial,
            details=message.details,
        )
    )
    if message.kind == CHANGED_OUTSIDE:
        for open_session in [session] if session else _open_since(agent.target_id, event):
            _stand_down(open_session, message.message)
    if message.kind == STOPPED and message.incarnation:
        _let_go(agent, message.incarnation)
    return event


def _own_session(message: EventReport) -> Session | None:
    """The session that an event is about, by itself or through its trial."""
    store = services().store
    session_id = message.session
    if message.trial is not None:
        trial = store.trials.get(message.trial)
        if session_id not in (None, trial.session_id):
            raise Problem(
                "invalid", f"trial {trial.id} is of session {trial.session_id}, not {session_id}"
            )
        session_id = trial.session_id
    if session_id is None:
        return None
    session = store.sessions.get(session_id)
    require_own(caller(), session.target_id, subject=f"session {session_id}")
    return session


def _open_since(target_id: int, event: Event) -> list[Session]:
    """The target's open session, if it had begun when the event occurred: events may be late."""
    newest = services().store.sessions.list(target_id=target_id, limit=1).items
    return [s for s in newest if not s.state.ended and s.created_at <= event.occurred_at]


def _let_go(agent: Agent, incarnation: str) -> None:
    try:
        services().store.agents.release(agent.instance, incarnation)
    except Conflict:
        # A newer incarnation holds the target: this one's farewell was a long time on its way.
        return


def _stand_down(session: Session, reason: str) -> None:
    try:
        services().sessions.stand_down(session.id, actor=actor_of(caller()), reason=reason)
    except InvalidSession:
        # It ended between our look and now: there is nothing left to stand down from.
        return
