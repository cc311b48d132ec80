"""What is promised of sessions and of the queue of trials that is planned in them."""

# ruff: noqa: S101 - asserts are what a suite is made of

from __future__ import annotations

import pytest

from knowledge_base.errors import Conflict, InvalidRecord, NotFound
from knowledge_base.records import SessionPhase, SessionState, TrialState
from knowledge_base.store import Store
from knowledge_base.testing.scene import (
    described,
    description,
    new_session,
    new_trial,
    registered,
    started,
)
from targets.clock import ManualClock


class SessionsContract:
    """Sessions move on by revision; trials are numbered within them."""

    def test_a_session_is_found_again_as_it_was_begun(
        self, store: Store, clock: ManualClock
    ) -> None:
        target = described(store)
        new = new_session(
            target,
            recommender_options={"kappa": 1.96},
            pins={"journal": "wal"},
            versions={"lontra": "0.1.0"},
            actor="ada",
            mode="online",
        )
        session = store.sessions.create(new)
        assert store.sessions.get(session.id) == session
        assert (session.state, session.phase) == (SessionState.RUNNING, SessionPhase.BASELINE)
        assert session.space_id == target.space_id
        assert (session.created_at, session.finished_at) == (clock.now(), None)
        for name in ("objective", "workload", "seed", "budget", "baseline", "pins", "actor"):
            assert getattr(session, name) == getattr(new, name)
        assert session.recommender_options == {"kappa": 1.96}
        assert session.mode == "online"

    def test_a_session_has_its_objectives_and_limits(self, store: Store) -> None:
        one = started(store, described(store, "a"))
        assert (one.objectives, one.limits) == ((one.objective,), ())
        objectives = (one.objective, {"name": "cost", "direction": "min", "unit": ""})
        limits = ({"name": "p99", "direction": "min", "bound": None, "factor": 1.2},)
        target = described(store, "b")
        several = started(store, target, objectives=objectives, limits=limits)
        assert (several.objectives, several.limits) == (objectives, limits)
        resolved = ({**limits[0], "bound": 24.000000000000004},)
        store.sessions.advance(several.id, revision=several.revision, limits=resolved)
        assert store.sessions.get(several.id).limits == resolved
        with pytest.raises(InvalidRecord, match="throughput is not the first"):
            started(store, described(store, "c"), objectives=objectives[::-1])

    def test_sessions_of_one_workload_share_it(self, store: Store) -> None:
        a, b = started(store, described(store, "a")), started(store, described(store, "b"))
        other = started(
            store, described(store, "c"), workload={"name": "mixed", "parameters": {"x": 1}}
        )
        assert a.workload_id == b.workload_id != other.workload_id

    def test_a_target_has_one_unended_session(self, store: Store) -> None:
        target = described(store)
        first = started(store, target)
        with pytest.raises(Conflict, match=f"session {first.id}, which is running"):
            started(store, target)
        store.sessions.advance(first.id, revision=first.revision, state=SessionState.PAUSED)
        with pytest.raises(Conflict, match="which is paused"):
            started(store, target)
        store.sessions.advance(first.id, revision=first.revision + 1, state=SessionState.FINISHED)
        assert started(store, target).id != first.id

    def test_an_ended_session_cannot_run_again_beside_another(self, store: Store) -> None:
        target = described(store)
        first = started(store, target)
        ended = store.sessions.advance(
            first.id, revision=first.revision, state=SessionState.CANCELLED
        )
        started(store, target)
        with pytest.raises(Conflict):
            store.sessions.advance(first.id, revision=ended.revision, state=SessionState.RUNNING)
        assert store.sessions.get(first.id) == ended

    def test_an_undescribed_target_has_no_session(self, store: Store) -> None:
        with pytest.raises(Conflict, match="never described"):
            started(store, store.targets.describe("orders-db", {}))

    def test_a_workload_of_another_form_is_refused(self, store: Store) -> None:
        with pytest.raises(InvalidRecord, match="name and parameters"):
            started(store, described(store), workload={"name": "mixed"})

    def test_sessions_are_listed_newest_first_by_target_and_state(self, store: Store) -> None:
        a, b = described(store, "a"), described(store, "b")
        first = started(store, a)
        ended = store.sessions.advance(first.id, revision=1, state=SessionState.FINISHED)
        second, third = started(store, a), started(store, b)
        assert [s.id for s in store.sessions.list().items] == [third.id, second.id, first.id]
        assert [s.id for s in store.sessions.list(target_id=a.id).items] == [second.id, first.id]
        assert store.sessions.list(state=SessionState.FINISHED).items == (ended,)
        assert store.sessions.list(limit=1, offset=1).items == (second,)
        assert store.sessions.list(limit=1).total == 3
        assert store.sessions.running() == [second, third]

    def test_sessions_are_listed_by_the_kind_of_their_target(self, store: Store) -> None:
        session = started(store, described(store))
        other = store.targets.describe("cache", description() | {"kind": "another"})
        another = started(store, other)
        assert store.sessions.list(kind="another").items == (another,)
        assert store.sessions.list(kind="simulated").items == (session,)
        assert store.sessions.list(kind="unheard of").total == 0

    def test_moving_on_changes_what_is_given_and_raises_the_revision(
        self, store: Store, clock: ManualClock
    ) -> None:
        session = started(store, described(store))
        trial = store.trials.add(new_trial(session))
        clock.advance(5)
        moved = store.sessions.advance(
            session.id,
            revision=session.revision,
            phase=SessionPhase.CONFIRM,
            reason="budget spent",
            incumbent_trial_id=trial.id,
            verdict={"ratio": 2.5},
        )
        assert moved.revision == session.revision + 1
        assert (moved.state, moved.phase) == (SessionState.RUNNING, SessionPhase.CONFIRM)
        assert (moved.reason, moved.incumbent_trial_id) == ("budget spent", trial.id)
        assert moved.verdict == {"ratio": 2.5}
        done = store.sessions.advance(
            session.id, revision=moved.revision, state=SessionState.FINISHED
        )
        assert (done.phase, done.verdict) == (moved.phase, moved.verdict)
        assert done.finished_at == clock.now()
        assert store.sessions.get(session.id) == done

    def test_planning_on_an_old_revision_is_refused_whole(self, store: Store) -> None:
        session = started(store, described(store))
        moved = store.sessions.advance(session.id, revision=session.revision, reason="first")
        with pytest.raises(Conflict, match=f"revision {moved.revision}, not {session.revision}"):
            store.sessions.advance(session.id, revision=session.revision, reason="second")
        with pytest.raises(Conflict, match="revision"):
            store.trials.add(new_trial(session), session_revision=session.revision)
        assert store.sessions.get(session.id) == moved
        assert store.trials.all(session.id) == []

    def test_a_planned_trial_raises_its_session_s_revision(self, store: Store) -> None:
        session = started(store, described(store))
        store.trials.add(new_trial(session, 0), session_revision=session.revision)
        assert store.sessions.get(session.id).revision == session.revision + 1
        store.trials.add(new_trial(session, 1))
        assert store.sessions.get(session.id).revision == session.revision + 1

    def test_the_incumbent_is_a_trial_of_the_session(self, store: Store) -> None:
        session = started(store, described(store, "a"))
        strange = store.trials.add(new_trial(started(store, described(store, "b"))))
        for trial_id in (strange.id, 41):
            with pytest.raises(InvalidRecord, match=f"trial {trial_id} is no trial of session"):
                store.sessions.advance(session.id, revision=1, incumbent_trial_id=trial_id)

    def test_a_trial_is_found_again_as_it_was_planned(
        self, store: Store, clock: ManualClock
    ) -> None:
        session = started(store, described(store))
        new = new_trial(
            session,
            3,
            task="confirm",
            sequence=("baseline", "candidate", "candidate", "baseline"),
            block=2,
            suggestion={"kind": "explore", "reason": "nothing is known here"},
            based_on=(0, 1, 2),
            recommender_state={"lanes": [1, 2.5, None]},
            recommender={"name": "random"},
            timeout_seconds=12.5,
        )
        trial = store.trials.add(new)
        assert store.trials.get(trial.id) == trial
        for name in new.__dataclass_fields__:
            assert getattr(trial, name) == getattr(new, name)
        assert (trial.state, trial.epoch) == (TrialState.SUGGESTED, 0)
        assert trial.created_at == clock.now()

    def test_a_number_is_given_once_in_a_session(self, store: Store) -> None:
        session = started(store, described(store))
        store.trials.add(new_trial(session, 5))
        with pytest.raises(Conflict, match="has a trial 5 already"):
            store.trials.add(new_trial(session, 5), session_revision=session.revision)
        assert store.sessions.get(session.id).revision == session.revision

    def test_trials_are_listed_by_number(self, store: Store) -> None:
        session = started(store, described(store))
        trials = {number: store.trials.add(new_trial(session, number)) for number in (2, 0, 3, 1)}
        assert store.trials.all(session.id) == [trials[number] for number in range(4)]
        page = store.trials.list(session.id, limit=2, offset=1)
        assert (page.items, page.total) == ((trials[1], trials[2]), 4)

    def test_what_is_not_there_is_named_too(self, store: Store) -> None:
        with pytest.raises(NotFound, match="target 41"):
            store.sessions.create(new_session(described(store), target_id=41))
        with pytest.raises(NotFound, match="session 41"):
            store.sessions.get(41)
        with pytest.raises(NotFound, match="session 41"):
            store.sessions.advance(41, revision=1)
        with pytest.raises(NotFound, match="session 41"):
            store.trials.add(new_trial(started(store, described(store)), session_id=41))
        with pytest.raises(NotFound, match="trial 41"):
            store.trials.get(41)

    def test_a_session_keeps_the_space_it_began_with(self, store: Store) -> None:
        target = described(store)
        session = started(store, target)
        registered(store, target)
        store.targets.describe(target.name, description(cache_max=5000))
        assert store.sessions.get(session.id).space_id == session.space_id
