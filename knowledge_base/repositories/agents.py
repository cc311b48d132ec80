"""Agents: who is installed where, who holds which target, and when it was last heard."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from knowledge_base.errors import NotFound
from knowledge_base.records import Agent, Lease, Page
from knowledge_base.repositories.base import Repository, locked, page, record, stored
from knowledge_base.repositories.leases import (
    give_back,
    held,
    held_trials,
    lock_lease,
    require_lease,
    target_lease,
)
from knowledge_base.schema import AgentRow, LeaseRow, TargetRow, TrialRow

T = TypeVar("T")


class AgentsRepository(Repository):
    """The agents and their leases on targets: one agent a target."""

    def register(
        self,
        *,
        target_id: int,
        instance: str,
        incarnation: str,
        version: str,
        protocol: int,
        host: str,
        in_force: Mapping[str, Any] | None,
        lease_seconds: float,
    ) -> Agent:
        """Take the target for this agent.

        A later start of the same installation (another `incarnation`) takes the lease over from
        the earlier one. When another installation's lease has run out, its trials go back to
        `suggested` under a higher epoch, so that it can do nothing more when it wakes up.

        Raises:
            NotFound: no such target.
            Held: another installation's lease is still live.
        """
        now = self._clock.now()
        with self._database.write() as session:
            locked(session, TargetRow, target_id, what="target")
            lease = lock_lease(session, target_id)
            if lease is None:
                lease = LeaseRow(target_id=target_id, epoch=0)
                session.add(lease)
            elif lease.holder != instance:
                if lease.expires_at > now:
                    raise held(lease, instance)
                _fence_off(session, lease)
            lease.holder = instance
            lease.incarnation = incarnation
            lease.epoch += 1
            lease.expires_at = now + timedelta(seconds=lease_seconds)
            # An installation has one target: one that was pointed elsewhere lets go of the old.
            session.execute(
                update(LeaseRow)
                .where(LeaseRow.holder == instance, LeaseRow.target_id != target_id)
                .values(expires_at=now)
            )
            agent = _lock_agent(session, instance) or AgentRow(instance=instance)
            agent.target_id = target_id
            agent.incarnation = incarnation
            agent.version = version
            agent.protocol = protocol
            agent.host = host
            agent.registered_at = now
            agent.last_seen_at = now
            agent.in_force = None if in_force is None else dict(in_force)
            agent.host_metrics = {}
            agent.spooled = agent.dropped = 0
            return record(Agent, stored(session, agent))

    def heartbeat(
        self,
        *,
        instance: str,
        incarnation: str,
        in_force: Mapping[str, Any] | None,
        host_metrics: Mapping[str, float | None],
        spooled: int,
        dropped: int,
        lease_seconds: float,
    ) -> Agent:
        """A sign of life: the lease lasts `lease_seconds` from now.

        `in_force` is kept only when given: an agent that could not read it says None.

        Raises:
            NotFound: the agent never registered.
            Conflict: it lost the target, or a later start superseded it (see `register`).
        """
        now = self._clock.now()
        with self._database.write() as session:
            lease = require_lease(
                session, _target_of(session, instance), instance=instance, incarnation=incarnation
            )
            lease.expires_at = now + timedelta(seconds=lease_seconds)
            agent = _required(_lock_agent(session, instance), instance)
            agent.last_seen_at = now
            if in_force is not None:
                agent.in_force = dict(in_force)
            agent.host_metrics = dict(host_metrics)
            agent.spooled = spooled
            agent.dropped = dropped
            return record(Agent, stored(session, agent))

    def release(self, instance: str, incarnation: str) -> None:
        """Let go of the target: another agent can take it at once.

        Raises:
            NotFound: the agent never registered.
            Conflict: it does not hold the target any more.
        """
        now = self._clock.now()
        with self._database.write() as session:
            target_id = _target_of(session, instance)
            lease = require_lease(session, target_id, instance=instance, incarnation=incarnation)
            lease.expires_at = min(lease.expires_at, now)

    def by_instance(self, instance: str) -> Agent:
        """The agent of that installation. Raises NotFound."""
        with self._database.read() as session:
            agent = session.scalar(select(AgentRow).where(AgentRow.instance == instance))
            return record(Agent, _required(agent, instance))

    def list(self, *, limit: int = 100, offset: int = 0) -> Page[Agent]:
        """The agents in the order in which they were first seen."""
        with self._database.read() as session:
            return page(
                session,
                select(AgentRow).order_by(AgentRow.id),
                lambda row: record(Agent, row),
                limit=limit,
                offset=offset,
            )

    def of_target(self, target_id: int) -> Agent | None:
        """The agent that holds the target, or held it last."""
        with self._database.read() as session:
            agent = session.scalar(
                select(AgentRow)
                .join(LeaseRow, LeaseRow.holder == AgentRow.instance)
                .where(LeaseRow.target_id == target_id)
            )
            return None if agent is None else record(Agent, agent)

    def lease_of(self, target_id: int) -> Lease | None:
        """The lease on the target, live or run out; None when no agent ever registered."""
        with self._database.read() as session:
            lease = session.get(LeaseRow, target_id)
            return None if lease is None else target_lease(lease)


def _fence_off(session: Session, lease: LeaseRow) -> None:
    for trial in session.scalars(held_trials(lease.target_id).with_for_update(of=TrialRow)):
        give_back(trial)


def _target_of(session: Session, instance: str) -> int:
    target_id = session.scalar(select(AgentRow.target_id).where(AgentRow.instance == instance))
    return _required(target_id, instance)


def _lock_agent(session: Session, instance: str) -> AgentRow | None:
    return session.scalar(select(AgentRow).where(AgentRow.instance == instance).with_for_update())


def _required(thing: T | None, instance: str) -> T:
    if thing is None:
        raise NotFound(f"agent {instance} never registered: register first")
    return thing
