"""Sessions: their state, and the revision by which planners find out that they were too late."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import orm, select

from knowledge_base.columns import plain
from knowledge_base.digests import digest_of, stored_once
from knowledge_base.errors import Conflict, InvalidRecord
from knowledge_base.records import NewSession, Page, Session, SessionPhase, SessionState
from knowledge_base.repositories.base import Repository, found, locked, page, record, stored
from knowledge_base.repositories.leases import UNENDED_STATES
from knowledge_base.schema import SessionRow, TargetRow, TrialRow, WorkloadRow


class SessionsRepository(Repository):
    """The tuning sessions; at most one of a target has not ended."""

    def create(self, new: NewSession) -> Session:
        """Begin a session on the target's space as it is described now.

        Raises:
            NotFound: no such target.
            Conflict: the target was never described, or has a session that has not ended.
            InvalidRecord: the objective is not the first of the objectives.
        """
        if new.objectives[0] != new.objective:
            raise InvalidRecord(
                f"objective {new.objective.get('name')} is not the first of the session's "
                f"objectives, which is {new.objectives[0].get('name')}: give the same first"
            )
        now = self._clock.now()
        with self._database.write() as session:
            target = locked(session, TargetRow, new.target_id, what="target")
            if target.space_id is None:
                raise Conflict(f"target {target.name} was never described: start its agent first")
            other = session.scalar(
                select(SessionRow).where(
                    SessionRow.target_id == new.target_id, SessionRow.state.in_(UNENDED_STATES)
                )
            )
            if other is not None:
                raise Conflict(
                    f"target {target.name} has session {other.id}, which is {other.state}: "
                    "cancel it or wait for its end"
                )
            row = SessionRow(
                target_id=new.target_id,
                space_id=target.space_id,
                workload_id=_workload(session, new.workload),
                mode=new.mode,
                objective=dict(new.objective),
                objectives=[dict(one) for one in new.objectives],
                limits=[dict(one) for one in new.limits],
                recommender=new.recommender,
                recommender_options=dict(new.recommender_options),
                seed=new.seed,
                budget=dict(new.budget),
                baseline=dict(new.baseline),
                pins=dict(new.pins),
                versions=dict(new.versions),
                actor=new.actor,
                state=SessionState.RUNNING,
                phase=SessionPhase.BASELINE,
                reason="",
                verdict={},
                revision=1,
                created_at=now,
            )
            return _read(session, stored(session, row))

    def get(self, session_id: int) -> Session:
        """One session. Raises NotFound."""
        with self._database.read() as session:
            row = found(session, SessionRow, session_id, what="session")
            return _read(session, row)

    def list(
        self,
        *,
        target_id: int | None = None,
        state: SessionState | None = None,
        kind: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> Page[Session]:
        """Sessions, newest first. `kind`: of targets of that kind only."""
        wanted = select(SessionRow).order_by(SessionRow.id.desc())
        if kind is not None:
            wanted = wanted.join(TargetRow, SessionRow.target_id == TargetRow.id).where(
                TargetRow.kind == kind
            )
        if target_id is not None:
            wanted = wanted.where(SessionRow.target_id == target_id)
        if state is not None:
            wanted = wanted.where(SessionRow.state == state)
        with self._database.read() as session:
            return page(
                session, wanted, lambda row: _read(session, row), limit=limit, offset=offset
            )

    def running(self) -> builtins.list[Session]:
        """The sessions that run, oldest first."""
        with self._database.read() as session:
            rows = session.scalars(
                select(SessionRow)
                .where(SessionRow.state == SessionState.RUNNING)
                .order_by(SessionRow.id)
            )
            return [_read(session, row) for row in rows.all()]

    def advance(
        self,
        session_id: int,
        *,
        revision: int,
        state: SessionState | None = None,
        phase: SessionPhase | None = None,
        reason: str | None = None,
        incumbent_trial_id: int | None = None,
        verdict: Mapping[str, Any] | None = None,
        limits: Sequence[Mapping[str, Any]] | None = None,
    ) -> Session:
        """Move a session on from the `revision` that the caller looked at; None changes nothing.

        `limits`: the session's, once the baseline has told what those relative to it come to.

        Raises:
            NotFound: no such session.
            Conflict: the session was changed since; or it would run again beside another one.
            InvalidRecord: the incumbent is no trial of this session.
        """
        with self._database.write() as session:
            row = locked(session, SessionRow, session_id, what="session")
            require_revision(row, revision)
            if incumbent_trial_id is not None:
                trial = session.get(TrialRow, incumbent_trial_id)
                if trial is None or trial.session_id != session_id:
                    raise InvalidRecord(
                        f"trial {incumbent_trial_id} is no trial of session {session_id}"
                    )
                row.incumbent_trial_id = incumbent_trial_id
            if state is not None:
                row.state = state
                row.finished_at = self._clock.now() if state.ended else None
            if phase is not None:
                row.phase = phase
            if reason is not None:
                row.reason = reason
            if verdict is not None:
                row.verdict = dict(verdict)
            if limits is not None:
                row.limits = [dict(one) for one in limits]
            row.revision += 1
            return _read(session, stored(session, row))


def require_revision(row: SessionRow, revision: int) -> None:
    """Raises Conflict when the session was changed since `revision`."""
    if row.revision != revision:
        raise Conflict(
            f"session {row.id} is at revision {row.revision}, not {revision}: "
            "somebody changed it meanwhile; read it again and decide anew"
        )


def _workload(session: orm.Session, workload: Mapping[str, Any]) -> int:
    """Where the workload is kept.

    Raises:
        InvalidRecord: it is not of the form `{"name": ..., "parameters": {...}}`.
    """
    if set(workload) != {"name", "parameters"}:
        raise InvalidRecord(f"workload {dict(workload)!r}: want exactly a name and parameters")
    kept = {"name": workload["name"], "parameters": plain(workload["parameters"], "workload")}
    return stored_once(session, WorkloadRow, digest_of(kept), **kept)


def _read(session: orm.Session, row: SessionRow) -> Session:
    workload = session.get_one(WorkloadRow, row.workload_id)
    return record(
        Session,
        row,
        workload={"name": workload.name, "parameters": workload.parameters},
        objectives=tuple(row.objectives),
        limits=tuple(row.limits),
    )
