"""Leases: who holds a target or a trial, under which fencing epoch, until when."""

from __future__ import annotations

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from knowledge_base.errors import Conflict, Held, InvalidRecord
from knowledge_base.records import Lease, SessionState, TrialState
from knowledge_base.repositories.base import Repository
from knowledge_base.schema import LeaseRow, SessionRow, TrialRow

HELD_STATES = tuple(state for state in TrialState if state.held)
UNENDED_STATES = tuple(state for state in SessionState if not state.ended)


class LeasesRepository(Repository):
    """Leases by the name of their resource."""

    def get(self, resource: str) -> Lease | None:
        """The lease on `target:ID` or `trial:ID`, live or run out; None when nobody holds it.

        Raises:
            InvalidRecord: the resource is named otherwise.
        """
        kind, _, number = resource.partition(":")
        if kind not in ("target", "trial") or not number.isdecimal():
            raise InvalidRecord(f"resource {resource!r} is neither target:ID nor trial:ID")
        with self._database.read() as session:
            if kind == "target":
                lease = session.get(LeaseRow, int(number))
                return None if lease is None else target_lease(lease)
            trial = session.get(TrialRow, int(number))
            return None if trial is None else trial_lease(trial)


def target_lease(row: LeaseRow) -> Lease:
    """A target's lease as a record."""
    return Lease(
        resource=f"target:{row.target_id}",
        holder=row.holder,
        incarnation=row.incarnation,
        epoch=row.epoch,
        expires_at=row.expires_at,
    )


def trial_lease(row: TrialRow) -> Lease | None:
    """A trial's lease as a record; None while nobody holds the trial."""
    if row.holder is None or row.incarnation is None or row.lease_expires_at is None:
        return None
    return Lease(
        resource=f"trial:{row.id}",
        holder=row.holder,
        incarnation=row.incarnation,
        epoch=row.epoch,
        expires_at=row.lease_expires_at,
    )


def lock_lease(session: Session, target_id: int) -> LeaseRow | None:
    """The target's lease as it is now, locked."""
    return session.get(LeaseRow, target_id, with_for_update=True, populate_existing=True)


def require_lease(session: Session, target_id: int, *, instance: str, incarnation: str) -> LeaseRow:
    """The target's lease, locked, which this agent holds.

    A lease that ran out but that nobody took is still its holder's.

    Raises:
        Conflict: another agent took the target, a later start of this one superseded it, or it
            never registered.
    """
    lease = lock_lease(session, target_id)
    if lease is None or lease.holder != instance:
        holder = "nobody" if lease is None else f"agent {lease.holder}"
        raise Conflict(
            f"agent {instance} does not hold target {target_id}, {holder} does: register again"
        )
    if lease.incarnation != incarnation:
        raise Conflict(
            f"agent {instance} was started again as {lease.incarnation}; "
            f"its earlier start {incarnation} no longer holds target {target_id}: end it"
        )
    return lease


def held(lease: LeaseRow, instance: str) -> Held:
    """Why `instance` is refused the target."""
    return Held(
        f"target {lease.target_id} is held by agent {lease.holder} "
        f"until {lease.expires_at.isoformat(timespec='seconds')}: agent {instance} can take it "
        "when that agent has stopped or its lease has run out"
    )


def give_back(trial: TrialRow) -> None:
    """Take a held trial from its holder: suggested again, under an epoch that fences it off."""
    trial.state = TrialState.SUGGESTED
    trial.epoch += 1
    trial.holder = trial.incarnation = trial.lease_expires_at = trial.leased_at = None


def held_trials(target_id: int) -> Select[TrialRow]:
    """The trials of the target's unended sessions that somebody holds, oldest first."""
    return (
        select(TrialRow)
        .join(SessionRow, TrialRow.session_id == SessionRow.id)
        .where(
            SessionRow.target_id == target_id,
            SessionRow.state.in_(UNENDED_STATES),
            TrialRow.state.in_(HELD_STATES),
        )
        .order_by(TrialRow.id)
    )
