"""What was missed is learnt later: of sessions people ended, and what another version wrote."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from knowledge_base.records import Session
from tests.tuner.scripted import Scripted, request
from tuner.learning import (
    EXPLANATION,
    MAPPING,
    RANKING,
    SessionKnowledge,
    knowledge_of,
    known_history,
    pruning_of,
)
from tuner.worker import Worker

STAGES = ("ranking", "mapping", "pruning", "explanation")


def settled(ring: Scripted) -> None:
    """Let the worker do all that is to be done while nobody measures."""
    for _ in range(50):
        if not ring.worker.step():
            return
    raise AssertionError("the worker finds something to do for ever")


def under_way(ring: Scripted, trials: int) -> Session:
    """A session with so many search trials behind it, and one suggested."""
    session = ring.service.start(request(trials=30))
    while len(ring.store.trials.all(session.id)) <= trials + 1:
        ring.worker.step()
        if len(ring.store.trials.all(session.id)) <= trials + 1:
            ring.answer()
    return session


def found(known: SessionKnowledge) -> dict[str, Any]:
    return {stage: getattr(known, stage) for stage in STAGES}


def cancelled(ring: Scripted, session: Session) -> Session:
    return ring.service.cancel(session.id, actor="me")


def stood_down(ring: Scripted, session: Session) -> Session:
    return ring.service.stand_down(session.id, actor="agent", reason="somebody changed size")


@pytest.mark.parametrize("end", [cancelled, stood_down])
def test_what_a_session_taught_until_a_person_ended_it_is_worked_out_by_the_worker(
    ring: Scripted, end: Callable[[Scripted, Session], Session]
) -> None:
    ring.target(deterministic=True)
    session = under_way(ring, 12)
    before = ring.store.artefacts.last_id(session.id)
    end(ring, session)
    known = knowledge_of(ring.store, session.id)
    assert ring.store.artefacts.last_id(session.id) == before, "nothing is computed in a request"
    assert known.ranking is not None and known.ranking["inputs"]["observations"] == 10
    assert known.pruning is None
    settled(ring)
    known = knowledge_of(ring.store, session.id)
    assert all(found(known).values())
    assert known.ranking is not None and known.ranking["inputs"]["observations"] == 13
    assert known.explanation is not None and known.explanation["inputs"]["observations"] == 13
    last = ring.store.artefacts.last_id(session.id)
    ring.worker = Worker(ring.store, clock=ring.clock)
    settled(ring)
    assert ring.store.artefacts.last_id(session.id) == last, "nor is it worked out twice"


def test_a_session_that_measured_nothing_has_nothing_to_be_learnt(ring: Scripted) -> None:
    ring.target()
    session = ring.service.start(request())
    ring.worker.step()
    cancelled(ring, session)
    settled(ring)
    assert not any(found(knowledge_of(ring.store, session.id)).values())


def test_metrics_are_not_pruned_again_for_older_sessions(ring: Scripted) -> None:
    ring.target(deterministic=True)
    sessions = [cancelled(ring, under_way(ring, 2)) for _ in range(3)]
    settled(ring)
    kept = ring.store.artefacts.latest(pruning_of("scripted"))
    assert kept is not None and kept.version == 1
    assert kept.content["inputs"]["sessions"] == [one.id for one in reversed(sessions)]


def test_what_is_stored_in_another_format_counts_as_absent_and_is_computed_again(
    ring: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    ring.target(deterministic=True)
    session = ring.run(ring.service.start(request(trials=12)))
    before = found(knowledge_of(ring.store, session.id))
    artefacts = ring.store.artefacts
    for strange in ({"format": 99}, {}, {"format": "1"}):
        for stage in (RANKING, MAPPING, EXPLANATION):
            artefacts.put(stage, strange, session_id=session.id)
        artefacts.put(pruning_of("scripted"), strange)
        with caplog.at_level(logging.WARNING):
            assert not any(found(knowledge_of(ring.store, session.id)).values())
        assert f"kind=knob-ranking session={session.id} version=" in caplog.text
        assert f"format={strange.get('format')!r} understood=1" in caplog.text
        assert known_history(ring.store).items[0].top_knobs == ()
        assert ring.service.report(session.id)["knowledge"]["why"] == {}
        ring.worker = Worker(ring.store, clock=ring.clock)
        settled(ring)
        again = found(knowledge_of(ring.store, session.id))
        for stage, content in again.items():
            when = {"version", "computed_at"}
            assert {key: content[key] for key in content.keys() - when} == {
                key: before[stage][key] for key in before[stage].keys() - when
            }, stage
        caplog.clear()


def test_a_session_begins_though_nothing_that_is_stored_is_understood(ring: Scripted) -> None:
    ring.target(deterministic=True)
    ring.run(ring.service.start(request(trials=12)))
    ring.store.artefacts.put(pruning_of("scripted"), {"format": 99})
    session = ring.run(ring.service.start(request(recommender="auto", trials=3)))
    assert session.state == "finished", session.reason
    assert all(found(knowledge_of(ring.store, session.id)).values())
