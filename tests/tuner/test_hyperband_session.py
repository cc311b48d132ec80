"""A whole session in windows of several lengths, through store, service and worker."""

from __future__ import annotations

import math
from typing import Any

import pytest

from knowledge_base.records import Session, SessionState
from tests.tuner.scripted import Scripted, request
from tuner.past import Past
from tuner.recommenders.base import SuggestionKind
from tuner.replay import replay
from tuner.view import SessionView

FLATTERY = 100.0
"""How many times better everything looks in a short window."""


def tuned(ring: Scripted, *, trials: int = 12, **changes: Any) -> Session:
    """A session by hyperband on a target whose short windows flatter."""
    ring.target(**changes)
    session = ring.service.start(request(recommender="hyperband", trials=trials))

    def flattering(configuration: dict[str, Any], number: int) -> float:
        [trial] = [one for one in ring.store.trials.all(session.id) if one.number == number]
        return ring.measure(configuration, number) * (FLATTERY if trial.fidelity < 1.0 else 1.0)

    return ring.run(session, flattering)


def test_short_windows_lead_and_full_ones_decide(ring: Scripted) -> None:
    session = tuned(ring, least_fidelity=0.05)
    assert session.state is SessionState.FINISHED
    report = ring.service.report(session.id)
    trials = report["trials"]
    short = [one for one in trials if one["fidelity"] < 1.0]
    assert {round(one["fidelity"], 3) for one in short} == {0.111, 0.333}
    assert any(one["kind"] == SuggestionKind.LENGTHEN for one in trials)
    # The budget counts full windows, so there are more trials than it says, for as much time.
    assert len(trials) - 1 > 12
    spent = math.fsum(one["fidelity"] for one in trials[1:])
    assert 12 <= spent < 13
    # A hundred times better in a short window is no gain, and no record.
    by_number = {one["number"]: one for one in trials}
    assert by_number[report["incumbent"]["trial"]]["fidelity"] == 1.0
    assert report["incumbent"]["value"] <= 2 * 150
    assert report["confirmation"]["ratio"] == pytest.approx(report["incumbent"]["value"] / 60)
    lanes = {one["lane"]: one["wins"] for one in report["knowledge"]["lanes"]}
    full = sum(one["fidelity"] == 1.0 for one in trials[1:])
    assert sum(lanes.values()) <= full
    blocks = [one for one in ring.store.trials.all(session.id) if one.task == "confirm"]
    assert blocks and all(one.fidelity == 1.0 for one in blocks)


def test_a_target_that_cannot_shorten_is_measured_in_full(ring: Scripted) -> None:
    session = tuned(ring)
    trials = ring.service.report(session.id)["trials"]
    assert {one["fidelity"] for one in trials} == {1.0}
    assert len(trials) == 13
    assert all(one["kind"] != SuggestionKind.LENGTHEN for one in trials)


def test_it_replays_and_teaches_other_sessions_by_full_windows_alone(ring: Scripted) -> None:
    session = tuned(ring, trials=24, least_fidelity=0.05)
    assert all(one.same for one in replay(ring.store, session))
    full = sum(
        one.fidelity == 1.0 or one.failure is not None
        for one in SessionView.load(ring.store, session).observations
    )
    later = ring.service.start(request(seed=4))
    view = SessionView.load(ring.store, later)
    [task] = Past(ring.store).of(view).tasks
    assert len(task.observations) == full
    assert all(one.fidelity == 1.0 or one.failure for one in task.observations)
