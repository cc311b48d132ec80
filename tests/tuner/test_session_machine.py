"""A session from start to end through store, service and worker, with a scripted target.

The "agent" here leases trials from the store and answers with a known function: what is tested is
the tuner's side of the ring, over the real knowledge base.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from knowledge_base import Store, upgrade
from knowledge_base.errors import Conflict
from knowledge_base.records import NewWindow, Session, SessionState, Trial, TrialState
from targets.adapter import Description, Workload
from targets.clock import ManualClock
from targets.errors import FailureKind
from targets.knobs import Knob, KnobType
from targets.metrics import Direction, MetricVector, Objective
from targets.space import KnobSpace
from tuner.errors import InvalidSession
from tuner.replay import replay
from tuner.service import SessionRequest, SessionService
from tuner.view import SessionView
from tuner.worker import Worker

SPACE = KnobSpace(
    (
        Knob(
            name="mode", type=KnobType.CATEGORICAL, default="slow", levels=("slow", "fast", "bad")
        ),
        Knob(name="size", type=KnobType.INTEGER, default=10, low=1, high=100),
    )
)
INSTANCE = "agent-1"
Measure = Callable[[dict[str, Any], int], float]


def describe(*, deterministic: bool = False) -> dict[str, Any]:
    return Description(
        kind="scripted",
        version="1",
        hardware={},
        space=SPACE,
        metrics=(),
        objectives=(
            Objective(
                name="speed",
                direction=Direction.MAXIMISE,
                unit="1/s",
                deterministic=deterministic,
            ),
        ),
        workload=Workload(name="w"),
        window_seconds=1.0,
    ).to_dict()


class Scripted:
    """Store, service, worker and a target that answers by a function."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        self.store, self.clock = store, clock
        self.service = SessionService(store, clock)
        self.worker = Worker(store, clock=clock)
        self.noise = 0

    def target(self, *, deterministic: bool = False) -> None:
        target = self.store.targets.describe("t", describe(deterministic=deterministic))
        self.store.agents.register(
            target_id=target.id,
            instance=INSTANCE,
            incarnation="i",
            version="1",
            protocol=1,
            host="elsewhere",
            in_force=SPACE.default(),
            lease_seconds=1e6,
        )

    def measure(self, configuration: dict[str, Any], _: int) -> float:
        if configuration["mode"] == "bad":
            raise RuntimeError("the target fell over")
        return (2.0 if configuration["mode"] == "fast" else 1.0) * (50 + configuration["size"])

    def answer(self, measure: Measure) -> Trial | None:
        """Take one trial and answer it; None when there is none."""
        target = self.store.targets.by_name("t")
        trial = self.store.trials.lease_next(
            target.id, instance=INSTANCE, incarnation="i", lease_seconds=60
        )
        if trial is None:
            return None
        session = self.store.sessions.get(trial.session_id)
        arms = {"candidate": trial.configuration, "baseline": session.baseline}
        windows, failure, message = [], None, ""
        for position, arm in enumerate(trial.sequence):
            self.clock.advance(1.0)
            try:
                value = measure(dict(arms[arm]), trial.number)
            except RuntimeError as error:
                failure, message = FailureKind.WORKLOAD_FAILED, str(error)
                break
            except OSError as error:
                failure, message = FailureKind.HARNESS_FAILED, str(error)
                break
            windows.append(
                NewWindow(
                    trial_id=trial.id,
                    epoch=trial.epoch,
                    arm=arm,
                    block=trial.block,
                    position=position,
                    purpose="search",
                    started_at=self.clock.now(),
                    seconds=1.0,
                    objectives={"speed": value},
                    metrics=MetricVector.of({"cpu": 1.0}),
                )
            )
        done = self.store.trials.finish(
            trial.id,
            instance=INSTANCE,
            epoch=trial.epoch,
            state=TrialState.FAILED if failure else TrialState.COMPLETED,
            in_force=trial.configuration,
            failure=failure,
            message=message,
            seconds=1.0,
            restarted=False,
            lines=({"name": "expert", "value": 500.0},) if trial.task == "references" else (),
            windows=windows,
        )
        return done.trial

    def run(self, session: Session, measure: Measure | None = None, rounds: int = 500) -> Session:
        for _ in range(rounds):
            self.worker.step()
            session = self.store.sessions.get(session.id)
            if session.state.ended:
                return session
            self.answer(measure or self.measure)
        raise AssertionError("the session did not end")


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[Scripted]:
    url = f"sqlite:///{tmp_path / 'kb.db'}"
    upgrade(url)
    clock = ManualClock()
    store = Store.open(url, clock=clock)
    yield Scripted(store, clock)
    store.close()


def request(**changes: Any) -> SessionRequest:
    return SessionRequest(
        **{"target": "t", "trials": 12, "recommender": "random", "seed": 3} | changes
    )


def test_a_session_finds_confirms_and_reports_the_better_configuration(ring: Scripted) -> None:
    ring.target(deterministic=True)
    session = ring.run(ring.service.start(request()))
    report = ring.service.report(session.id)
    assert session.state is SessionState.FINISHED
    assert report["trials"][0]["configuration"] == SPACE.default()
    assert report["trials"][0]["kind"] == "baseline"
    assert [trial["number"] for trial in report["trials"]] == list(range(13))
    assert report["confirmation"]["verdict"] == "better"
    assert report["confirmation"]["pairs"] == 16
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
        results = replay(SessionView.load(ring.store, session))
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
    assert report["confirmation"]["pairs"] == 16


def test_pause_holds_trials_back_and_resume_goes_on(ring: Scripted) -> None:
    ring.target()
    session = ring.service.start(request())
    ring.worker.step()
    ring.service.pause(session.id, actor="me", reason="backup")
    ring.worker.step()
    assert ring.answer(ring.measure) is None
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
