"""Retention: what old history is reduced to, so that the knowledge base does not grow for ever.

Metric vectors are nearly all of its size; they are reduced, and artefacts that newer versions have
replaced are dropped. Objective values, contamination, trials, sessions and events stay as they were
recorded, for ever.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, orm, select

from knowledge_base.engine import Database, one_at_a_time
from knowledge_base.errors import InvalidRecord
from knowledge_base.repositories.leases import UNENDED_STATES
from knowledge_base.schema import (
    ArtefactRow,
    MetricMeanRow,
    ReportRow,
    SessionRow,
    TrialRow,
    WindowRow,
)
from knowledge_base.vectors import VectorReader, VectorWriter, mean
from targets.clock import Clock

HOUR = timedelta(hours=1)
LONGEST_KEEP_DAYS = 36_500
VERSIONS_KEPT = 3
"""Of an artefact: the newest, and two to see how it came about."""
TRIALS_A_TRANSACTION = 50
"""Few enough that agents and workers, who wait meanwhile on SQLite, do not notice."""

log = logging.getLogger(__name__)


class Retention:
    """Rolls old metric vectors up, a little at a time; safe beside everything else that runs."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def apply(self, *, keep_days: int) -> dict[str, int]:
        """Reduce what is older than `keep_days`; answers how much of what.

        * Windows of sessions that ended before then give up their metric vectors; what remains
          is one mean for every trial, arm and lateness, which those windows then show as theirs
          (`Window.rolled_up`).
        * Agents' reports from before then become one mean for every agent and hour.
        * Of every artefact the newest `VERSIONS_KEPT` versions stay, whatever their age; older
          ones from before then go.

        Doing it again changes nothing more, and goes on where an earlier run was stopped.

        Raises:
            InvalidRecord: `keep_days` is below 1 or above a hundred years.
        """
        if not 1 <= keep_days <= LONGEST_KEEP_DAYS:
            raise InvalidRecord(f"keep_days={keep_days} is outside 1..{LONGEST_KEEP_DAYS}")
        before = self._clock.now() - timedelta(days=keep_days)
        done = {"windows_rolled_up": 0, "means_kept": 0, "reports_merged": 0, "hours_kept": 0}
        while self._roll_up_windows(before, done):
            pass
        # Whole hours only: what is left of an hour would be merged again and again.
        before_hour = _hour(before)
        while self._merge_reports(before_hour, done):
            pass
        done["artefacts_dropped"] = self._drop_artefacts(before)
        counts = " ".join(f"{what}={number}" for what, number in done.items())
        log.info("retention keep_days=%d %s", keep_days, counts)
        return done

    def _roll_up_windows(self, before: datetime, done: dict[str, int]) -> bool:
        """One transaction's worth of trials; False when none is left."""
        with self._database.write() as session:
            one_at_a_time(session, "retention")
            trials = session.scalars(
                select(TrialRow)
                .join(SessionRow, TrialRow.session_id == SessionRow.id)
                .where(
                    SessionRow.state.not_in(UNENDED_STATES),
                    SessionRow.finished_at < before,
                    select(WindowRow.id)
                    .where(WindowRow.trial_id == TrialRow.id, WindowRow.packed.is_not(None))
                    .exists(),
                )
                .order_by(TrialRow.id)
                .limit(TRIALS_A_TRANSACTION)
                .with_for_update(of=TrialRow)  # a late result waits, and is rolled up next time
            ).all()
            for trial in trials:
                windows = session.scalars(
                    select(WindowRow)
                    .where(WindowRow.trial_id == trial.id, WindowRow.packed.is_not(None))
                    .order_by(WindowRow.id)
                ).all()
                for arm, late in sorted({(window.arm, window.late) for window in windows}):
                    of_arm = [w for w in windows if (w.arm, w.late) == (arm, late)]
                    done["means_kept"] += _roll_up(session, trial.id, arm, of_arm, late=late)
                    done["windows_rolled_up"] += len(of_arm)
            return bool(trials)

    def _drop_artefacts(self, before: datetime) -> int:
        newer = orm.aliased(ArtefactRow)
        replaced = (
            select(func.count())
            .where(
                newer.kind == ArtefactRow.kind,
                newer.session_id.is_not_distinct_from(ArtefactRow.session_id),
                newer.version > ArtefactRow.version,
            )
            .scalar_subquery()
        )
        with self._database.write() as session:
            rows = session.scalars(
                select(ArtefactRow).where(
                    ArtefactRow.created_at < before, replaced >= VERSIONS_KEPT
                )
            ).all()
            for row in rows:
                session.delete(row)
            return len(rows)

    def _merge_reports(self, before: datetime, done: dict[str, int]) -> bool:
        """One agent's hour; False when none is left."""
        with self._database.write() as session:
            one_at_a_time(session, "retention")
            oldest = session.scalar(
                select(ReportRow)
                .where(~ReportRow.hourly, ReportRow.at < before)
                .order_by(ReportRow.agent_id, ReportRow.at)
                .limit(1)
            )
            if oldest is None:
                return False
            hour = _hour(oldest.at)
            reports = session.scalars(
                select(ReportRow)
                .where(
                    ReportRow.agent_id == oldest.agent_id,
                    ReportRow.at >= hour,
                    ReportRow.at < hour + HOUR,
                )
                .order_by(ReportRow.at, ReportRow.id)
            ).all()
            vectors = VectorReader(session, {report.dictionary_id for report in reports})
            merged = mean([(vectors.unpack(r.dictionary_id, r.packed), r.samples) for r in reports])
            dictionary_id, packed = VectorWriter(session, vectors.described).pack(merged)
            done["hours_kept"] += not any(report.hourly for report in reports)
            done["reports_merged"] += sum(not report.hourly for report in reports)
            session.add(
                ReportRow(
                    agent_id=oldest.agent_id,
                    at=hour,
                    samples=sum(report.samples for report in reports),
                    hourly=True,
                    dictionary_id=dictionary_id,
                    packed=packed,
                )
            )
            for report in reports:
                session.delete(report)
            return True


def _roll_up(
    session: orm.Session, trial_id: int, arm: str, windows: Sequence[WindowRow], *, late: bool
) -> int:
    """Replace the windows' vectors by their mean; answers how many means there are more now."""
    kept = session.scalar(
        select(MetricMeanRow).where(
            MetricMeanRow.trial_id == trial_id, MetricMeanRow.arm == arm, MetricMeanRow.late == late
        )
    )
    weighted = [(row.dictionary_id, row.packed, 1) for row in windows]
    if kept is not None:  # a late result came in after an earlier run
        weighted.append((kept.dictionary_id, kept.packed, kept.windows))
    vectors = VectorReader(session, {dictionary_id for dictionary_id, _, _ in weighted})
    merged = mean([(vectors.unpack(key, packed), weight) for key, packed, weight in weighted])
    dictionary_id, packed = VectorWriter(session, vectors.described).pack_some(merged)
    row = kept or MetricMeanRow(trial_id=trial_id, arm=arm, late=late, windows=0)
    row.dictionary_id = dictionary_id
    row.packed = packed
    row.windows += len(windows)
    session.add(row)
    session.flush()
    for window in windows:
        window.mean_id = row.id
        window.dictionary_id = window.packed = None
    return int(kept is None)


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
