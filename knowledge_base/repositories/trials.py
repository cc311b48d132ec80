"""Trials: planned by the worker, leased to agents one at a time, finished exactly once."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, func, orm, select

from knowledge_base.errors import Conflict, InvalidRecord
from knowledge_base.records import (
    Finished,
    NewTrial,
    NewWindow,
    Page,
    SessionState,
    Trial,
    TrialState,
)
from knowledge_base.repositories.base import Repository, found, locked, page, record, stored
from knowledge_base.repositories.leases import HELD_STATES, give_back, held_trials, require_lease
from knowledge_base.repositories.sessions import require_revision
from knowledge_base.repositories.windows import add_windows, has_windows
from knowledge_base.schema import SessionRow, TrialRow
from targets.errors import FailureKind, StaleEpoch


class TrialsRepository(Repository):
    """The trials and their leases.

    Every grant and every return raises a trial's epoch. Whoever acts on a trial names the epoch
    it was granted under; an older one is refused (`StaleEpoch`) or, for a result, kept as late.
    """

    def add(self, new: NewTrial, *, session_revision: int | None = None) -> Trial:
        """Put a trial into its session's queue.

        With `session_revision`, the plan was made on that revision of the session, which grows:
        of two planners exactly one gets its trial in.

        Raises:
            NotFound: no such session.
            Conflict: the session was changed since, or has a trial of that number.
        """
        with self._database.write() as session:
            owner = locked(session, SessionRow, new.session_id, what="session")
            if session_revision is not None:
                require_revision(owner, session_revision)
                owner.revision += 1
            if session.scalar(
                select(TrialRow.id).where(
                    TrialRow.session_id == new.session_id, TrialRow.number == new.number
                )
            ):
                raise Conflict(f"session {new.session_id} has a trial {new.number} already")
            row = TrialRow(
                **{field.name: getattr(new, field.name) for field in fields(NewTrial)},
                state=TrialState.SUGGESTED,
                epoch=0,
                message="",
                seconds=0.0,
                restarted=False,
                lines=[],
                created_at=self._clock.now(),
            )
            return _trial(stored(session, row))

    def get(self, trial_id: int) -> Trial:
        """One trial. Raises NotFound."""
        with self._database.read() as session:
            return _trial(found(session, TrialRow, trial_id, what="trial"))

    def all(self, session_id: int) -> builtins.list[Trial]:
        """A session's trials by number."""
        with self._database.read() as session:
            return [_trial(row) for row in session.scalars(_of_session(session_id))]

    def list(self, session_id: int, *, limit: int = 100, offset: int = 0) -> Page[Trial]:
        """Some of a session's trials by number."""
        with self._database.read() as session:
            return page(session, _of_session(session_id), _trial, limit=limit, offset=offset)

    def counts(self, session_ids: Iterable[int], *, task: str) -> dict[int, dict[TrialState, int]]:
        """How many trials of that task there are, by session and state."""
        with self._database.read() as session:
            rows = session.execute(
                select(TrialRow.session_id, TrialRow.state, func.count())
                .where(TrialRow.session_id.in_(builtins.list(session_ids)), TrialRow.task == task)
                .group_by(TrialRow.session_id, TrialRow.state)
            )
            counted: dict[int, dict[TrialState, int]] = {}
            for session_id, state, count in rows:
                counted.setdefault(session_id, {})[state] = count
            return counted

    def lease_next(
        self, target_id: int, *, instance: str, incarnation: str, lease_seconds: float
    ) -> Trial | None:
        """The trial this agent holds already, else the oldest one that waits; None if none does.

        Raises:
            Conflict: the agent does not hold the target (see `AgentsRepository.register`).
        """
        now = self._clock.now()
        with self._database.write() as session:
            require_lease(session, target_id, instance=instance, incarnation=incarnation)
            trial = session.scalar(
                held_trials(target_id)
                .where(TrialRow.holder == instance)
                .limit(1)
                .with_for_update(of=TrialRow)
            ) or session.scalar(
                select(TrialRow)
                .join(SessionRow, TrialRow.session_id == SessionRow.id)
                .where(
                    SessionRow.target_id == target_id,
                    SessionRow.state == SessionState.RUNNING,
                    TrialRow.state == TrialState.SUGGESTED,
                )
                .order_by(TrialRow.id)
                .limit(1)
                .with_for_update(of=TrialRow, skip_locked=True)
            )
            if trial is None:
                return None
            trial.state = TrialState.LEASED
            trial.epoch += 1
            trial.holder = instance
            trial.incarnation = incarnation
            trial.leased_at = now
            trial.lease_expires_at = now + timedelta(seconds=lease_seconds)
            return _trial(stored(session, trial))

    def renew(self, trial_id: int, *, instance: str, epoch: int, lease_seconds: float) -> None:
        """Keep a held trial for `lease_seconds` from now.

        Raises:
            NotFound: no such trial.
            StaleEpoch: this agent does not hold it under this epoch any more.
        """
        with self._database.write() as session:
            trial = _lock_held(session, trial_id, instance=instance, epoch=epoch)
            trial.lease_expires_at = self._clock.now() + timedelta(seconds=lease_seconds)

    def set_state(self, trial_id: int, *, instance: str, epoch: int, state: TrialState) -> Trial:
        """Note how far a held trial has come: `applying` or `measuring`.

        Raises:
            NotFound: no such trial.
            StaleEpoch: this agent does not hold it under this epoch any more.
            InvalidRecord: the state is not one of a held trial.
        """
        if not state.held:
            raise InvalidRecord(
                f"trial {trial_id}: {state} is no step of a held trial; "
                f"those are: {', '.join(HELD_STATES)}"
            )
        with self._database.write() as session:
            trial = _lock_held(session, trial_id, instance=instance, epoch=epoch)
            trial.state = state
            return _trial(stored(session, trial))

    def finish(
        self,
        trial_id: int,
        *,
        instance: str,
        epoch: int,
        state: TrialState,
        in_force: Mapping[str, Any] | None,
        failure: str | None,
        message: str,
        seconds: float,
        restarted: bool,
        lines: Sequence[Mapping[str, Any]],
        windows: Sequence[NewWindow],
    ) -> Finished:
        """Store a trial's result and windows, in one transaction.

        The same result again stores nothing (`duplicate`). A result under an older epoch leaves
        the trial alone and its windows are kept with `late` set.

        Raises:
            NotFound: no such trial.
            Conflict: the epoch was never granted to this agent.
            InvalidRecord: the result contradicts itself.
        """
        _check_result(trial_id, epoch, state, failure, windows)
        with self._database.write() as session:
            trial = locked(session, TrialRow, trial_id, what="trial")
            if epoch < trial.epoch:
                duplicate = has_windows(session, trial_id, epoch)
                if not duplicate:
                    add_windows(session, trial, windows, late=True)
                return Finished(_trial(stored(session, trial)), late=True, duplicate=duplicate)
            if epoch > trial.epoch or trial.holder != instance:
                raise Conflict(
                    f"trial {trial_id} was never granted to agent {instance} under epoch {epoch}"
                )
            if trial.state.ended:
                return Finished(_trial(trial), duplicate=True)
            trial.state = state
            trial.in_force = None if in_force is None else dict(in_force)
            trial.failure = failure
            trial.message = message
            trial.seconds = seconds
            trial.restarted = restarted
            trial.lines = [dict(line) for line in lines]
            trial.finished_at = self._clock.now()
            trial.lease_expires_at = None
            add_windows(session, trial, windows, late=False)
            return Finished(_trial(stored(session, trial)))

    def expire(self) -> builtins.list[Trial]:
        """Take back the trials whose leases ran out: `suggested` again, under a higher epoch.

        A trial whose session has ended meanwhile is taken back too, but is not handed out.
        """
        expired = select(TrialRow).where(
            TrialRow.lease_expires_at <= self._clock.now(), TrialRow.state.in_(HELD_STATES)
        )
        with self._database.read() as session:
            if session.scalar(expired.limit(1)) is None:
                return []  # nearly always: no writer has to wait for this
        with self._database.write() as session:
            rows = session.scalars(
                expired.order_by(TrialRow.id).with_for_update(skip_locked=True)
            ).all()
            for trial in rows:
                give_back(trial)
            return [_trial(stored(session, trial)) for trial in rows]

    def cancel(self, trial_id: int, message: str) -> Trial:
        """End a trial as failed (`cancelled`); one that has ended stays as it is.

        Raises:
            NotFound: no such trial.
        """
        with self._database.write() as session:
            trial = locked(session, TrialRow, trial_id, what="trial")
            if not trial.state.ended:
                trial.state = TrialState.FAILED
                trial.failure = FailureKind.CANCELLED
                trial.message = message
                trial.epoch += 1
                trial.lease_expires_at = None
                trial.finished_at = self._clock.now()
            return _trial(stored(session, trial))


def _trial(row: TrialRow) -> Trial:
    return record(
        Trial,
        row,
        sequence=tuple(row.sequence),
        based_on=tuple(row.based_on),
        lines=tuple(row.lines),
    )


def _of_session(session_id: int) -> Select[TrialRow]:
    return select(TrialRow).where(TrialRow.session_id == session_id).order_by(TrialRow.number)


def _lock_held(session: orm.Session, trial_id: int, *, instance: str, epoch: int) -> TrialRow:
    trial = locked(session, TrialRow, trial_id, what="trial")
    if not trial.state.held or trial.holder != instance or trial.epoch != epoch:
        raise StaleEpoch(
            f"trial {trial_id} is {trial.state} under epoch {trial.epoch}: agent {instance} "
            f"does not hold it under epoch {epoch} any more and must abandon it"
        )
    return trial


def _check_result(
    trial_id: int,
    epoch: int,
    state: TrialState,
    failure: str | None,
    windows: Sequence[NewWindow],
) -> None:
    if not state.ended:
        raise InvalidRecord(f"trial {trial_id}: {state} is no result; completed or failed is")
    if (state is TrialState.FAILED) != (failure is not None):
        raise InvalidRecord(
            f"trial {trial_id}: {state} with failure {failure!r}: a failed trial has a failure, "
            "a completed one has none"
        )
    if failure is not None and failure not in set(FailureKind):
        raise InvalidRecord(
            f"trial {trial_id}: {failure!r} is no kind of failure; those are: "
            + ", ".join(FailureKind)
        )
    for window in windows:
        if (window.trial_id, window.epoch) != (trial_id, epoch):
            raise InvalidRecord(
                f"window at position {window.position} is of trial {window.trial_id} "
                f"epoch {window.epoch}, its result of trial {trial_id} epoch {epoch}"
            )
    positions = [window.position for window in windows]
    if len(set(positions)) != len(positions):
        raise InvalidRecord(f"trial {trial_id}: two windows have one position: {positions}")
