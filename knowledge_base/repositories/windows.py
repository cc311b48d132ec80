"""Windows: every measurement, with its packed metric vector."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVarTuple

from sqlalchemy import ColumnElement, Select, func, orm, select

from knowledge_base.records import NewWindow, TrialState, Window
from knowledge_base.repositories.base import Repository, record
from knowledge_base.schema import (
    MetricDictionaryRow,
    MetricMeanRow,
    SessionRow,
    TargetRow,
    TrialRow,
    WindowRow,
)
from knowledge_base.vectors import VectorReader, VectorWriter
from targets.metrics import MetricVector

Rows = TypeVarTuple("Rows")


class WindowsRepository(Repository):
    """What was measured. Windows come in with their trial's result (`TrialsRepository.finish`)."""

    def of_session(self, session_id: int, *, metrics: bool = True) -> list[Window]:
        """A session's windows by trial number, epoch and position.

        Args:
            metrics: False leaves the metric vectors, nearly all of a history's size, unread: the
                windows have empty ones then.
        """
        if metrics:
            return self._read(_in_order(_WITH_MEANS, TrialRow.session_id == session_id))
        wanted = _in_order(select(WindowRow), TrialRow.session_id == session_id)
        with self._database.read() as session:
            return [
                record(Window, row, metrics=MetricVector((), ()), rolled_up=row.mean_id is not None)
                for row in session.scalars(wanted.options(orm.defer(WindowRow.packed)))
            ]

    def at_baseline(
        self, session_ids: Iterable[int], *, task: str, arm: str
    ) -> dict[int, list[Window]]:
        """What was measured of each session's baseline, in order.

        Args:
            task: the first completed trial of this task measured the baseline.
            arm: the arm that the baseline has in other trials.
        """
        ids = list(session_ids)
        first = (
            select(TrialRow.session_id, func.min(TrialRow.number).label("number"))
            .where(
                TrialRow.session_id.in_(ids),
                TrialRow.task == task,
                TrialRow.state == TrialState.COMPLETED,
            )
            .group_by(TrialRow.session_id)
            .subquery()
        )
        wanted = _in_order(
            _WITH_MEANS,
            TrialRow.session_id.in_(ids),
            ~WindowRow.late,
            (WindowRow.arm == arm)
            | select(first.c.number)
            .where(first.c.session_id == TrialRow.session_id, first.c.number == TrialRow.number)
            .exists(),
        ).add_columns(TrialRow.session_id)
        with self._database.read() as session:
            rows = session.execute(wanted).all()
            found: dict[int, list[Window]] = {}
            windows = _windows(session, [(window, mean) for window, mean, _ in rows])
            for (_, _, session_id), window in zip(rows, windows, strict=True):
                found.setdefault(session_id, []).append(window)
            return found

    def of_trial(self, trial_id: int) -> list[Window]:
        """A trial's windows by epoch and position."""
        return self._read(
            _WITH_MEANS.where(WindowRow.trial_id == trial_id).order_by(
                WindowRow.epoch, WindowRow.position
            )
        )

    def units(self, session_id: int) -> dict[str, str]:
        """The unit of every metric in a session's windows, as described when they were measured.

        Later descriptions of the target change nothing here.
        """
        with self._database.read() as session:
            dictionaries = session.scalars(
                select(MetricDictionaryRow)
                .where(
                    MetricDictionaryRow.id.in_(_dictionaries(WindowRow, session_id))
                    | MetricDictionaryRow.id.in_(_dictionaries(MetricMeanRow, session_id))
                )
                .order_by(MetricDictionaryRow.id)
            )
            return {entry["name"]: entry["unit"] for row in dictionaries for entry in row.metrics}

    def _read(self, wanted: Select[WindowRow, MetricMeanRow]) -> list[Window]:
        with self._database.read() as session:
            return _windows(session, [(one, mean) for one, mean in session.execute(wanted)])


def _windows(
    session: orm.Session, rows: Sequence[tuple[WindowRow, MetricMeanRow | None]]
) -> list[Window]:
    sources = [(window, mean or window) for window, mean in rows]
    vectors = VectorReader(session, {source.dictionary_id for _, source in sources})
    return [
        record(
            Window,
            window,
            metrics=vectors.unpack(source.dictionary_id, source.packed),
            rolled_up=source is not window,
        )
        for window, source in sources
    ]


_WITH_MEANS = select(WindowRow, MetricMeanRow).outerjoin(
    MetricMeanRow, WindowRow.mean_id == MetricMeanRow.id
)


def _in_order(wanted: Select[*Rows], *rules: ColumnElement[bool]) -> Select[*Rows]:
    """The windows that keep the rules, by trial number, epoch and position."""
    return (
        wanted.join(TrialRow, WindowRow.trial_id == TrialRow.id)
        .where(*rules)
        .order_by(TrialRow.number, WindowRow.epoch, WindowRow.position)
    )


def _dictionaries(
    kind: type[WindowRow] | type[MetricMeanRow], session_id: int
) -> Select[int | None]:
    return (
        select(kind.dictionary_id)
        .join(TrialRow, kind.trial_id == TrialRow.id)
        .where(TrialRow.session_id == session_id)
    )


def add_windows(
    session: orm.Session, trial: TrialRow, windows: Sequence[NewWindow], *, late: bool
) -> None:
    """Store a result's windows."""
    if not windows:
        return
    description = session.scalars(
        select(TargetRow.description)
        .join(SessionRow, SessionRow.target_id == TargetRow.id)
        .where(SessionRow.id == trial.session_id)
    ).one()
    vectors = VectorWriter(session, description.get("metrics", ()))
    for window in windows:
        dictionary_id, packed = vectors.pack(window.metrics)
        session.add(
            WindowRow(
                trial_id=trial.id,
                epoch=window.epoch,
                arm=window.arm,
                block=window.block,
                position=window.position,
                purpose=window.purpose,
                started_at=window.started_at,
                seconds=window.seconds,
                objectives=dict(window.objectives),
                contamination=dict(window.contamination),
                details=dict(window.details),
                late=late,
                dictionary_id=dictionary_id,
                packed=packed,
            )
        )


def has_windows(session: orm.Session, trial_id: int, epoch: int) -> bool:
    """Whether windows of that epoch are stored."""
    return (
        session.scalar(
            select(WindowRow.id)
            .where(WindowRow.trial_id == trial_id, WindowRow.epoch == epoch)
            .limit(1)
        )
        is not None
    )
