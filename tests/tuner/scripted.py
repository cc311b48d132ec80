"""The tuner's side of the ring over a real knowledge base, with a target that is a function.

The "agent" leases trials from the store and answers them at once, so that a whole session takes a
second and every turn of it can be written down in a test.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

from knowledge_base import Store
from knowledge_base.records import NewWindow, Session, Trial, TrialState
from targets.adapter import Description, Workload
from targets.clock import ManualClock
from targets.errors import FailureKind
from targets.knobs import Knob, KnobType
from targets.metrics import Direction, MetricVector, Objective
from targets.space import KnobSpace
from tuner.service import SessionRequest, SessionService
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
Measure = Callable[[dict[str, Any], int], float | dict[str, float]]
"""What a window of a configuration gives: the speed, or all that the session is judged by."""


def describe(
    *, deterministic: bool = False, direction: Direction, **changes: Any
) -> dict[str, Any]:
    """What the target's agent would tell of it."""
    told = Description(
        kind="scripted",
        version="1",
        hardware={"cpus": 4.0},
        space=SPACE,
        metrics=(),
        objectives=(
            Objective(name="speed", direction=direction, unit="1/s", deterministic=deterministic),
        ),
        workload=Workload(name="w"),
        window_seconds=1.0,
    )
    return replace(told, **changes).to_dict()


def request(**changes: Any) -> SessionRequest:
    """A short session by random search."""
    return SessionRequest(
        **{"target": "t", "trials": 12, "recommender": "random", "seed": 3} | changes
    )


class Scripted:
    """Store, service, worker and a target that answers by a function.

    `take_up` is what the target makes of a configuration it is asked for. A measuring function
    fails the configuration by RuntimeError and the harness by OSError. `metrics` are what a window
    reads beside the objective, `host` what the machine did meanwhile.
    """

    def __init__(
        self, store: Store, clock: ManualClock, *, executor: Executor | None = None
    ) -> None:
        self.store, self.clock = store, clock
        self.service = SessionService(store, clock)
        self.worker = Worker(store, clock=clock, executor=executor)
        self.take_up: Callable[[dict[str, Any]], dict[str, Any]] = dict
        self.metrics: Callable[[], dict[str, float]] = lambda: {"cpu": 1.0}
        self.host: Callable[[], dict[str, float | None]] = dict

    def target(
        self,
        name: str = "t",
        *,
        deterministic: bool = False,
        direction: Direction = Direction.MAXIMISE,
        host: str = "elsewhere",
        instance: str = INSTANCE,
        **changes: Any,
    ) -> None:
        """Make a target known, and its agent; `changes` are to its description."""
        target = self.store.targets.describe(
            name, describe(deterministic=deterministic, direction=direction, **changes)
        )
        self.store.agents.register(
            target_id=target.id,
            instance=instance,
            incarnation="i",
            version="1",
            protocol=1,
            host=host,
            in_force=SPACE.default(),
            lease_seconds=1e6,
        )

    def measure(self, configuration: dict[str, Any], _: int) -> float:
        """Fast is twice slow, large is better, bad fails."""
        if configuration["mode"] == "bad":
            raise RuntimeError("the target fell over")
        return (2.0 if configuration["mode"] == "fast" else 1.0) * (50 + configuration["size"])

    def lease(self, name: str = "t", *, instance: str = INSTANCE) -> Trial | None:
        """Take one trial; None when there is none."""
        target = self.store.targets.by_name(name)
        return self.store.trials.lease_next(
            target.id, instance=instance, incarnation="i", lease_seconds=60
        )

    def answer(
        self, measure: Measure | None = None, *, name: str = "t", instance: str = INSTANCE
    ) -> Trial | None:
        """Take one trial and answer it; None when there is none."""
        trial = self.lease(name, instance=instance)
        if trial is None:
            return None
        return self.finish(trial, measure or self.measure, instance=instance)

    def finish(self, trial: Trial, measure: Measure, *, instance: str = INSTANCE) -> Trial:
        """Answer a trial that was taken."""
        session = self.store.sessions.get(trial.session_id)
        in_force = self.take_up(dict(trial.configuration))
        arms = {"candidate": in_force, "baseline": dict(session.baseline)}
        windows, failure, message = [], None, ""
        try:
            if trial.task == "references":
                measure(arms["baseline"], trial.number)
            for position, arm in enumerate(trial.sequence):
                self.clock.advance(1.0)
                given = measure(dict(arms[arm]), trial.number)
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
                        objectives=given if isinstance(given, dict) else {"speed": given},
                        metrics=MetricVector.of(self.metrics()),
                        contamination=self.host(),
                    )
                )
        except RuntimeError as error:
            failure, message = FailureKind.WORKLOAD_FAILED, str(error)
        except OSError as error:
            failure, message = FailureKind.HARNESS_FAILED, str(error)
        return self.store.trials.finish(
            trial.id,
            instance=instance,
            epoch=trial.epoch,
            state=TrialState.FAILED if failure else TrialState.COMPLETED,
            in_force=in_force,
            failure=failure,
            message=message,
            seconds=1.0,
            restarted=False,
            lines=({"name": "expert", "value": 500.0},) if trial.task == "references" else (),
            windows=windows,
        ).trial

    def run(
        self, session: Session, measure: Measure | None = None, rounds: int = 500, **whose: str
    ) -> Session:
        """Go round until the session has ended; `whose`: as in `answer`."""
        for _ in range(rounds):
            self.worker.step()
            session = self.store.sessions.get(session.id)
            if session.state.ended:
                return session
            self.answer(measure, **whose)
        raise AssertionError(f"the session did not end: {session.phase}, {session.reason}")
