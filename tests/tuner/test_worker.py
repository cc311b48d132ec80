"""The worker among others: other workers, other processes, people, and broken recommenders."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import Any

import pytest

from knowledge_base import Store
from knowledge_base.errors import Unavailable
from knowledge_base.records import SessionState, TrialState
from lontra.commands.worker import _follow_worker
from targets.clock import ManualClock
from targets.machine import host_identity
from tests.tuner.scripted import SPACE, Scripted, request
from tuner.recommenders.base import Recommender
from tuner.recommenders.random import RandomRecommender
from tuner.replay import replay
from tuner.suggesting import attempt
from tuner.view import SessionView
from tuner.worker import Worker


class Later(Executor):
    """Computes when told: what lies between question and answer is the test's to choose."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Callable[..., Any], Any]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        [question] = args
        self.waiting.append((future, fn, question))
        return future

    def asked(self, fn: Callable[..., Any]) -> bool:
        return any(waiting is fn for _, waiting, _ in self.waiting)

    def compute(self) -> None:
        for future, fn, question in self.waiting:
            if future.set_running_or_notify_cancel():
                future.set_result(fn(question))
        self.waiting.clear()


@pytest.fixture
def slow(database_url: str) -> Iterator[tuple[Scripted, Later]]:
    """A ring whose suggestions are computed when the test says so."""
    clock, later = ManualClock(), Later()
    with Store.open(database_url, clock=clock) as store:
        yield Scripted(store, clock, executor=later), later


def until_computing(ring: Scripted, later: Later) -> None:
    """Until the recommender is asked; what the pipeline is asked before is computed."""
    for _ in range(10):
        ring.worker.step()
        if later.asked(attempt):
            return
        later.compute()
        ring.answer()
    raise AssertionError("nothing was computed")


def test_two_workers_plan_one_session_without_a_double_or_a_gap(
    ring: Scripted, database_url: str
) -> None:
    ring.target(deterministic=True)
    session = ring.service.start(request(trials=25))
    done = threading.Event()
    faults: list[BaseException] = []

    def work(store: Store) -> None:
        worker = Worker(store, clock=ring.clock)
        try:
            worker.run(done, poll_seconds=0.001)
        except BaseException as error:
            faults.append(error)

    stores = [Store.open(database_url, clock=ring.clock) for _ in range(2)]
    threads = [threading.Thread(target=work, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    try:
        while not ring.store.sessions.get(session.id).state.ended and not faults:
            ring.answer()
    finally:
        done.set()
        for thread in threads:
            thread.join()
        for store in stores:
            store.close()
    assert faults == []
    trials = ring.store.trials.all(session.id)
    assert [trial.number for trial in trials] == list(range(len(trials)))
    assert all(trial.state.ended for trial in trials)
    report = ring.service.report(session.id)
    assert (report["state"], len(report["trials"])) == ("finished", 26)
    assert report["confirmation"]["pairs"] == 12
    assert all(result.same for result in replay(ring.store, ring.store.sessions.get(session.id)))


def test_a_process_computes_what_the_worker_itself_would(database_url: str) -> None:
    """Job and answer survive the way there and back; the replay computes here."""
    clock = ManualClock()
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_follow_worker) as pool,
        Store.open(database_url, clock=clock) as store,
    ):
        ring = Scripted(store, clock, executor=pool)
        ring.target(deterministic=True)
        session = ring.service.start(request(recommender="gp", trials=8))
        while not session.state.ended:
            if not ring.worker.step() and ring.answer() is None:
                pool.submit(os.getpid).result(timeout=120)  # what was asked before is done then
            session = store.sessions.get(session.id)
        assert session.state is SessionState.FINISHED
        results = replay(store, session)
        assert len(results) == 8 and all(result.same for result in results)


def test_a_killed_process_of_the_pool_harms_no_session(database_url: str) -> None:
    clock = ManualClock()
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        Store.open(database_url, clock=clock) as store,
    ):
        ring = Scripted(store, clock, executor=pool)
        ring.target(deterministic=True)
        session = ring.service.start(request())
        ring.worker.step()
        ring.answer()
        ring.worker.step()  # the baseline is measured: on to the search
        ring.worker.step()  # asks for the workload's mapping, which is computed before what follows
        pool.submit(os.getpid).result(timeout=60)
        ring.worker.step()
        ring.worker.step()  # asks for a suggestion
        os.kill(pool.submit(os.getpid).result(timeout=60), signal.SIGKILL)
        with pytest.raises(BrokenExecutor):
            pool.submit(os.getpid).result(timeout=60)
        ring.worker.step()
        assert ring.answer() is not None
        with pytest.raises(BrokenExecutor):
            for _ in range(5):
                ring.worker.step()
        assert store.sessions.get(session.id).state is SessionState.RUNNING
        ring.worker = Worker(store, clock=clock)
        assert ring.run(session).state is SessionState.FINISHED


def test_an_answer_that_was_computed_while_paused_is_dropped_and_made_again(
    slow: tuple[Scripted, Later],
) -> None:
    ring, later = slow
    ring.target()
    session = ring.service.start(request())
    until_computing(ring, later)
    before = len(ring.store.trials.all(session.id))
    ring.service.pause(session.id, actor="me")
    later.compute()
    ring.worker.step()
    assert len(ring.store.trials.all(session.id)) == before
    ring.service.resume(session.id, actor="me")
    until_computing(ring, later)
    later.compute()
    ring.worker.step()
    assert len(ring.store.trials.all(session.id)) == before + 1


def test_an_answer_to_a_session_that_was_paused_and_resumed_is_made_again(
    slow: tuple[Scripted, Later],
) -> None:
    ring, later = slow
    ring.target()
    session = ring.service.start(request())
    until_computing(ring, later)
    before = len(ring.store.trials.all(session.id))
    ring.service.pause(session.id, actor="me")
    ring.service.resume(session.id, actor="me")
    later.compute()
    ring.worker.step()
    assert len(ring.store.trials.all(session.id)) == before
    until_computing(ring, later)


def test_nothing_is_computed_while_a_window_is_measured_on_this_machine(ring: Scripted) -> None:
    ring.target("t")
    ring.target("neighbour", host=host_identity(), instance="agent-2")
    session = ring.service.start(request())
    other = ring.service.start(request(target="neighbour"))
    ring.worker.step()
    ring.answer()  # the baseline: a suggestion is due
    held = ring.lease("neighbour", instance="agent-2")
    assert held is not None
    ring.store.trials.set_state(
        held.id, instance="agent-2", epoch=held.epoch, state=TrialState.MEASURING
    )

    def trials() -> int:
        ring.worker.step()
        ring.worker.step()
        return len(ring.store.trials.all(session.id))

    assert trials() == 1
    ring.service.pause(other.id, actor="me")
    assert trials() == 1, "the paused session's last window is still being measured"
    ring.finish(held, ring.measure, instance="agent-2")
    assert trials() == 2


class BrokenRecommender(RandomRecommender):
    """A stranger's class with a bug in it."""

    def suggest(self, *args: Any, **kwargs: Any) -> Any:
        raise ZeroDivisionError("division by zero")


class StrayRecommender(RandomRecommender):
    """A stranger's class that suggests what is in no space."""

    def suggest(self, *args: Any, **kwargs: Any) -> Any:
        (first, *_), state = super().suggest(*args, **kwargs)
        return (replace(first, configuration={"mode": "warp", "size": 1}),), state


class UnpinnedRecommender(RandomRecommender):
    """A stranger's class that knows no pins."""

    def suggest(self, *args: Any, **kwargs: Any) -> Any:
        (first, *_), state = super().suggest(*args, **kwargs)
        return (replace(first, configuration={"mode": "fast", "size": 99}),), state


class EmptyRecommender(RandomRecommender):
    """A stranger's class that has nothing to say."""

    def suggest(self, *args: Any, **kwargs: Any) -> Any:
        return (), {}


class ForgetfulRecommender(RandomRecommender):
    """A stranger's class whose state is no JSON."""

    def suggest(self, *args: Any, **kwargs: Any) -> Any:
        given, _ = super().suggest(*args, **kwargs)
        return given, {"model": object()}


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (BrokenRecommender, "ZeroDivisionError: division by zero"),
        (StrayRecommender, "warp"),
        (UnpinnedRecommender, "pinned \\(size\\)"),
        (EmptyRecommender, "IndexError"),
        (ForgetfulRecommender, "state"),
    ],
)
def test_a_bug_in_a_recommender_ends_its_session_and_no_other(
    ring: Scripted, monkeypatch: pytest.MonkeyPatch, kind: type[Recommender], reason: str
) -> None:
    ring.target("t", deterministic=True)
    ring.target("neighbour", deterministic=True, instance="agent-2")
    broken = ring.service.start(request(target="neighbour", recommender="sobol", pins={"size": 5}))
    sound = ring.service.start(request())
    monkeypatch.setattr(
        "tuner.suggesting.load_recommender",
        lambda name: kind if name == "sobol" else RandomRecommender,
    )
    ring.worker.step()
    held = ring.lease("neighbour", instance="agent-2")
    assert held is not None
    ring.finish(held, ring.measure, instance="agent-2")
    assert ring.run(sound).state is SessionState.FINISHED
    ended = ring.store.sessions.get(broken.id)
    assert ended.state is SessionState.FAILED
    assert re.search(reason, ended.reason)
    kinds = [event.kind for event in ring.store.events.list(session_id=broken.id)]
    assert "session-failed" in kinds


def test_a_knowledge_base_that_is_away_is_waited_for(
    ring: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuner.worker.AWAY_SECONDS", 0.0)
    ring.target()
    session = ring.service.start(request())
    stop, left = threading.Event(), [3]
    expire = ring.store.trials.expire

    def away() -> list[Any]:
        left[0] -= 1
        if left[0] > 0:
            raise Unavailable("the server restarts")
        if left[0] < 0:
            stop.set()
        return expire()

    monkeypatch.setattr(ring.store.trials, "expire", away)
    ring.worker.run(stop, poll_seconds=0.0)
    assert len(ring.store.trials.all(session.id)) == 1


def test_an_agent_that_comes_back_after_its_lease_ran_out_goes_on(ring: Scripted) -> None:
    ring.target(deterministic=True)
    session = ring.service.start(request())
    ring.worker.step()
    held = ring.lease()
    assert held is not None
    ring.clock.advance(3_600)
    ring.worker.step()
    assert ring.store.trials.get(held.id).state is TrialState.SUGGESTED
    again = ring.lease()
    assert again is not None and (again.id, again.epoch > held.epoch) == (held.id, True)
    ring.finish(held, ring.measure)  # the late result of the first try changes nothing
    assert ring.store.trials.get(held.id).state is TrialState.LEASED
    assert SessionView.load(ring.store, session).values(ring.store.trials.get(held.id)) == ()
    ring.finish(again, ring.measure)
    assert ring.run(session).state is SessionState.FINISHED
    report = ring.service.report(session.id)
    assert report["trials"][0]["values"] == [60.0]
    assert report["baseline"]["configuration"] == SPACE.default()
