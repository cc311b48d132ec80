"""Sessions with limits from start to end: what breaks one is never named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from knowledge_base.records import SessionPhase, SessionState
from targets.metrics import Direction, Metric, MetricKind
from tests.tuner.scripted import SPACE, Scripted, request
from tuner.errors import InvalidSession
from tuner.replay import replay

HEAT = (Metric(name="heat", kind=MetricKind.GAUGE, unit="C"),)
BASELINE_HEAT = 30.0


def hot(ring: Scripted) -> Callable[[dict[str, Any], int], dict[str, float]]:
    """Speed as ever; heat rises with the size: 30 C at the baseline's 10, 120 C at 100."""

    def measure(configuration: dict[str, Any], number: int) -> dict[str, float]:
        return {
            "speed": ring.measure(configuration, number),
            "heat": 20.0 + float(configuration["size"]),
        }

    return measure


def ran(ring: Scripted, measure: Any = None, **asked: Any) -> dict[str, Any]:
    """The report of a session that has ended."""
    ring.target(deterministic=True, metrics=HEAT)
    session = ring.run(ring.service.start(request(**asked)), measure or hot(ring))
    assert session.state is SessionState.FINISHED, session.reason
    return ring.service.report(session.id)


@pytest.mark.parametrize("recommender", ["random", "auto"])
def test_the_best_within_the_limit_is_named_and_confirmed(ring: Scripted, recommender: str) -> None:
    report = ran(ring, trials=18, recommender=recommender, limits=["heat<=60"])
    named = report["incumbent"]["configuration"]
    breaking = [trial for trial in report["trials"] if trial["breaks"]]
    assert breaking, "nothing was tried beyond the limit: the test proves nothing"
    best = max(t["value"] for t in report["trials"] if t["value"] is not None)
    assert best == max(t["value"] for t in breaking), "the limit forbids the best"
    within = [t for t in report["trials"] if t["value"] is not None and not t["breaks"]]
    assert named["size"] <= 40
    assert report["incumbent"]["value"] == max(t["value"] for t in within)
    assert report["confirmation"]["verdict"] == "better"
    assert report["recommended"] == named
    assert "Keeps heat<=60 C" in report["confirmation"]["words"]
    [limit] = report["limits"]
    assert (limit["bound"], limit["baseline"]["value"]) == (60.0, BASELINE_HEAT)
    assert limit["incumbent"]["value"] == 20.0 + named["size"] and limit["incumbent"]["kept"]
    assert all(t["measured"]["heat"] == 20.0 + t["configuration"]["size"] for t in within)
    session = ring.store.sessions.get(report["session"])
    assert all(result.same for result in replay(ring.store, session))


def test_a_bound_relative_to_the_baseline_is_fixed_once_that_is_measured(ring: Scripted) -> None:
    ring.target(deterministic=True, metrics=HEAT)
    session = ring.service.start(request(trials=16, limits=["heat<=1.5x"]))
    assert session.limits[0]["bound"] is None
    session = ring.run(session, hot(ring))
    assert session.limits[0]["bound"] == 1.5 * BASELINE_HEAT
    report = ring.service.report(session.id)
    assert report["incumbent"]["configuration"]["size"] <= 25
    assert "heat<=1.5x (45 C)" in report["confirmation"]["words"]


def test_a_candidate_that_breaks_the_limit_while_confirmed_is_replaced(ring: Scripted) -> None:
    struck: set[str] = set()

    def treacherous(configuration: dict[str, Any], number: int) -> dict[str, float]:
        """The first to be confirmed runs hot on fresh work."""
        measured = hot(ring)(configuration, number)
        if number > 12 and configuration != SPACE.default():
            struck.add(SPACE.key(configuration)) if not struck else None
            if SPACE.key(configuration) in struck:
                measured["heat"] = 61.0
        return measured

    report = ran(ring, treacherous, trials=12, limits=["heat<=60"], pins={"mode": "fast"})
    assert SPACE.key(report["incumbent"]["configuration"]) not in struck
    assert report["confirmation"]["verdict"] == "better"
    in_vain = [
        trial
        for trial in ring.store.trials.all(report["session"])
        if trial.task == "confirm" and SPACE.key(trial.configuration) in struck
    ]
    assert len(in_vain) == 2, "two blocks are enough to be sure"
    said = [e.message for e in ring.store.events.list(session_id=report["session"])]
    assert any("it breaks heat<=60 C" in m and "next best takes its place" in m for m in said)


def test_when_every_candidate_breaks_it_while_confirmed_none_is_named(ring: Scripted) -> None:
    def treacherous(configuration: dict[str, Any], number: int) -> dict[str, float]:
        measured = hot(ring)(configuration, number)
        if number > 16 and configuration != SPACE.default():
            measured["heat"] = 61.0
        return measured

    report = ran(ring, treacherous, trials=16, limits=["heat<=60"], pins={"mode": "fast"})
    assert report["incumbent"] is None and report["recommended"] == SPACE.default()
    assert report["confirmation"]["verdict"] == "no gain found"
    assert "each of 5 failed while being confirmed" in report["confirmation"]["words"]


def test_a_baseline_that_alone_keeps_the_limit_is_kept(ring: Scripted) -> None:
    def only_baseline(configuration: dict[str, Any], number: int) -> dict[str, float]:
        heat = 30.0 if configuration == SPACE.default() else 60.0 + configuration["size"]
        return {"speed": ring.measure(configuration, number), "heat": heat}

    report = ran(ring, only_baseline, trials=6, limits=["heat<=60"])
    assert report["incumbent"] is None and report["recommended"] == SPACE.default()
    nearest, words = report["least_breaking"], report["confirmation"]["words"]
    sizes = [t["configuration"]["size"] for t in report["trials"][1:] if t["measured"]]
    assert nearest["configuration"]["size"] == min(sizes)
    assert f"trial {nearest['number']} breaks them the least: heat<=60 C with" in words
    assert words.endswith("Keep the baseline.")


def test_the_limits_are_told_while_the_confirmation_goes_on(ring: Scripted) -> None:
    ring.target(deterministic=True, metrics=HEAT)
    session = ring.service.start(request(trials=6, limits=["heat<=90"]))
    while ring.store.sessions.get(session.id).phase is not SessionPhase.CONFIRM:
        ring.worker.step()
        ring.answer(hot(ring))
    for _ in range(6):
        ring.worker.step()
        ring.answer(hot(ring))
    report = ring.service.report(session.id)
    assert report["state"] == "running" and 0 < report["confirmation"]["pairs"] < 16
    [check] = report["confirmation"]["limits"]
    assert check["incumbent"]["kept"] and check["baseline"]["value"] == BASELINE_HEAT
    assert report["limits"][0]["incumbent"]["windows"] == report["confirmation"]["pairs"]


def test_where_the_baseline_breaks_it_too_the_least_breaking_is_told(ring: Scripted) -> None:
    report = ran(ring, trials=12, limits=["heat<=5"])
    words = report["confirmation"]["words"]
    assert "The baseline breaks its limits too (heat<=5 C with 30 C)" in words
    nearest = report["least_breaking"]
    coolest = min(t["measured"]["heat"] for t in report["trials"][1:] if t["measured"])
    assert nearest["measured"]["heat"] == coolest
    assert f"trial {nearest['number']} breaks them the least" in words


def test_a_baseline_that_breaks_the_limit_is_the_reason_to_tune(ring: Scripted) -> None:
    """The only ones that keep it are slower, and recommended all the same."""

    def measure(configuration: dict[str, Any], number: int) -> dict[str, float]:
        heat = 20.0 + float(configuration["size"])
        return {"speed": 10.0 + configuration["size"], "heat": heat}

    report = ran(ring, measure, trials=14, recommender="gp", limits=["heat<=28"], promote=True)
    assert "it breaks heat<=28 C with 30 C" in {
        event.message.partition("; ")[2]
        for event in ring.store.events.list(session_id=report["session"])
    }
    assert report["confirmation"]["verdict"] == "worse"
    assert report["confirmation"]["recommended"] is True
    assert report["recommended"]["size"] <= 8
    assert report["reason"].endswith("Promoted.")


def test_a_limit_that_is_met_by_luck_gives_way_to_one_that_is_met_surely(ring: Scripted) -> None:
    """Windows of heat scatter; by their mean alone, single lucky windows would be named."""
    ring.target(metrics=HEAT)

    def noisy(configuration: dict[str, Any], number: int) -> dict[str, float]:
        measured = hot(ring)(configuration, number)
        noisy.calls += 1  # type: ignore[attr-defined]
        swing = (noisy.calls * 7 % 11 - 5) / 5  # type: ignore[attr-defined]
        return measured | {"heat": measured["heat"] * (1 + 0.1 * swing)}

    noisy.calls = 0  # type: ignore[attr-defined]
    session = ring.run(ring.service.start(request(trials=30, limits=["heat<=60"])), noisy)
    report = ring.service.report(session.id)
    assert report["incumbent"]["configuration"]["size"] <= 40
    assert report["limits"][0]["incumbent"]["kept"]


def test_limits_are_refused_with_the_rule(ring: Scripted) -> None:
    ring.target(metrics=HEAT, direction=Direction.MAXIMISE)
    with pytest.raises(InvalidSession, match="it measures: speed, heat"):
        ring.service.start(request(limits=["cold<=3"]))
    session = ring.service.start(request(limits=["heat<=60"], recommender="random"))
    [started] = ring.store.events.list(session_id=session.id)
    assert "within heat<=60 C" in started.message
    assert "random does not look at limits" in started.message
