"""A session begins from what others of its kind saw, is never harmed by it, and can be replayed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from statistics import median_low
from typing import Any

import pytest

from knowledge_base.records import Session
from targets.adapter import Workload
from targets.knobs import Knob, KnobType
from targets.metrics import Direction, Objective
from targets.space import KnobSpace
from tests.tuner.scripted import SPACE, Scripted, request
from tuner.learning import HISTORY, MAPPING, knowledge_of, pruning_of
from tuner.past import MOST_OBSERVATIONS, Told, comparable, decide, selected, told
from tuner.recommenders.base import Observation, Problem
from tuner.recommenders.random import RandomRecommender
from tuner.replay import replay
from tuner.view import SessionView
from tuner.worker import Worker


def search(
    ring: Scripted, session: Session, measure: Callable[..., float] | None = None
) -> Session:
    """Search to the end, and leave the confirmation out."""
    for _ in range(200):
        ring.worker.step()
        session = ring.store.sessions.get(session.id)
        if session.phase not in ("baseline", "search"):
            break
        ring.answer(measure)
    assert not session.state.ended, session.reason
    return ring.service.cancel(session.id, actor="me")


def searched(ring: Scripted, **changes: Any) -> Session:
    """A session that measured enough to teach others."""
    return search(ring, ring.service.start(request(**{"trials": 14} | changes)))


def learning(ring: Scripted, **changes: Any) -> Session:
    """A session by the recommender that learns from others."""
    return searched(ring, **{"recommender": "auto", "trials": 6, "seed": 8} | changes)


def warm_starts(ring: Scripted, session: Session) -> list[str]:
    trials = ring.service.report(session.id)["trials"]
    return [trial["reason"] for trial in trials if trial["kind"] == "warm-start"]


def decided(ring: Scripted, session: Session) -> list[int]:
    """The sessions that a session was told of."""
    kept = ring.store.artefacts.latest(HISTORY, session_id=session.id)
    return [one["session"] for one in kept.content["sessions"]] if kept else []


def test_a_session_begins_from_what_another_one_found(ring: Scripted) -> None:
    ring.target(deterministic=True)
    first = searched(ring)
    second = learning(ring)
    trials = ring.service.report(second.id)["trials"]
    assert (trials[1]["kind"], trials[1]["lane"]) == ("warm-start", "transfer")
    assert all(f"session {first.id} of t" in reason for reason in warm_starts(ring, second))
    tried = ring.service.report(first.id)["trials"]
    best = max((trial for trial in tried if trial["value"]), key=lambda trial: trial["value"])
    assert trials[1]["configuration"] == best["configuration"]
    [source] = knowledge_of(ring.store, second.id).history
    seen = len(SessionView.load(ring.store, first).observations)
    assert source == {
        "session": first.id, "target": "t", "workload": "w", "trials": seen, "used": seen,
    }  # fmt: skip


def test_failures_are_told_as_failures(ring: Scripted) -> None:
    ring.target(deterministic=True)
    first = searched(ring)
    asked: list[Problem] = []

    class Listening(RandomRecommender):
        def suggest(self, problem: Problem, *args: Any, **kwargs: Any) -> Any:
            asked.append(problem)
            return super().suggest(problem, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tuner.suggesting.load_recommender", lambda name: Listening)
        learning(ring, trials=2)
    [task] = asked[0].history
    assert task.space == SPACE and task.name == f"session {first.id} of t"
    seen = SessionView.load(ring.store, first).observations
    assert [one.number for one in task.observations] == [one.number for one in seen]
    assert any(one.failure for one in task.observations)


def test_history_can_be_done_without(ring: Scripted) -> None:
    ring.target(deterministic=True)
    searched(ring)
    second = learning(ring, use_history=False)
    assert warm_starts(ring, second) == []
    assert knowledge_of(ring.store, second.id).history == ()
    assert ring.service.report(second.id)["budget"]["use_history"] is False


def test_a_session_is_replayed_from_what_it_was_told_though_history_grew(ring: Scripted) -> None:
    ring.target(deterministic=True)
    searched(ring)
    second = learning(ring)
    before = decided(ring, second)
    third = searched(ring, seed=5)
    assert decided(ring, second) == before
    results = replay(ring.store, ring.store.sessions.get(second.id))
    assert len(results) == 6 and all(result.same for result in results)
    assert third.id in decided(ring, learning(ring, trials=1))


def test_a_session_that_runs_teaches_what_it_has_seen_so_far(ring: Scripted) -> None:
    ring.target(deterministic=True)
    ring.target("u", deterministic=True, instance="agent-2")
    first = ring.service.start(request(trials=30))
    while len(ring.store.trials.all(first.id)) < 16:
        ring.worker.step()
        ring.answer()
    second = ring.service.start(request(target="u", recommender="auto", trials=3))
    while len(ring.store.trials.all(second.id)) < 3:
        ring.worker.step()
        ring.answer(name="u", instance="agent-2")
    [source] = knowledge_of(ring.store, second.id).history
    assert source["session"] == first.id and source["used"] in (15, 16)
    before = told(ring.store, second)
    search(ring, first)
    assert told(ring.store, second) == before
    assert all(result.same for result in replay(ring.store, second))


OTHER_KIND = {"kind": "another"}
OTHER_OBJECTIVE = {
    "objectives": (Objective(name="delay", direction=Direction.MAXIMISE, deterministic=True),)
}


@pytest.mark.parametrize(
    "change", [OTHER_KIND, OTHER_OBJECTIVE, {"direction": Direction.MINIMISE}],
    ids=["kind", "objective", "direction"],
)  # fmt: skip
def test_what_is_unrelated_teaches_nothing(ring: Scripted, change: dict[str, Any]) -> None:
    ring.target(deterministic=True)
    searched(ring)
    ring.target("u", deterministic=True, instance="agent-2", **change)
    other = ring.service.start(request(target="u"))
    assert decide(ring.store, SessionView.load(ring.store, other))["sessions"] == []


def knob(name: str, kind: KnobType, default: Any, **given: Any) -> Knob:
    return Knob(name=name, type=kind, default=default, **given)


TURNED = KnobSpace(
    (
        knob("mode", KnobType.INTEGER, 3, low=0, high=9),
        knob("size", KnobType.CATEGORICAL, "10", levels=("10", "20", "100")),
    )
)
NOTHING_SHARED = KnobSpace((knob("wheels", KnobType.INTEGER, 3, low=1, high=90),))
FRACTIONS = KnobSpace(
    (
        knob("mode", KnobType.CATEGORICAL, "slow", levels=("slow", "fast")),
        knob("size", KnobType.REAL, 0.5, low=0.1, high=0.9),
    )
)


def many(configuration: dict[str, Any], number: int) -> float:
    return 10.0 + number


def fail(configuration: dict[str, Any], number: int) -> float:
    if number:
        raise RuntimeError("nothing works")
    return 1.0


@pytest.mark.parametrize(
    ("space", "measure", "trials"),
    [
        (TURNED, many, 14),
        (NOTHING_SHARED, many, 14),
        (FRACTIONS, many, 14),
        (SPACE, fail, 14),
        (SPACE, many, 1),
    ],
    ids=["other types", "other knobs", "other ranges", "all failed", "hardly any trial"],
)
def test_an_odd_past_session_harms_nobody(
    ring: Scripted, space: KnobSpace, measure: Callable[..., float], trials: int
) -> None:
    ring.target(deterministic=True, space=space)
    search(ring, ring.service.start(request(trials=trials)), measure)
    ring.service.cancel(ring.service.start(request()).id, actor="me")  # no trials at all
    ring.target(deterministic=True)
    assert len(ring.service.report(learning(ring).id)["trials"]) == 7


def test_a_past_session_that_cannot_be_read_is_left_out(
    ring: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring.target(deterministic=True)
    broken, sound = searched(ring), searched(ring, seed=5)
    load = SessionView.load

    def fragile(store: Any, session: Session, **options: Any) -> SessionView:
        if session.id == broken.id:
            raise KeyError("objectives")
        return load(store, session, **options)

    monkeypatch.setattr(SessionView, "load", fragile)
    session = ring.service.start(request())
    assert [
        one["session"] for one in decide(ring.store, load(ring.store, session))["sessions"]
    ] == [sound.id]


class Stumbling(RandomRecommender):
    """Cannot cope with what it is told of other sessions."""

    def suggest(self, problem: Problem, *args: Any, **kwargs: Any) -> Any:
        if problem.history:
            raise ZeroDivisionError("nothing in common")
        return super().suggest(problem, *args, **kwargs)


def test_a_recommender_that_stumbles_over_history_is_asked_without(
    ring: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring.target(deterministic=True)
    searched(ring)
    monkeypatch.setattr("tuner.suggesting.load_recommender", lambda name: Stumbling)
    session = learning(ring)
    events = ring.store.events.list(session_id=session.id, kind="history-set-aside")
    assert len(events) == 6 and "nothing in common" in events[0].message
    assert all(result.same for result in replay(ring.store, session))


def mixture(share: float) -> Callable[[], dict[str, float]]:
    """What a workload's windows read: eight rates that depend on its share of reads."""
    rng = random.Random(share)

    def read() -> dict[str, float]:
        load = rng.lognormvariate(0.0, 0.02)
        names = [f"m{number}" for number in range(8)]
        return {
            name: 1_000.0
            * load
            * (share if place % 2 else 1.0 - share) ** (1.0 + place / 4)
            * rng.lognormvariate(0.0, 0.03)
            for place, name in enumerate(names)
        }

    return read


def test_sessions_under_the_same_workload_come_first_and_those_under_another_last_or_not_at_all(
    ring: Scripted,
) -> None:
    shares = {"reading": 0.95, "writing": 0.1, "mixed": 0.5}
    ran: dict[str, Session] = {}
    for name, share in shares.items():
        ring.target(workload=Workload(name=name))
        ring.metrics = mixture(share)
        ran[name] = searched(ring)
    ring.target(workload=Workload(name="unheard of"))
    ring.metrics = mixture(shares["reading"])
    again = learning(ring, trials=2)
    mapping = knowledge_of(ring.store, again.id).mapping
    assert mapping is not None and mapping["name"] == "reading on t"
    sources = decided(ring, again)
    assert sources[0] == ran["reading"].id
    first = ring.store.artefacts.latest(HISTORY, session_id=again.id)
    assert first is not None and first.content["mapping"] == 1
    sure = mapping["confidence"] >= 0.95
    assert sources == [ran["reading"].id] if sure else len(sources) > 1


def test_each_past_session_is_read_for_a_session_and_not_for_every_suggestion(
    ring: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring.target(deterministic=True)
    past = [searched(ring, seed=seed).id for seed in range(3)]
    reads: Counter[int] = Counter()
    of_session = ring.store.windows.of_session

    def counted(session_id: int, **options: Any) -> Any:
        reads[session_id] += 1
        return of_session(session_id, **options)

    monkeypatch.setattr(ring.store.windows, "of_session", counted)
    session = ring.service.start(request(recommender="auto", trials=9))
    search(ring, session)
    assert [reads[one] for one in past] == [2, 2, 2]  # once to decide, once to tell


def test_of_many_sessions_the_newest_are_told(
    ring: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuner.past.MOST_SESSIONS", 2)
    ring.target(deterministic=True)
    newest = [searched(ring, seed=seed).id for seed in range(3)][:0:-1]
    assert decided(ring, learning(ring, trials=1)) == newest


def test_another_worker_goes_on_with_what_the_first_one_decided(ring: Scripted) -> None:
    ring.target(deterministic=True)
    searched(ring)
    session = ring.service.start(request(recommender="auto", trials=4))
    while len(ring.store.trials.all(session.id)) < 3:
        ring.worker.step()
        ring.answer()
    before = decided(ring, session)
    ring.worker = Worker(ring.store, clock=ring.clock)
    assert all(result.same for result in replay(ring.store, search(ring, session)))
    assert decided(ring, session) == before != []


def test_of_a_long_session_the_best_are_told_and_some_of_all_the_rest(ring: Scripted) -> None:
    ring.target()
    view = SessionView.load(ring.store, ring.service.start(request()))
    observations = [
        Observation(configuration=SPACE.default(), values={"speed": (float(n % 97),)}, number=n)
        for n in range(3 * MOST_OBSERVATIONS)
    ]
    kept = selected(view, observations)
    assert len(kept) == MOST_OBSERVATIONS
    numbers = [one.number for one in kept]
    assert numbers == sorted(set(numbers))
    best = sorted((one.values["speed"][0] for one in observations), reverse=True)
    assert sorted((o.values["speed"][0] for o in kept), reverse=True)[:50] == best[:50]
    for start in range(0, 3 * MOST_OBSERVATIONS, 60):
        assert any(start <= number < start + 60 for number in numbers)
    assert selected(view, observations[:9]) == observations[:9]


def test_numbers_in_other_units_are_not_taken_for_the_same() -> None:
    ours = KnobSpace((knob("cache", KnobType.INTEGER, 1, low=0, high=9, unit="MB"),))
    theirs = KnobSpace((knob("cache", KnobType.INTEGER, 1, low=0, high=9, unit="pages"),))
    assert comparable(ours, ours)
    assert not comparable(ours, theirs)
    assert not comparable(ours, ours, pins={"cache"})
    assert not comparable(SPACE, NOTHING_SHARED)


def test_the_workload_is_mapped_before_it_is_decided_whom_to_learn_from(ring: Scripted) -> None:
    ring.target()
    session = ring.service.start(request())
    for _ in range(20):
        ring.worker.step()
        if ring.store.artefacts.latest(HISTORY, session_id=session.id):
            break
        assert len(ring.store.trials.all(session.id)) <= 1
        ring.answer()
    assert ring.store.artefacts.latest(MAPPING, session_id=session.id)


# -- what workloads look like --------------------------------------------------------------------


def under(ring: Scripted, share: float, **changes: Any) -> Session:
    """A session that taught under a workload of that share of reads, studied to the end."""
    ring.target(workload=Workload(name=f"{share} reads"))
    ring.metrics = mixture(share)
    session = searched(ring, **changes)
    while ring.worker.step():
        pass
    return session


def baseline_medians(ring: Scripted, session: Session) -> dict[str, float]:
    """Of each metric over the windows of the session's first trial, as they were stored."""
    [first] = [one for one in ring.store.trials.all(session.id) if one.number == 0]
    read = [one.metrics.as_dict() for one in ring.store.windows.of_trial(first.id)]
    return {name: median_low(one[name] for one in read) for name in read[0]}


def test_recommenders_are_told_what_workloads_look_like_the_same_at_every_suggestion(
    ring: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    past = {session.id: session for session in (under(ring, 0.95), under(ring, 0.1))}
    kept = knowledge_of(ring.store, min(past)).pruning
    assert kept is not None and 1 < len(kept["representatives"]) < 8
    asked: list[Problem] = []

    class Listening(RandomRecommender):
        def suggest(self, problem: Problem, *args: Any, **kwargs: Any) -> Any:
            asked.append(problem)
            return super().suggest(problem, *args, **kwargs)

    monkeypatch.setattr("tuner.suggesting.load_recommender", lambda name: Listening)
    ring.target(workload=Workload(name="mixed"))
    ring.metrics = mixture(0.5)
    session = learning(ring)

    def looks(session: Session) -> dict[str, float]:
        known = baseline_medians(ring, session)
        return {name: known[name] for name in sorted(kept["representatives"])}

    assert asked[0].context == looks(session)
    assert {task.name: task.context for task in asked[0].history} == {
        f"session {number} of t": looks(one) for number, one in past.items()
    }
    live = [(problem.context, problem.history) for problem in asked]
    assert len(live) == 5 and all(one == live[0] for one in live), "the sixth is a finalist again"
    ring.store.artefacts.put(pruning_of("scripted"), {"format": 1, "representatives": ["m1"]})
    asked.clear()
    assert all(result.same for result in replay(ring.store, session))
    assert (asked[0].context, asked[0].history) == live[0]


def test_a_session_without_history_is_told_its_own_workload(ring: Scripted) -> None:
    ring.target()
    ring.metrics = mixture(0.5)
    session = learning(ring, use_history=False, trials=2)
    assert told(ring.store, session).context == baseline_medians(ring, session)
    assert told(ring.store, session).tasks == ()


def test_the_contextual_bandit_goes_by_the_session_whose_workload_is_most_alike(
    ring: Scripted,
) -> None:
    reading, writing = under(ring, 0.9), under(ring, 0.1)
    for share, alike in ((0.95, reading), (0.05, writing)):
        ring.target(workload=Workload(name="a new one"))
        ring.metrics = mixture(share)
        session = searched(ring, recommender="contextual-bandit", trials=4)
        reasons = [trial["reason"] for trial in ring.service.report(session.id)["trials"][1:]]
        assert f"a workload that is most like that of session {alike.id} of t" in reasons[0]
        assert all(result.same for result in replay(ring.store, session))


def test_what_was_told_in_another_format_is_decided_again(ring: Scripted) -> None:
    ring.target(deterministic=True)
    ring.metrics = mixture(0.5)
    searched(ring)
    session = ring.service.start(request(recommender="auto", trials=4))
    while len(ring.store.trials.all(session.id)) < 3:
        ring.worker.step()
        ring.answer()
    before = told(ring.store, session)
    ring.store.artefacts.put(HISTORY, {"format": 99}, session_id=session.id)
    assert told(ring.store, session) == Told()
    assert knowledge_of(ring.store, session.id).history == ()
    ring.worker = Worker(ring.store, clock=ring.clock)
    search(ring, session)
    assert told(ring.store, session) == before != Told()
