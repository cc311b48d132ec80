"""What an agent claims to be: which protocol it speaks, whose it is, whether it was replaced."""

from __future__ import annotations

from typing import NoReturn

from knowledge_base.errors import Conflict, NotFound
from knowledge_base.records import Agent, Target
from targets.protocol import OLDEST_SERVED_VERSION, PROTOCOL_VERSION
from web.api.operation import caller
from web.auth import require_own
from web.errors import Problem
from web.services import services


def require_served(protocol: int) -> None:
    """Refuse an agent whose protocol is no longer served, with the oldest one that is."""
    if protocol < OLDEST_SERVED_VERSION:
        raise Problem(
            "protocol-too-old",
            f"the agent speaks protocol {protocol}; this server serves {OLDEST_SERVED_VERSION} "
            f"to {PROTOCOL_VERSION}: upgrade the agent",
            headers={"Upgrade": f"lontra/{OLDEST_SERVED_VERSION}"},
            extra={"oldest": OLDEST_SERVED_VERSION},
        )


def known_agent(instance: str) -> Agent | None:
    """The agent of that installation, if it ever registered."""
    try:
        return services().store.agents.by_instance(instance)
    except NotFound:
        return None


def own_agent(instance: str) -> Agent:
    """The agent of that installation, which belongs to the token's target."""
    agent = services().store.agents.by_instance(instance)
    require_own(caller(), agent.target_id, subject=f"agent {instance}")
    return agent


def require_free(agent: Agent | None, target: Target) -> None:
    """Refuse to move an installation that is at work on another target: its token could not."""
    if agent is None or agent.target_id == target.id:
        return
    lease = services().store.agents.lease_of(agent.target_id)
    at_work = lease is not None and lease.holder == agent.instance
    if at_work and lease is not None and lease.expires_at > services().clock.now():
        raise Problem(
            "held", f"agent {agent.instance} is at work on another target: stop it there first"
        )


def refuse_superseded(agent: Agent, incarnation: str, error: Conflict) -> NoReturn:
    """Tell an earlier start of the agent to end; one that lost its lease, to register again."""
    if agent.incarnation != incarnation:
        raise Problem("superseded", str(error)) from error
    raise Problem("not-found", str(error)) from error
