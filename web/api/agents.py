"""Agents: what they ask (register, heartbeat, work), and who they are."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Response

from knowledge_base.errors import Conflict
from knowledge_base.records import (
    Agent,
    NewEvent,
    Scope,
    Session,
    SessionState,
    Token,
    Trial,
)
from targets.adapter import Description
from targets.errors import StaleEpoch
from targets.metrics import MetricVector
from targets.protocol import (
    BASELINE_ARM,
    CANDIDATE_ARM,
    PROTOCOL_VERSION,
    Arm,
    Assignment,
    Directive,
    Heartbeat,
    Registration,
    Welcome,
    WorkRequest,
)
from tuner.service import SAFE_KEY
from web.api.agent_identity import (
    known_agent,
    own_agent,
    refuse_superseded,
    require_free,
    require_served,
)
from web.api.answers import AgentSchema
from web.api.fields import as_measured
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
    require_served(message.protocol)
    token = caller()
    store, settings = services().store, services().settings
    target = store.targets.get(bound_target(token))
    if target.name != message.target:
        raise Problem(
            "forbidden", f"token {token.id} is for target {target.name}, not {message.target}"
        )
    description = {**_described(message), SAFE_KEY: message.safe}
    before = known_agent(message.instance)
    require_free(before, target)
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
    before = own_agent(message.instance)
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
        refuse_superseded(before, message.incarnation, error)
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
    agent = own_agent(message.instance)
    store.trials.expire()
    try:
        trial = store.trials.lease_next(
            agent.target_id,
            instance=message.instance,
            incarnation=message.incarnation,
            lease_seconds=settings.trial_lease_seconds,
        )
    except Conflict as error:
        refuse_superseded(agent, message.incarnation, error)
    if trial is not None:
        return _assignment(trial, store.sessions.get(trial.session_id))
    running = store.sessions.list(target_id=agent.target_id, state=SessionState.RUNNING, limit=1)
    wait = BUSY_RETRY_SECONDS if running.total else IDLE_RETRY_SECONDS
    return Response(status=204, headers={"Retry-After": str(wait)})


@operation(blueprint, "", scope=Scope.VIEWER, query=PageQuery, answer=page_answer(AgentSchema))
def list_agents(query: dict[str, int]) -> Any:
    """The agents, in the order in which they were first seen."""
    return paged(services().store.agents.list(**query), query)


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
        fidelity=trial.fidelity,
    )


def _minute(moment: datetime) -> int:
    return int(moment.timestamp() // REPORT_EVERY_SECONDS)
