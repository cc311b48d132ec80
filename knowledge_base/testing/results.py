"""What is promised of results: stored whole, once, and late ones apart."""

# ruff: noqa: S101 - asserts are what a suite is made of

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from knowledge_base.errors import Conflict, InvalidRecord, NotFound
from knowledge_base.records import NewWindow, TrialState
from knowledge_base.store import Store
from knowledge_base.testing.leasing import OTHER, queued
from knowledge_base.testing.scene import (
    AGENT,
    LEASE_SECONDS,
    METRICS,
    described,
    description,
    finished,
    leased,
    new_trial,
    new_window,
    registered,
    started,
    taken,
)
from targets.clock import ManualClock
from targets.errors import StaleEpoch
from targets.metrics import MetricVector


class ResultsContract:
    """Trials are finished exactly once; every window is kept."""

    def test_a_result_is_found_again_with_its_windows(
        self, store: Store, clock: ManualClock
    ) -> None:
        target, _ = queued(store)
        trial = taken(store, target)
        windows = [
            new_window(
                trial,
                position,
                arm=arm,
                block=1,
                purpose="confirm",
                objectives={"throughput": 0.1 + position, "p99_ms": 5e-324},
                contamination={"foreign_cpu": 0.25, "steal": None},
                details={"operations": 2**60},
            )
            for position, arm in enumerate(("baseline", "candidate"))
        ]
        clock.advance(2)
        result = store.trials.finish(
            trial.id,
            instance=AGENT,
            epoch=trial.epoch,
            state=TrialState.COMPLETED,
            in_force={"cache_size": 4096, "journal": "wal"},
            failure=None,
            message="fine",
            seconds=1.25,
            restarted=True,
            lines=[{"name": "expert", "value": 3.5, "note": ""}],
            windows=windows,
        )
        assert (result.late, result.duplicate) == (False, False)
        stored = store.trials.get(trial.id)
        assert stored == result.trial
        assert stored.state is TrialState.COMPLETED
        assert stored.in_force == {"cache_size": 4096, "journal": "wal"}
        assert (stored.message, stored.seconds, stored.restarted) == ("fine", 1.25, True)
        assert stored.lines == ({"name": "expert", "value": 3.5, "note": ""},)
        assert stored.finished_at == clock.now()
        kept = store.windows.of_trial(trial.id)
        assert store.windows.of_session(trial.session_id) == kept
        assert [as_new(window) for window in kept] == windows

    def test_a_failure_is_kept_with_its_kind_and_words(self, store: Store) -> None:
        target, _ = queued(store)
        result = finished(
            store, taken(store, target), failure="guardrail", message="p99 9 ms\0", windows=[]
        )
        assert (result.trial.state, result.trial.failure) == (TrialState.FAILED, "guardrail")
        assert result.trial.message == "p99 9 ms\ufffd"
        assert store.trials.get(result.trial.id) == result.trial

    def test_the_same_result_again_is_stored_once(self, store: Store) -> None:
        target, _ = queued(store)
        trial = taken(store, target)
        first = finished(store, trial)
        again = finished(store, trial)
        assert (again.duplicate, again.late) == (True, False)
        assert again.trial == first.trial
        assert len(store.windows.of_trial(trial.id)) == 1

    def test_a_result_after_the_lease_ran_out_counts_while_nobody_took_the_trial_back(
        self, store: Store, clock: ManualClock
    ) -> None:
        target, _ = queued(store)
        trial = taken(store, target)
        clock.advance(LEASE_SECONDS * 2)
        result = finished(store, trial)
        assert not result.late
        assert store.trials.expire() == []

    def test_a_result_under_an_old_epoch_is_kept_apart_and_changes_nothing(
        self, store: Store, clock: ManualClock
    ) -> None:
        target, _ = queued(store)
        trial = taken(store, target)
        clock.advance(LEASE_SECONDS)
        (expired,) = store.trials.expire()
        late = finished(store, trial)
        assert (late.late, late.duplicate) == (True, False)
        assert late.trial == expired == store.trials.get(trial.id)
        assert [window.late for window in store.windows.of_trial(trial.id)] == [True]
        again = finished(store, trial)
        assert (again.late, again.duplicate) == (True, True)
        assert len(store.windows.of_trial(trial.id)) == 1
        beat = taken(store, target)
        assert not finished(store, beat).late
        assert [window.late for window in store.windows.of_trial(trial.id)] == [True, False]

    def test_a_late_result_of_an_agent_that_lost_its_target_changes_nothing(
        self, store: Store, clock: ManualClock
    ) -> None:
        target, _ = queued(store)
        trial = taken(store, target)
        clock.advance(LEASE_SECONDS)
        registered(store, target, instance=OTHER)
        again = leased(store, target, instance=OTHER)
        assert again is not None
        assert finished(store, trial).late
        done = finished(store, again, instance=OTHER)
        assert (done.late, done.trial.state) == (False, TrialState.COMPLETED)

    def test_an_epoch_that_was_never_granted_is_refused(self, store: Store) -> None:
        target, _ = queued(store)
        trial = taken(store, target)
        with pytest.raises(Conflict, match="never granted to agent agent-2"):
            finished(store, trial, instance=OTHER)
        with pytest.raises(Conflict, match="never granted"):
            finished(store, replace(trial, epoch=trial.epoch + 1))
        assert store.trials.get(trial.id) == trial

    @pytest.mark.parametrize(
        ("state", "failure", "why"),
        [
            (TrialState.MEASURING, None, "is no result"),
            (TrialState.COMPLETED, "timed-out", "a completed one has none"),
            (TrialState.FAILED, None, "a failed trial has a failure"),
            (TrialState.FAILED, "bad luck", "no kind of failure"),
        ],
    )
    def test_a_result_that_contradicts_itself_is_refused(
        self, store: Store, state: TrialState, failure: str | None, why: str
    ) -> None:
        target, _ = queued(store)
        trial = taken(store, target)
        with pytest.raises(InvalidRecord, match=why):
            finish(store, trial.id, trial.epoch, state=state, failure=failure)

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ([{"trial_id": 41}], "of trial 41"),
            ([{"epoch": 9}], "epoch 9"),
            ([{"position": 1}, {"position": 1}], "two windows have one position"),
            ([{"objectives": {"throughput": math.nan}}], r"windows.objectives.throughput is nan"),
            ([{"details": {"seen": [1, math.inf]}}], r"windows.details.seen\[1\] is inf"),
            ([{"seconds": math.inf}], r"windows.seconds: inf is not finite"),
            ([{"started_at": ManualClock().now().replace(tzinfo=None)}], "has no time zone"),
        ],
    )
    def test_a_window_that_cannot_be_kept_leaves_the_trial_as_it_was(
        self, store: Store, changes: list[dict[str, Any]], why: str
    ) -> None:
        target, _ = queued(store)
        trial = taken(store, target)
        with pytest.raises(InvalidRecord, match=why):
            finished(store, trial, windows=[new_window(trial, **change) for change in changes])
        assert store.trials.get(trial.id) == trial
        assert store.windows.of_trial(trial.id) == []

    def test_a_cancelled_trial_has_failed_and_its_holder_is_fenced_off(
        self, store: Store, clock: ManualClock
    ) -> None:
        target, (waiting,) = queued(store)
        trial = taken(store, target)
        clock.advance(1)
        cancelled = store.trials.cancel(waiting.id, "no longer wanted")
        assert cancelled == store.trials.get(trial.id)
        assert (cancelled.state, cancelled.failure) == (TrialState.FAILED, "cancelled")
        assert cancelled.finished_at == clock.now()
        with pytest.raises(StaleEpoch):
            store.trials.renew(trial.id, instance=AGENT, epoch=trial.epoch, lease_seconds=1)
        assert finished(store, trial).late
        assert store.trials.cancel(trial.id, "again") == cancelled
        assert leased(store, target) is None

    def test_cancelling_an_ended_trial_changes_nothing(self, store: Store) -> None:
        target, _ = queued(store)
        done = finished(store, taken(store, target)).trial
        assert store.trials.cancel(done.id, "too late") == done

    def test_what_does_not_exist_cannot_be_finished(self, store: Store) -> None:
        with pytest.raises(NotFound, match="trial 41"):
            finish(store, 41, 1, state=TrialState.COMPLETED, failure=None)
        with pytest.raises(NotFound, match="trial 41"):
            store.trials.cancel(41, "")

    def test_metric_vectors_keep_what_could_not_be_read(self, store: Store) -> None:
        target, _ = queued(store)
        trial = taken(store, target)
        vector = MetricVector.of({"b": math.nan, "a": -0.0, "c": math.inf, "d": 5e-324})
        empty = MetricVector.of({})
        finished(
            store,
            trial,
            windows=[
                new_window(trial, 0, metrics=vector),
                new_window(trial, 1, metrics=empty),
            ],
        )
        first, second = store.windows.of_trial(trial.id)
        assert first.metrics.names == vector.names
        assert first.metrics.pack() == vector.pack()
        assert second.metrics == empty

    def test_units_are_those_described_when_the_window_was_measured(self, store: Store) -> None:
        target, _ = queued(store)
        trial = taken(store, target)
        unknown = MetricVector.of({**METRICS, "home_made": 1.0})
        finished(store, trial, windows=[new_window(trial, metrics=unknown)])
        store.targets.describe(target.name, description(read_unit="MiB/s"))
        assert store.windows.units(trial.session_id) == {
            "reads": "pages/s",
            "lock_waits": "1/s",
            "home_made": "",
        }

    def test_windows_of_a_session_come_in_the_order_of_its_plan(self, store: Store) -> None:
        target = described(store)
        registered(store, target)
        session = started(store, target)
        for number in (1, 0):
            store.trials.add(new_trial(session, number))
        for _ in range(2):
            trial = taken(store, target)
            finished(store, trial, windows=[new_window(trial, 1), new_window(trial, 0)])
        numbers = {trial.id: trial.number for trial in store.trials.all(session.id)}
        order = [(numbers[w.trial_id], w.position) for w in store.windows.of_session(session.id)]
        assert order == [(0, 0), (0, 1), (1, 0), (1, 1)]

    def test_windows_can_be_read_without_their_metrics(self, store: Store) -> None:
        target, _ = queued(store)
        trial = taken(store, target)
        finished(store, trial, windows=[new_window(trial, position) for position in (0, 1)])
        whole = store.windows.of_session(trial.session_id)
        bare = store.windows.of_session(trial.session_id, metrics=False)
        assert bare == [replace(one, metrics=MetricVector((), ())) for one in whole]

    def test_a_baseline_s_windows_are_those_of_its_trial_and_of_its_arm(self, store: Store) -> None:
        target, trials = queued(store, trials=4)
        for number in range(4):
            trial = taken(store, target)
            if number == 0:
                store.trials.cancel(trial.id, "measured again")
                continue
            arms = ("candidate", "baseline") if number == 3 else ("candidate", "candidate")
            windows = [new_window(trial, place, arm=arm) for place, arm in enumerate(arms)]
            finished(store, trial, windows=windows)
        session_id = trials[0].session_id
        found = store.windows.at_baseline([session_id, 41], task="trial", arm="baseline")
        places = [(one.trial_id, one.arm) for one in found.pop(session_id)]
        first, last = trials[1].id, trials[3].id
        assert places == [(first, "candidate"), (first, "candidate"), (last, "baseline")]
        assert found == {}

    def test_trials_are_counted_by_state(self, store: Store) -> None:
        target, trials = queued(store, trials=3)
        finished(store, taken(store, target))
        session = store.sessions.get(trials[0].session_id)
        store.trials.add(new_trial(session, 9, task="confirm"))
        counts = store.trials.counts([session.id, 41], task="trial")
        assert counts == {session.id: {TrialState.COMPLETED: 1, TrialState.SUGGESTED: 2}}

    def test_an_agent_s_reports_are_found_by_time(self, store: Store, clock: ManualClock) -> None:
        agent = registered(store, described(store))
        vectors = [MetricVector.of({"reads": float(n), "lock_waits": math.nan}) for n in range(3)]
        moments = []
        for vector in vectors:
            moments.append(clock.now())
            store.reports.add(agent.id, clock.now(), vector)
            clock.advance(5)
        found = store.reports.of_agent(agent.id, moments[1])
        assert [report.at for report in found] == moments[1:]
        assert [report.metrics.pack() for report in found] == [v.pack() for v in vectors[1:]]
        assert {(report.samples, report.hourly) for report in found} == {(1, False)}
        with pytest.raises(NotFound, match="agent 41"):
            store.reports.add(41, clock.now(), vectors[0])


def as_new(window: NewWindow) -> NewWindow:
    """The stored window as it was given."""
    return NewWindow(**{name: getattr(window, name) for name in NewWindow.__dataclass_fields__})


def finish(
    store: Store, trial_id: int, epoch: int, *, state: TrialState, failure: str | None
) -> None:
    """Send a result without windows."""
    store.trials.finish(
        trial_id,
        instance=AGENT,
        epoch=epoch,
        state=state,
        in_force=None,
        failure=failure,
        message="",
        seconds=0.0,
        restarted=False,
        lines=(),
        windows=(),
    )
