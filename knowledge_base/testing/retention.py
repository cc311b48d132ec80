"""What is promised of retention: metric vectors become means, and nothing else changes."""

# ruff: noqa: S101 - asserts are what a suite is made of

from __future__ import annotations

import math
from datetime import timedelta

import pytest

from knowledge_base.errors import InvalidRecord
from knowledge_base.records import NewEvent, SessionState, Window
from knowledge_base.store import Store
from knowledge_base.testing.leasing import queued
from knowledge_base.testing.scene import (
    described,
    finished,
    new_window,
    registered,
    taken,
)
from targets.clock import ManualClock
from targets.metrics import MetricVector

DAY = 86_400.0
NOTHING = {
    "windows_rolled_up": 0,
    "means_kept": 0,
    "reports_merged": 0,
    "hours_kept": 0,
    "artefacts_dropped": 0,
}


def measured(store: Store, *, trials: int = 1) -> int:
    """The id of a running session whose trials each have two windows an arm."""
    target, planned = queued(store, trials=trials)
    for _ in planned:
        trial = taken(store, target)
        windows = [
            new_window(
                trial,
                position,
                arm=arm,
                objectives={"throughput": 100.0 + position},
                metrics=MetricVector.of({"reads": reads, "lock_waits": waits}),
            )
            for position, (arm, reads, waits) in enumerate(
                [
                    ("baseline", 1.0, 0.5),
                    ("candidate", 10.0, math.nan),
                    ("candidate", 30.0, 4.0),
                    ("baseline", 2.0, 1.5),
                ]
            )
        ]
        finished(store, trial, windows=windows)
    return planned[0].session_id


def end(store: Store, session_id: int) -> None:
    """End the session now."""
    revision = store.sessions.get(session_id).revision
    store.sessions.advance(session_id, revision=revision, state=SessionState.FINISHED)


def metrics_of(windows: list[Window]) -> list[dict[str, float]]:
    """The windows' metrics, in order."""
    return [window.metrics.as_dict() for window in windows]


class RetentionContract:
    """Old metric vectors are rolled up."""

    def test_old_windows_show_the_mean_of_their_trial_and_arm(
        self, store: Store, clock: ManualClock
    ) -> None:
        session_id = measured(store, trials=2)
        end(store, session_id)
        before = store.windows.of_session(session_id)
        units = store.windows.units(session_id)
        clock.advance(30 * DAY + 1)
        done = store.retention.apply(keep_days=30)
        assert done == {**NOTHING, "windows_rolled_up": 8, "means_kept": 4}
        after = store.windows.of_session(session_id)
        mean_of = {
            "baseline": {"reads": 1.5, "lock_waits": 1.0},
            "candidate": {"reads": 20.0, "lock_waits": 4.0},
        }
        assert metrics_of(after) == [mean_of[window.arm] for window in after]
        assert all(window.rolled_up for window in after)
        assert not any(window.rolled_up for window in before)
        assert store.windows.units(session_id) == units
        for old, new in zip(before, after, strict=True):
            for name in ("id", "objectives", "arm", "position", "details", "contamination"):
                assert getattr(old, name) == getattr(new, name)

    def test_nothing_else_changes(self, store: Store, clock: ManualClock) -> None:
        session_id = measured(store)
        event = store.events.add(
            NewEvent(actor="a", kind="k", message="m", occurred_at=clock.now())
        )
        end(store, session_id)
        session, trials = store.sessions.get(session_id), store.trials.all(session_id)
        clock.advance(400 * DAY)
        store.retention.apply(keep_days=1)
        assert store.sessions.get(session_id) == session
        assert store.trials.all(session_id) == trials
        assert store.events.list() == [event]

    def test_a_session_keeps_its_vectors_until_its_time(
        self, store: Store, clock: ManualClock
    ) -> None:
        session_id = measured(store)
        clock.advance(400 * DAY)
        assert store.retention.apply(keep_days=30) == NOTHING  # it has not ended
        end(store, session_id)
        clock.advance(30 * DAY)
        assert store.retention.apply(keep_days=30) == NOTHING
        clock.advance(1)
        assert store.retention.apply(keep_days=30)["windows_rolled_up"] == 4

    def test_doing_it_again_changes_nothing(self, store: Store, clock: ManualClock) -> None:
        session_id = measured(store)
        end(store, session_id)
        clock.advance(31 * DAY)
        store.retention.apply(keep_days=30)
        after = store.windows.of_session(session_id)
        assert store.retention.apply(keep_days=30) == NOTHING
        assert store.windows.of_session(session_id) == after

    def test_late_windows_are_kept_apart_and_join_a_mean_that_is_there(
        self, store: Store, clock: ManualClock
    ) -> None:
        target, _ = queued(store)
        first = taken(store, target)
        second = taken(store, target)
        third = taken(store, target)
        for trial, reads in ((third, 8.0), (second, 2.0)):
            vector = MetricVector.of({"reads": reads})
            finished(store, trial, windows=[new_window(trial, metrics=vector)])
        end(store, first.session_id)
        clock.advance(31 * DAY)
        done = store.retention.apply(keep_days=30)
        assert done == {**NOTHING, "windows_rolled_up": 2, "means_kept": 2}
        vector = MetricVector.of({"reads": 4.0})
        finished(store, first, windows=[new_window(first, metrics=vector)])
        done = store.retention.apply(keep_days=30)
        assert done == {**NOTHING, "windows_rolled_up": 1}
        windows = store.windows.of_trial(first.id)
        assert [window.late for window in windows] == [True, True, False]
        assert metrics_of(windows) == [{"reads": 3.0}, {"reads": 3.0}, {"reads": 8.0}]

    def test_of_old_artefacts_the_newest_versions_stay(
        self, store: Store, clock: ManualClock
    ) -> None:
        session_id = measured(store)
        for number in range(5):
            store.artefacts.put("ranking", {"n": number}, session_id=session_id)
            store.artefacts.put("pruning", {"n": number})
        store.artefacts.put_once("history", {}, session_id=session_id)
        assert store.retention.apply(keep_days=1) == NOTHING  # all of them are young
        clock.advance(400 * DAY)
        store.artefacts.put("pruning", {"n": 5})
        done = store.retention.apply(keep_days=1)
        assert done == {**NOTHING, "artefacts_dropped": 2 + 3}
        newest = store.artefacts.latest("ranking", session_id=session_id)
        assert newest is not None and (newest.version, newest.content) == (5, {"n": 4})
        assert store.artefacts.latest("history", session_id=session_id) is not None
        assert store.retention.apply(keep_days=1) == NOTHING
        assert store.artefacts.put("pruning", {}).version == 7

    def test_old_reports_become_hourly_means(self, store: Store, clock: ManualClock) -> None:
        agent = registered(store, described(store))
        begin = clock.now()
        for minute in range(0, 180, 20):
            at = begin + timedelta(minutes=minute)
            store.reports.add(agent.id, at, MetricVector.of({"reads": float(minute)}))
        clock.advance(DAY + 2.5 * 3600)  # what is left of the third hour waits
        done = store.retention.apply(keep_days=1)
        assert done == {**NOTHING, "reports_merged": 6, "hours_kept": 2}
        reports = store.reports.of_agent(agent.id, begin)
        assert [(r.at - begin).total_seconds() / 60 for r in reports] == [0, 60, 120, 140, 160]
        assert [r.metrics.values for r in reports] == [
            (20.0,),
            (80.0,),
            (120.0,),
            (140.0,),
            (160.0,),
        ]
        assert [(r.hourly, r.samples) for r in reports] == [(True, 3)] * 2 + [(False, 1)] * 3
        assert store.retention.apply(keep_days=1) == NOTHING

    def test_a_report_that_comes_late_joins_its_hour(
        self, store: Store, clock: ManualClock
    ) -> None:
        agent = registered(store, described(store))
        begin = clock.now()
        for reads in (10.0, 20.0):
            store.reports.add(agent.id, begin, MetricVector.of({"reads": reads}))
        clock.advance(2 * DAY)
        store.retention.apply(keep_days=1)
        late = begin + timedelta(minutes=5)
        store.reports.add(agent.id, late, MetricVector.of({"reads": 60.0}))
        done = store.retention.apply(keep_days=1)
        assert done == {**NOTHING, "reports_merged": 1}
        (report,) = store.reports.of_agent(agent.id, begin)
        assert (report.metrics.as_dict(), report.samples) == ({"reads": 30.0}, 3)

    @pytest.mark.parametrize("keep_days", [0, -1, 40_000])
    def test_a_span_that_makes_no_sense_is_refused(self, store: Store, keep_days: int) -> None:
        with pytest.raises(InvalidRecord, match=f"keep_days={keep_days}"):
            store.retention.apply(keep_days=keep_days)
