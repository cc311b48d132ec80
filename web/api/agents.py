"""Agents: what they say (register, heartbeat, work, events), and who they are."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NoReturn

from flask import Response

from knowledge_base.errors import Conflict, NotFound
from knowledge_base.records import (
    Agent,
    Event,
    NewEvent,
    Scope,
    Session,
    SessionState,
    Target,
    Token,
    Trial,
)
from targets.adapter import Description
from targets.errors import StaleEpoch
from targets.metrics import MetricVector
from targets.protocol import (
    BASELINE_ARM,
    CANDIDATE_ARM,
    OLDEST_SERVED_VERSION,
    PROTOCOL_VERSION,
    Arm,
    Assignment,
    Directive,
    EventReport,
    Heartbeat,
    Registration,
    Welcome,
    WorkRequest,
)
from tuner.errors import InvalidSession
from tuner.service import SAFE_KEY
from web.api.answers import AgentSchema, EventSchema
from web.api.fields import as_measured, parse_moment
from web.api.messages import message_schema, schema_of
from web.api.operation import Answer, caller, operation
from web.api.pagination import PageQuery, page_answer, paged
from web.auth import actor_of, bound_target, require_own
from web.errors import Problem
from web.openapi import ApiBlueprint
from web.services import services

REPORT_EVERY_SECONDS = 60
"""Host metrics are kept once a minute, however often the agent is heard."""

BUSY_RETRY_SECONDS = 1
IDLE_RETRY_SECONDS = 5

CHANGED_OUTSIDE = "knob-changed-outside"
STOPPED = "agent-stopped"

blueprint = ApiBlueprint(
    "agents", __name__, url_prefix="/api/v1/agents", description="The programs beside the targets"
)


@operation(
    blueprint,
    "/register",
    method="POST",
    scope=Scope.AGENT,
    body=message_schema(Registration),
    answer=Answer(schema_of(Welcome)),
    problems=("held", "protocol-too-old", "invalid", "not-found"),
    repeatable=True,
)
def register(message: Registration) -> Welcome:
    """An agent presents itself and takes its target's lease.

    Repeatable: a new `incarnation` of the same `instance` supersedes the old one.
    """
    _require_served(message.protocol)
    token = caller()
    store, settings = services().store, services().settings
    target = store.targets.get(bound_target(token))
    if target.name != message.target:
        raise Problem(
            "forbidden", f"token {token.id} is for target {target.name}, not {message.target}"
        )
    description = {**_described(message), SAFE_KEY: message.safe}
    before = _agent(message.instance)
    _require_free(before, target)
    agent = store.agents.register(
        target_id=target.id,
        instance=message.instance,
        incarnation=message.incarnation,
        version=message.agent_version,
        protocol=message.protocol,
        host=message.host,
        in_force=message.in_force,
        lease_seconds=settings.agent_lease_seconds,
    )
    store.targets.describe(target.name, description)
    if before is None or before.incarnation != agent.incarnation:
        _note_registration(agent, token)
    return Welcome(
        protocol=min(message.protocol, PROTOCOL_VERSION),
        agent=agent.id,
        target=target.id,
        lease_seconds=settings.agent_lease_seconds,
        heartbeat_seconds=settings.heartbeat_seconds,
        server_time=services().clock.now().isoformat(),
    )


@operation(
    blueprint,
    "/heartbeat",
    method="POST",
    scope=Scope.AGENT,
    body=message_schema(Heartbeat),
    answer=Answer(schema_of(Directive)),
    problems=("superseded", "not-found"),
    repeatable=True,
)
def heartbeat(message: Heartbeat) -> Directive:
    """A sign of life; renews the leases on the target and on the trial in hand."""
    store, settings = services().store, services().settings
    before = _own_agent(message.instance)
    try:
        agent = store.agents.heartbeat(
            instance=message.instance,
            incarnation=message.incarnation,
            in_force=message.in_force,
            host_metrics=message.host_metrics,
            spooled=message.spooled,
            dropped=message.dropped,
            lease_seconds=settings.agent_lease_seconds,
        )
    except Conflict as error:
        _refuse_superseded(before, message.incarnation, error)
    if message.host_metrics and _minute(before.last_seen_at) != _minute(agent.last_seen_at):
        metrics = MetricVector.of(as_measured(message.host_metrics))
        store.reports.add(agent.id, agent.last_seen_at, metrics)
    if message.trial is None or message.epoch is None:
        return Directive()
    return _directive(agent, message.trial, message.epoch)


@operation(
    blueprint,
    "/work",
    method="POST",
    scope=Scope.AGENT,
    body=message_schema(WorkRequest),
    answer=Answer(schema_of(Assignment)),
    also=Answer(
        None, 204, "nothing to do now: ask again", {"Retry-After": "seconds until it is worth it"}
    ),
    problems=("superseded", "not-found"),
    repeatable=True,
)
def work(message: WorkRequest) -> Assignment | Response:
    """May I have something to do? A trial held already is given again, under a new epoch."""
    store, settings = services().store, services().settings
    agent = _own_agent(message.instance)
    store.trials.expire()
    try:
        trial = store.trials.lease_next(
            agent.target_id,
            instance=message.instance,
            incarnation=message.incarnation,
            lease_seconds=settings.trial_lease_seconds,
        )
    except Conflict as error:
        _refuse_superseded(agent, message.incarnation, error)
    if trial is not None:
        return _assignment(trial, store.sessions.get(trial.session_id))
    running = store.sessions.list(target_id=agent.target_id, state=SessionState.RUNNING, limit=1)
    wait = BUSY_RETRY_SECONDS if running.total else IDLE_RETRY_SECONDS
    return Response(status=204, headers={"Retry-After": str(wait)})


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
    agent = _own_agent(message.instance)
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


@operation(blueprint, "", scope=Scope.VIEWER, query=PageQuery, answer=page_answer(AgentSchema))
def list_agents(query: dict[str, int]) -> Any:
    """The agents, in the order in which they were first seen."""
    return paged(services().store.agents.list(**query), query)


def _require_served(protocol: int) -> None:
    if protocol < OLDEST_SERVED_VERSION:
        raise Problem(
            "protocol-too-old",
            f"the agent speaks protocol {protocol}; this server serves {OLDEST_SERVED_VERSION} "
            f"to {PROTOCOL_VERSION}: upgrade the agent",
            headers={"Upgrade": f"lontra/{OLDEST_SERVED_VERSION}"},
            extra={"oldest": OLDEST_SERVED_VERSION},
        )


def _described(message: Registration) -> dict[str, Any]:
    """The description in its normal form.

    Raises:
        InvalidKnob, InvalidExpression: a knob or rule of the space is declared wrongly.
        Problem: invalid, when anything else does not hold together.
    """
    try:
        return Description.from_dict(message.description).to_dict()
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise Problem("invalid", f"the description does not hold together: {error!r}") from error


def _agent(instance: str) -> Agent | None:
    try:
        return services().store.agents.by_instance(instance)
    except NotFound:
        return None


def _own_agent(instance: str) -> Agent:
    """The agent of that installation, which belongs to the token's target."""
    agent = services().store.agents.by_instance(instance)
    require_own(caller(), agent.target_id, subject=f"agent {instance}")
    return agent


def _require_free(agent: Agent | None, target: Target) -> None:
    """Refuse to move an installation that is at work on another target: its token could not."""
    if agent is None or agent.target_id == target.id:
        return
    lease = services().store.agents.lease_of(agent.target_id)
    at_work = lease is not None and lease.holder == agent.instance
    if at_work and lease is not None and lease.expires_at > services().clock.now():
        raise Problem(
            "held", f"agent {agent.instance} is at work on another target: stop it there first"
        )


def _note_registration(agent: Agent, token: Token) -> None:
    services().store.events.add(
        NewEvent(
            actor=actor_of(token),
            kind="agent-registered",
            message=f"agent {agent.version} on {agent.host} takes the target",
            occurred_at=agent.registered_at,
            target_id=agent.target_id,
            details={"instance": agent.instance, "incarnation": agent.incarnation},
        )
    )


def _refuse_superseded(agent: Agent, incarnation: str, error: Conflict) -> NoReturn:
    """Tell an earlier start of the agent to end; one that lost its lease, to register again."""
    if agent.incarnation != incarnation:
        raise Problem("superseded", str(error)) from error
    raise Problem("not-found", str(error)) from error


def _directive(agent: Agent, trial_id: int, epoch: int) -> Directive:
    """Whether the agent may go on with the trial in hand; if so its lease is renewed."""
    store = services().store
    trial = store.trials.get(trial_id)
    session = store.sessions.get(trial.session_id)
    require_own(caller(), session.target_id, subject=f"trial {trial_id}")
    if session.state.ended:
        return Directive(
            action="abandon", reason=f"session {session.id} is {session.state}: {session.reason}"
        )
    try:
        store.trials.renew(
            trial_id,
            instance=agent.instance,
            epoch=epoch,
            lease_seconds=services().settings.trial_lease_seconds,
        )
    except StaleEpoch as error:
        return Directive(action="abandon", reason=str(error))
    return Directive()


def _assignment(trial: Trial, session: Session) -> Assignment:
    arms = {BASELINE_ARM: session.baseline, CANDIDATE_ARM: trial.configuration}
    named = dict.fromkeys((CANDIDATE_ARM, *trial.sequence))
    return Assignment(
        session=session.id,
        trial=trial.id,
        number=trial.number,
        epoch=trial.epoch,
        task=trial.task,
        arms=tuple(Arm(name=name, configuration=dict(arms[name])) for name in named),
        sequence=tuple(trial.sequence),
        seed=trial.seed,
        lease_seconds=services().settings.trial_lease_seconds,
        timeout_seconds=trial.timeout_seconds,
        block=trial.block,
    )


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


def _minute(moment: datetime) -> int:
    return int(moment.timestamp() // REPORT_EVERY_SECONDS)
