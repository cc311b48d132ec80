"""A session from start to end through store, service and worker, with a scripted target."""

from __future__ import annotations

from typing import Any

import pytest

from knowledge_base.errors import Conflict
from knowledge_base.records import SessionState, TrialState
from targets.metrics import Direction
from tests.tuner.scripted import SPACE, Scripted, request
from tuner.errors import InvalidSession
from tuner.replay import replay
from tuner.suggesting import GAIN_NEEDS_TRIALS


def test_a_session_finds_confirms_and_reports_the_better_configuration(ring: Scripted) -> None:
    ring.target(deterministic=True)
    session = ring.run(ring.service.start(request()))
    report = ring.service.report(session.id)
    assert session.state is SessionState.FINISHED
    assert report["trials"][0]["configuration"] == SPACE.default()
    assert report["trials"][0]["kind"] == "baseline"
    assert [trial["number"] for trial in report["trials"]] == list(range(13))
    assert report["confirmation"]["verdict"] == "better"
    assert report["confirmation"]["pairs"] == 12
    assert report["incumbent"]["configuration"]["mode"] == "fast"
    assert report["recommended"] == report["incumbent"]["configuration"]
    best = max(t["value"] for t in report["trials"] if t["value"] is not None)
    assert report["incumbent"]["value"] == best
    assert report["confirmation"]["ratio"] == pytest.approx(best / 60)
    assert report["reference_lines"][0]["name"] == "expert"
    assert all(trial["reason"] for trial in report["trials"])


def test_failed_trials_are_reported_as_failures_and_never_win(ring: Scripted) -> None:
    ring.target(deterministic=True)
    session = ring.run(ring.service.start(request(trials=30)))
    trials = ring.service.report(session.id)["trials"]
    failed = [trial for trial in trials if trial["state"] == "failed"]
    assert failed and all(t["configuration"]["mode"] == "bad" for t in failed)
    assert all(
        t["failure"] == "workload-failed" and t["message"] and t["value"] is None for t in failed
    )
    assert len(trials) == 31  # a configuration's own failure is paid from the budget


def test_a_harness_fault_costs_no_budget(ring: Scripted) -> None:
    ring.target(deterministic=True)
    seen: list[int] = []

    def flaky(configuration: dict[str, Any], number: int) -> float:
        if number in (2, 5) and number not in seen:
            seen.append(number)
            raise OSError("the disk of the harness is full")
        return ring.measure(configuration, number)

    session = ring.run(ring.service.start(request(trials=10)), flaky)
    trials = ring.service.report(session.id)["trials"]
    assert [t["number"] for t in trials if t["failure"] == "harness-failed"] == [2, 5]
    assert sum(t["state"] == "completed" or t["failure"] == "workload-failed" for t in trials) == 11


def test_a_harness_that_always_fails_ends_the_session_with_the_reason(ring: Scripted) -> None:
    ring.target()

    def broken(configuration: dict[str, Any], number: int) -> float:
        raise OSError("no space left")

    session = ring.run(ring.service.start(request()), broken)
    assert session.state is SessionState.FAILED
    assert "no space left" in session.reason


def test_when_everything_tried_fails_the_baseline_is_kept(ring: Scripted) -> None:
    ring.target(deterministic=True)

    def only_baseline(configuration: dict[str, Any], number: int) -> float:
        if configuration != SPACE.default():
            raise RuntimeError("out of memory")
        return 1.0

    session = ring.run(ring.service.start(request()), only_baseline)
    report = ring.service.report(session.id)
    assert report["confirmation"]["verdict"] == "no gain found"
    assert report["recommended"] == SPACE.default()


def test_noisy_finalists_are_measured_again_before_one_is_named(ring: Scripted) -> None:
    ring.target()
    lucky: dict[str, float] = {}

    def noisy(configuration: dict[str, Any], number: int) -> float:
        key = SPACE.key(configuration)
        value = ring.measure({**configuration, "mode": "slow"}, number)
        if not lucky and configuration != SPACE.default():
            lucky[key] = value * 5  # one absurdly lucky window
            return lucky[key]
        return value * (1 + 0.01 * ((number * 7) % 5 - 2))

    session = ring.run(ring.service.start(request(trials=24)), noisy)
    report = ring.service.report(session.id)
    repeats = [t for t in report["trials"] if t["kind"] == "re-measure"]
    assert len(repeats) == 4
    assert all("measured again" in t["reason"] for t in repeats)
    first_lucky = next(iter(lucky))
    assert any(SPACE.key(t["configuration"]) == first_lucky for t in repeats)


def test_a_configuration_that_fails_while_confirmed_makes_room_for_the_next(ring: Scripted) -> None:
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
    assert session.state is SessionState.FINISHED
    assert SPACE.key(report["incumbent"]["configuration"]) not in struck
    assert report["confirmation"]["verdict"] == "better"


def test_replay_gives_the_same_suggestions(ring: Scripted) -> None:
    ring.target()
    for recommender in ("random", "auto"):
        session = ring.run(ring.service.start(request(recommender=recommender, trials=14)))
        results = replay(ring.store, session)
        assert len(results) == 14
        assert all(result.same for result in results)


def test_a_finite_space_ends_when_it_is_exhausted(ring: Scripted) -> None:
    ring.target(deterministic=True)
    session = ring.run(ring.service.start(request(trials=10, pins={"size": 10})))
    report = ring.service.report(session.id)
    tried = [t["configuration"]["mode"] for t in report["trials"][1:]]
    assert sorted(tried) == ["bad", "fast"]
    assert all(t["configuration"]["size"] == 10 for t in report["trials"])
    assert report["confirmation"]["verdict"] == "better"


def test_wall_time_ends_the_search_not_the_confirmation(ring: Scripted) -> None:
    ring.target(deterministic=True)
    session = ring.run(ring.service.start(request(trials=1000, wall_seconds=5.0)))
    report = ring.service.report(session.id)
    assert 3 <= len(report["trials"]) <= 7
    assert report["confirmation"]["pairs"] == 12


def test_pause_holds_trials_back_and_resume_goes_on(ring: Scripted) -> None:
    ring.target()
    session = ring.service.start(request())
    ring.worker.step()
    ring.service.pause(session.id, actor="me", reason="backup")
    ring.worker.step()
    assert ring.answer() is None
    ring.service.resume(session.id, actor="me")
    assert ring.run(ring.store.sessions.get(session.id)).state is SessionState.FINISHED


def test_cancel_ends_the_open_trial_too(ring: Scripted) -> None:
    ring.target()
    session = ring.service.start(request())
    ring.worker.step()
    ring.service.cancel(session.id, actor="me", reason="changed my mind")
    assert all(trial.state.ended for trial in ring.store.trials.all(session.id))
    kinds = [event.kind for event in ring.store.events.list(session_id=session.id)]
    assert "session-cancelled" in kinds
    with pytest.raises(InvalidSession, match="cancelled"):
        ring.service.resume(session.id, actor="me")


def test_one_session_a_target_at_a_time(ring: Scripted) -> None:
    ring.target()
    ring.service.start(request())
    with pytest.raises(Conflict):
        ring.service.start(request())


def test_promotion_is_asked_for_only_after_a_confirmed_gain(ring: Scripted) -> None:
    ring.target(deterministic=True)
    session = ring.run(ring.service.start(request(promote=True)))
    tasks = [trial.task for trial in ring.store.trials.all(session.id)]
    assert tasks[-1] == "promote"

    def flat(configuration: dict[str, Any], number: int) -> float:
        return 1.0

    session = ring.run(ring.service.start(request(promote=True)), flat)
    assert "promote" not in [trial.task for trial in ring.store.trials.all(session.id)]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"trials": 0}, "trials=0"),
        ({"confirm_pairs": 3}, "confirm_pairs=3"),
        ({"objective": "fun"}, "speed"),
        ({"recommender": "oracle"}, "oracle"),
        ({"pins": {"size": 1000}}, "size=1000"),
        ({"pins": {"nope": 1}}, "nope"),
        ({"seed": -1}, "seed=-1"),
        ({"margin": 0.0}, "margin"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_with_the_rule(
    ring: Scripted, changes: dict[str, Any], text: str
) -> None:
    ring.target()
    with pytest.raises(InvalidSession, match=text):
        ring.service.start(request(**changes))


def test_a_target_that_rounds_is_known_by_what_is_in_force(ring: Scripted) -> None:
    """Every candidate fails while confirmed, under another value than it was asked for."""
    ring.target(deterministic=True)
    ring.take_up = lambda asked: asked | {"size": asked["size"] // 10 * 10 + 3}

    def only_searched(configuration: dict[str, Any], number: int) -> float:
        if number > 12 and configuration != SPACE.default():
            raise RuntimeError("fails under fresh work")
        return ring.measure(configuration, number)

    session = ring.run(ring.service.start(request()), only_searched)
    report = ring.service.report(session.id)
    assert session.state is SessionState.FINISHED
    assert report["confirmation"]["verdict"] == "no gain found"
    assert report["recommended"] == SPACE.default()


def test_a_baseline_taken_up_differently_is_never_the_candidate(ring: Scripted) -> None:
    ring.target(deterministic=True)
    ring.take_up = lambda asked: asked | {"size": 7} if asked == SPACE.default() else asked

    def only_baseline(configuration: dict[str, Any], number: int) -> float:
        if configuration["size"] != 7:
            raise RuntimeError("out of memory")
        return 1.0

    session = ring.run(ring.service.start(request()), only_baseline)
    assert session.state is SessionState.FINISHED
    assert session.verdict["verdict"] == "no gain found"


def test_a_confirmation_that_cannot_be_measured_claims_nothing(ring: Scripted) -> None:
    ring.target(deterministic=True)

    def dies_after_six_blocks(configuration: dict[str, Any], number: int) -> float:
        if number > 17:
            raise OSError("the harness is gone")
        return ring.measure(configuration, number)

    session = ring.run(ring.service.start(request(promote=True)), dies_after_six_blocks)
    report = ring.service.report(session.id)
    assert report["confirmation"]["pairs"] == 10
    assert report["confirmation"]["verdict"] == "undecided"
    assert "the harness is gone" in session.reason
    assert report["recommended"] == SPACE.default()


def test_a_harness_that_dies_after_the_baseline_fails_the_session(ring: Scripted) -> None:
    ring.target()

    def dies(configuration: dict[str, Any], number: int) -> float:
        if number:
            raise OSError("no space left")
        return 1.0

    session = ring.run(ring.service.start(request()), dies)
    assert session.state is SessionState.FAILED
    assert "no space left" in session.reason


def test_reference_lines_survive_a_fault_of_the_harness(ring: Scripted) -> None:
    ring.target(deterministic=True)
    seen: list[int] = []

    def interrupted(configuration: dict[str, Any], number: int) -> float:
        if number == 19 and number not in seen:
            seen.append(number)
            raise OSError("killed")
        return ring.measure(configuration, number)

    session = ring.run(ring.service.start(request()), interrupted)
    tasks = [trial.task for trial in ring.store.trials.all(session.id)]
    assert tasks.count("references") == 2
    assert ring.service.report(session.id)["reference_lines"][0]["name"] == "expert"


@pytest.mark.parametrize("direction", list(Direction))
def test_less_can_be_better(ring: Scripted, direction: Direction) -> None:
    ring.target(deterministic=True, direction=direction)
    session = ring.run(ring.service.start(request(trials=40, pins={"mode": "slow"})))
    report = ring.service.report(session.id)
    size = report["incumbent"]["configuration"]["size"]
    assert report["confirmation"]["verdict"] == "better" and report["confirmation"]["ratio"] > 1
    assert size > 50 if direction is Direction.MAXIMISE else size < 10


def test_an_objective_of_zero_ends_undecided_and_says_why(ring: Scripted) -> None:
    ring.target(deterministic=True)

    def none_at_first(configuration: dict[str, Any], number: int) -> float:
        return 0.0 if configuration == SPACE.default() else ring.measure(configuration, number)

    session = ring.run(ring.service.start(request()), none_at_first)
    report = ring.service.report(session.id)
    assert (session.state, report["confirmation"]["verdict"]) == ("finished", "undecided")
    assert "zero or below" in report["confirmation"]["words"]
    assert report["confirmation"]["baseline_value"] == 0.0


def test_a_gain_floor_ends_the_search_early(ring: Scripted) -> None:
    ring.target(deterministic=True)

    def flat(configuration: dict[str, Any], number: int) -> float:
        return 100.0 + configuration["size"] * 1e-4

    session = ring.run(ring.service.start(request(trials=60, gain_floor=0.2)), flat)
    report = ring.service.report(session.id)
    assert GAIN_NEEDS_TRIALS < len(report["trials"]) < 60
    assert report["confirmation"]["verdict"] == "no gain found"


def test_a_search_time_beyond_any_calendar_is_only_long(ring: Scripted) -> None:
    ring.target(deterministic=True)
    session = ring.run(ring.service.start(request(wall_seconds=1e300)))
    assert session.state is SessionState.FINISHED


def test_no_time_at_all_says_that_nothing_was_tried(ring: Scripted) -> None:
    ring.target(deterministic=True)
    session = ring.run(ring.service.start(request(wall_seconds=0.5)))
    assert "none was tried" in session.reason


def test_a_failed_trial_has_no_value_however_far_it_came(ring: Scripted) -> None:
    ring.target()
    left = [2]

    def half(configuration: dict[str, Any], number: int) -> float:
        left[0] -= 1
        if left[0] == 0:
            raise OSError("killed")
        return 1.0

    session = ring.service.start(request())
    ring.worker.step()
    failed = ring.answer(half)
    assert failed is not None and failed.state is TrialState.FAILED
    [row] = ring.service.report(session.id)["trials"]
    assert row["value"] is None and row["values"] == [1.0]
