"""What is promised when many act at once: one wins, the others are told, nothing is lost."""

# ruff: noqa: S101 - asserts are what a suite is made of

from __future__ import annotations

import multiprocessing
import queue
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from knowledge_base.errors import Conflict, Held
from knowledge_base.records import Session, TrialState
from knowledge_base.store import Store
from knowledge_base.testing.events import new_event
from knowledge_base.testing.leasing import beat, queued
from knowledge_base.testing.scene import (
    AGENT,
    LEASE_SECONDS,
    described,
    finished,
    leased,
    new_trial,
    registered,
    started,
    taken,
)
from targets.clock import ManualClock
from targets.errors import LontraError, StaleEpoch

T = TypeVar("T")
AT_ONCE = 8
PATIENCE_SECONDS = 60.0


def all_at_once(act: Callable[[int], T], *, times: int = AT_ONCE) -> list[T | LontraError]:
    """What `act(0)` ... `act(times - 1)` answer or raise, begun together in threads."""
    start = threading.Barrier(times)

    def one(number: int) -> T | LontraError:
        start.wait(PATIENCE_SECONDS)
        try:
            return act(number)
        except LontraError as error:
            return error

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(one, range(times)))


def kinds(results: list[T | LontraError]) -> Counter[str]:
    """How many of which type."""
    return Counter(type(result).__name__ for result in results)


def plan_in_a_process(
    url: str,
    session: Session,
    number: int,
    ready: multiprocessing.synchronize.Barrier,
    said: multiprocessing.Queue[str],
) -> None:
    """A worker of its own: opens the database and plans on the revision it was told."""
    with Store.open(url) as store:
        ready.wait(PATIENCE_SECONDS)
        try:
            store.trials.add(new_trial(session, number), session_revision=session.revision)
            said.put("planned")
        except Conflict:
            said.put("too late")


class ConcurrencyContract:
    """Eight threads, or two processes, and one winner."""

    def test_one_of_many_planners_of_a_revision_wins(self, store: Store) -> None:
        session = started(store, described(store))
        results = all_at_once(
            lambda n: store.trials.add(new_trial(session, n), session_revision=session.revision)
        )
        assert kinds(results) == {"Trial": 1, "Conflict": AT_ONCE - 1}
        assert len(store.trials.all(session.id)) == 1
        assert store.sessions.get(session.id).revision == session.revision + 1

    def test_one_of_two_processes_planning_a_revision_wins(self, store: Store) -> None:
        session = started(store, described(store))
        spawn = multiprocessing.get_context("spawn")
        ready, said = spawn.Barrier(2), spawn.Queue()
        workers = [
            spawn.Process(target=plan_in_a_process, args=(store.url, session, number, ready, said))
            for number in range(2)
        ]
        for worker in workers:
            worker.start()
        try:
            words = sorted(said.get(timeout=PATIENCE_SECONDS) for _ in workers)
        except queue.Empty:
            pytest.fail("a worker process said nothing")
        finally:
            for worker in workers:
                worker.join(PATIENCE_SECONDS)
        assert words == ["planned", "too late"]
        assert len(store.trials.all(session.id)) == 1

    def test_one_session_of_many_begun_at_once_stands(self, store: Store) -> None:
        target = described(store)
        results = all_at_once(lambda _: started(store, target))
        assert kinds(results) == {"Session": 1, "Conflict": AT_ONCE - 1}
        assert store.sessions.list().total == 1

    def test_one_of_many_agents_gets_the_target(self, store: Store) -> None:
        target = described(store)
        results = all_at_once(lambda n: registered(store, target, instance=f"agent-{n}"))
        assert kinds(results) == {"Agent": 1, "Held": AT_ONCE - 1}

    def test_one_agent_asking_many_times_holds_one_trial_under_the_last_epoch(
        self, store: Store
    ) -> None:
        target, trials = queued(store, trials=AT_ONCE)
        results = all_at_once(lambda _: leased(store, target))
        granted = [result for result in results if result is not None]
        epochs = {trial.epoch: trial for trial in granted if not isinstance(trial, LontraError)}
        assert sorted(epochs) == list(range(1, AT_ONCE + 1))
        assert {trial.id for trial in epochs.values()} == {trials[0].id}
        for epoch, trial in epochs.items():
            if epoch == AT_ONCE:
                store.trials.renew(trial.id, instance=AGENT, epoch=epoch, lease_seconds=1)
                continue
            with pytest.raises(StaleEpoch):
                store.trials.renew(trial.id, instance=AGENT, epoch=epoch, lease_seconds=1)

    def test_a_queue_is_worked_off_without_losing_or_doubling_a_trial(self, store: Store) -> None:
        targets = [described(store, f"db-{n}") for n in range(4)]
        for n, target in enumerate(targets):
            registered(store, target, instance=f"agent-{n}")
            session = started(store, target)
            for number in range(5):
                store.trials.add(new_trial(session, number))

        def work(n: int) -> list[int]:
            done = []
            while (trial := leased(store, targets[n], instance=f"agent-{n}")) is not None:
                result = finished(store, trial, instance=f"agent-{n}")
                assert not result.late
                done.append(trial.id)
            return done

        results = all_at_once(work, times=4)
        done = [trial for result in results if isinstance(result, list) for trial in result]
        assert sorted(done) == sorted(set(done))
        assert len(done) == 20

    def test_a_result_sent_many_times_at_once_is_stored_once(self, store: Store) -> None:
        target, _ = queued(store)
        trial = taken(store, target)
        results = all_at_once(lambda _: finished(store, trial).duplicate)
        assert sorted(map(str, results)) == ["False"] + ["True"] * (AT_ONCE - 1)
        assert len(store.windows.of_trial(trial.id)) == 1

    def test_an_expired_trial_is_taken_back_once(self, store: Store, clock: ManualClock) -> None:
        target, _ = queued(store)
        trial = taken(store, target)
        clock.advance(LEASE_SECONDS)
        results = all_at_once(lambda _: store.trials.expire())
        expired = [t for result in results if isinstance(result, list) for t in result]
        assert [t.id for t in expired] == [trial.id]
        assert store.trials.get(trial.id).epoch == trial.epoch + 1

    def test_a_new_target_described_many_times_at_once_is_one(self, store: Store) -> None:
        results = all_at_once(lambda _: described(store))
        assert kinds(results) == {"Target": AT_ONCE}
        assert store.targets.list().total == 1

    def test_versions_of_an_artefact_are_numbered_without_gaps(self, store: Store) -> None:
        results = all_at_once(lambda n: store.artefacts.put("ranking", {"n": n}).version)
        assert sorted(map(str, results)) == sorted(map(str, range(1, AT_ONCE + 1)))

    def test_one_reply_is_given_to_all_who_wrote_at_once(self, store: Store) -> None:
        results = all_at_once(
            lambda n: store.replies.put("t", "k", request_digest="d", status=200, body=n).body
        )
        assert len(set(map(str, results))) == 1
        assert kinds(results) == {"int": AT_ONCE}

    def test_who_follows_the_audit_log_misses_nothing(self, store: Store) -> None:
        each = 15
        seen: list[int] = []

        def act(n: int) -> None:
            if n:
                for _ in range(each):
                    store.events.add(new_event(actor=f"writer-{n}"))
                return
            while len(seen) < each * (AT_ONCE - 1):
                last = seen[-1] if seen else 0
                fresh = store.events.list(after_id=last, limit=3)
                seen.extend(event.id for event in fresh)
                if not fresh and done.is_set():
                    return

        done = threading.Event()
        follower = ThreadPoolExecutor(1)
        following = follower.submit(act, 0)
        all_at_once(lambda n: act(n + 1), times=AT_ONCE - 1)
        done.set()
        following.result(PATIENCE_SECONDS)
        follower.shutdown()
        assert seen == [event.id for event in store.events.list(limit=1000)]
        assert len(seen) == each * (AT_ONCE - 1)

    def test_all_kinds_of_writers_at_once_never_block_each_other_for_good(
        self, store: Store, clock: ManualClock
    ) -> None:
        target, trials = queued(store, trials=3)
        session_id = trials[0].session_id
        rounds = 6

        def act(n: int) -> int:
            for _ in range(rounds):
                try:
                    _act(store, target_name=target.name, session_id=session_id, role=n)
                except (Conflict, Held, StaleEpoch):
                    continue  # somebody was first: allowed; waiting for ever is not
            return n

        assert sorted(map(str, all_at_once(act))) == sorted(map(str, range(AT_ONCE)))
        states = {trial.state for trial in store.trials.all(session_id)}
        assert states <= {TrialState.SUGGESTED, TrialState.LEASED, TrialState.COMPLETED,
                          TrialState.FAILED}  # fmt: skip


def _act(store: Store, *, target_name: str, session_id: int, role: int) -> None:
    target = store.targets.by_name(target_name)
    if role == 0:
        beat(store)
    elif role == 1:
        registered(store, target)
    elif role == 2:
        trial = leased(store, target)
        if trial is not None:
            finished(store, trial)
    elif role == 3:
        store.trials.expire()
    elif role == 4:
        session = store.sessions.get(session_id)
        number = len(store.trials.all(session_id))
        store.trials.add(new_trial(session, number), session_revision=session.revision)
    elif role == 5:
        session = store.sessions.get(session_id)
        store.sessions.advance(session_id, revision=session.revision, reason="still searching")
    elif role == 6:
        waiting = [t for t in store.trials.all(session_id) if not t.state.ended]
        if len(waiting) > 2:
            store.trials.cancel(waiting[-1].id, "enough")
    else:
        described(store, target_name)
