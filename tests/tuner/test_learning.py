"""What a session teaches is worked out at its time, kept, and told; and it harms no session."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from knowledge_base.errors import NotFound
from knowledge_base.records import Session, SessionState, TrialState
from targets.adapter import Workload
from targets.machine import host_identity
from tests.tuner.scripted import SPACE, Scripted, request
from tuner.learning import (
    EXPLANATION,
    MAPPING,
    PRUNING,
    RANKING,
    knowledge_of,
    known_history,
    pruning_of,
)
from tuner.studying import FIRST_RANKING, Study, study
from tuner.worker import InlineExecutor, Worker


class Recording(InlineExecutor):
    """Keeps what the pipeline was asked."""

    def __init__(self) -> None:
        self.studies: list[Study] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if fn is study:
            self.studies += args
        return super().submit(fn, *args, **kwargs)

    def observed(self, stage: str) -> list[int]:
        return [len(one.observations) for one in self.studies if stage in one.stages]


@pytest.fixture
def asked(ring: Scripted) -> Iterator[Recording]:
    recording = Recording()
    ring.worker = Worker(ring.store, clock=ring.clock, executor=recording)
    rng = random.Random(1)
    ring.metrics = lambda: {f"m{n}": 100.0 * n + rng.gauss(0, 1) for n in range(1, 6)}
    yield recording


def test_a_whole_session_is_learnt_from_at_its_time(ring: Scripted, asked: Recording) -> None:
    ring.target(deterministic=True)
    session = ring.run(ring.service.start(request(trials=20)))
    assert asked.observed(RANKING) == asked.observed(EXPLANATION) == [10, 14, 19, 21]
    # Before the first suggestion, and when the confirmation had measured the baseline again.
    assert asked.observed(MAPPING) == [1, 21]
    assert asked.observed(PRUNING) == [21]
    known = knowledge_of(ring.store, session.id)
    for content, version in (
        (known.ranking, 4), (known.explanation, 4), (known.mapping, 2), (known.pruning, 1),
    ):  # fmt: skip
        assert content is not None
        assert (content["version"], content["format"]) == (version, 1)
        assert content["computed_at"] > session.created_at.isoformat()
        assert content["inputs"]["observations"] == 21
        assert content["inputs"]["last_trial"] == 20
        assert content["inputs"]["sessions"] == [session.id]
    assert known.ranking is not None and known.ranking["knobs"][0]["knob"] == "mode"
    assert known.ranking["knobs"][0]["verdict"] == "matters"
    assert known.mapping is not None and known.mapping["reason"] == "no workload is known yet"
    json.dumps(known.to_dict(), allow_nan=False)


def test_the_report_says_why_of_each_changed_knob(ring: Scripted, asked: Recording) -> None:
    ring.target(deterministic=True)
    session = ring.run(ring.service.start(request(trials=20)))
    report = ring.service.report(session.id)
    told = report["knowledge"]
    changed = {change["knob"] for change in report["incumbent"]["changes"]}
    assert set(told["why"]) == changed == {"mode", "size"}
    assert told["why"]["mode"].startswith("mode: slow -> fast: +")
    assert told["explanation"]["configuration"] == report["recommended"]
    assert told["explanation"]["trial"] == report["incumbent"]["trial"]
    assert told["lanes"] == [{"lane": "random", "trials": 20, "wins": told["lanes"][0]["wins"],
                              "share": 1.0}]  # fmt: skip
    assert told["ranking"]["inputs"]["observations"] == 21
    json.dumps(report, allow_nan=False)


def test_an_incumbent_that_is_replaced_is_explained_anew(ring: Scripted, asked: Recording) -> None:
    ring.target(deterministic=True)
    struck: set[str] = set()

    def treacherous(configuration: dict[str, Any], number: int) -> float:
        if number > 12 and configuration != SPACE.default():
            key = SPACE.key(configuration)
            if not struck or key in struck:
                struck.add(key)
                raise RuntimeError("fails under fresh work")
        return ring.measure(configuration, number)

    session = ring.run(ring.service.start(request()), treacherous)
    report = ring.service.report(session.id)
    assert report["knowledge"]["explanation"]["trial"] == report["incumbent"]["trial"]
    assert asked.observed(EXPLANATION)[-2:] == [13, 13]


def test_what_cannot_be_learnt_is_told_once_and_harms_nobody(
    ring: Scripted, asked: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise FloatingPointError("the matrix is singular")

    monkeypatch.setattr("tuner.studying.ranking_of", broken)
    ring.target(deterministic=True)
    session = ring.run(ring.service.start(request()))
    assert session.state is SessionState.FINISHED
    known = knowledge_of(ring.store, session.id)
    assert known.ranking is None and known.explanation is None
    assert known.mapping is not None and known.pruning is not None
    events = ring.store.events.list(session_id=session.id, kind="learning-failed")
    assert len(events) == 2 * len(asked.observed(RANKING)) == 4
    assert "knob-ranking: FloatingPointError: the matrix is singular" in events[0].message


def test_a_finding_that_cannot_be_kept_is_told_too(
    ring: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuner.studying._Pipeline._prune", lambda self: {"share": float("nan")})
    ring.target(deterministic=True)
    session = ring.run(ring.service.start(request(trials=2)))
    assert session.state is SessionState.FINISHED
    [event] = ring.store.events.list(session_id=session.id, kind="learning-failed")
    assert "nan" in event.message


def test_nothing_is_learnt_while_a_window_is_measured_on_this_machine(
    ring: Scripted, asked: Recording
) -> None:
    ring.target()
    ring.target("neighbour", host=host_identity(), instance="agent-2")
    session = ring.service.start(request())
    ring.service.start(request(target="neighbour"))
    ring.worker.step()
    ring.answer()
    held = ring.lease("neighbour", instance="agent-2")
    assert held is not None
    ring.store.trials.set_state(
        held.id, instance="agent-2", epoch=held.epoch, state=TrialState.MEASURING
    )
    for _ in range(4):
        ring.worker.step()
    assert ring.store.sessions.get(session.id).phase == "search" and asked.studies == []
    ring.finish(held, ring.measure, instance="agent-2")
    for _ in range(4):
        ring.worker.step()
    assert MAPPING in asked.studies[0].stages


def test_another_worker_does_not_learn_the_same_again(ring: Scripted, asked: Recording) -> None:
    ring.target(deterministic=True)
    session = ring.service.start(request(trials=30))
    while len(ring.store.trials.all(session.id)) <= FIRST_RANKING:
        ring.worker.step()
        ring.answer()
    ring.worker.step()
    seen = len(asked.studies)
    ring.worker = Worker(ring.store, clock=ring.clock, executor=asked)
    ring.worker.step()
    ring.worker.step()
    assert len(asked.studies) == seen == 2


def test_a_session_without_results_is_known_too(ring: Scripted) -> None:
    ring.target()
    session = ring.service.start(request())
    known = knowledge_of(ring.store, session.id).to_dict()
    assert known == {
        "session": session.id, "lanes": [], "ranking": None, "mapping": None, "pruning": None,
        "explanation": None, "history": [],
    }  # fmt: skip
    with pytest.raises(NotFound):
        knowledge_of(ring.store, 41)


def test_lanes_win_by_what_beats_everything_before(ring: Scripted) -> None:
    ring.target()
    values = iter([1.0] * 6 + [3.0, 2.0, 4.0, 0.5, 9.0])

    def measure(configuration: dict[str, Any], number: int) -> float:
        if number == 4:
            raise RuntimeError("fails")
        return next(values)

    session = ring.service.start(request(trials=6))
    while ring.store.sessions.get(session.id).phase in ("baseline", "search"):
        ring.worker.step()
        ring.answer(measure)
    lanes = {lane.lane: lane for lane in knowledge_of(ring.store, session.id).lanes}
    # 3, 2, 4, a failure, 0.5; then 9, which only measures a finalist again.
    assert (lanes["random"].trials, lanes["random"].wins) == (5, 2)
    assert (lanes["finalists"].trials, lanes["finalists"].wins) == (1, 0)
    assert lanes["random"].share == pytest.approx(5 / 6)


def cut_short(ring: Scripted, name: str = "t", instance: str = "agent-1") -> Session:
    """A session that was cancelled when it had a handful of results."""
    session = ring.service.start(request(target=name, trials=20))
    for _ in range(12):
        ring.worker.step()
        ring.answer(name=name, instance=instance)
    return ring.service.cancel(session.id, actor="me")


def test_what_is_known_is_listed_newest_first(ring: Scripted) -> None:
    ring.target(deterministic=True)
    ring.target("u", deterministic=True, kind="another", instance="agent-2")
    whole = ring.run(ring.service.start(request(trials=20)))
    short = cut_short(ring, "u", "agent-2")
    page = known_history(ring.store)
    assert page.total == 2
    assert [one.session for one in page.items] == [short.id, whole.id]
    cancelled, finished = (one.to_dict() for one in page.items)
    report = ring.service.report(whole.id)
    assert finished == {
        "session": whole.id,
        "target": "t",
        "kind": "scripted",
        "workload": "w",
        "objective": "speed",
        "direction": "max",
        "state": "finished",
        "trials": 21,
        "failures": sum(trial["state"] == "failed" for trial in report["trials"]),
        "gain": {key: report["confirmation"][key] for key in ("ratio", "ci95", "pairs", "verdict")},
        "top_knobs": ["mode", "size"],
        "created_at": whole.created_at.isoformat(),
    }
    assert (cancelled["kind"], cancelled["gain"], cancelled["top_knobs"]) == ("another", None, [])
    assert [one.session for one in known_history(ring.store, kind="scripted").items] == [whole.id]
    assert [one.session for one in known_history(ring.store, limit=1, offset=1).items] == [whole.id]
    json.dumps([one.to_dict() for one in page.items], allow_nan=False)


def test_one_workload_on_two_targets_is_known_once(ring: Scripted, asked: Recording) -> None:
    ring.target()
    ring.target("u", instance="agent-2")
    cut_short(ring)
    cut_short(ring, "u", "agent-2")
    third = cut_short(ring)
    mapping = knowledge_of(ring.store, third.id).mapping
    assert mapping is not None
    [(label, known)] = mapping["known"].items()
    assert (label, known["targets"], known["sessions"]) == ("w on u", ["u", "t"], [2, 1])
    assert mapping["name"] == label


def test_workloads_of_one_name_that_look_different_stay_apart(
    ring: Scripted, asked: Recording
) -> None:
    ring.target()
    ring.target("u", instance="agent-2")
    cut_short(ring)
    rng = random.Random(2)
    ring.metrics = lambda: {f"m{n}": 1000.0 / n**3 + rng.gauss(0, 0.1) for n in range(1, 6)}
    cut_short(ring, "u", "agent-2")
    third = cut_short(ring)
    mapping = knowledge_of(ring.store, third.id).mapping
    assert mapping is not None
    assert set(mapping["known"]) == {"w on t", "w on u"}
    assert mapping["name"] == "w on u"


def test_metrics_are_pruned_for_all_targets_of_a_kind(ring: Scripted, asked: Recording) -> None:
    ring.target(workload=Workload(name="one"))
    first = ring.run(ring.service.start(request(trials=2)))
    second = ring.run(ring.service.start(request(trials=2)))
    newest = ring.store.artefacts.latest(pruning_of("scripted"))
    assert newest is not None and newest.version == 2
    assert newest.content["inputs"]["sessions"] == [second.id, first.id]
    windows = [len(ring.store.windows.of_session(one.id)) for one in (first, second)]
    assert newest.content["windows"] == sum(windows)
