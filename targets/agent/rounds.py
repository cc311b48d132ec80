"""What a started agent does, round after round: look after the knobs, ask for work, do it."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Mapping
from typing import Any

from targets.agent.activity import Activity, ActivityKind
from targets.agent.backoff import Backoff
from targets.agent.client import NoWork
from targets.agent.config import AgentConfig
from targets.agent.control import Control, stood_down
from targets.agent.errors import (
    Abandoned,
    Changes,
    RestoreFailed,
    StoodDown,
    UnknownToServer,
    Unreachable,
)
from targets.agent.holding import Holding
from targets.agent.host import Host
from targets.agent.journal import Kind
from targets.agent.liaison import Liaison
from targets.agent.watch import Watch
from targets.agent.work import Work
from targets.clock import Clock
from targets.errors import (
    AgentRefused,
    FailureKind,
    LontraError,
    ProtocolError,
    StaleEpoch,
    TrialFailure,
)
from targets.protocol import Assignment, TrialResult
from targets.space import KnobSpace

ABANDONED_PAUSE_SECONDS = 1.0
LEAST_PATIENCE_SECONDS = 1.0

logger = logging.getLogger(__name__)


class Rounds:
    """The rounds of one agent. The main thread calls all but `heartbeat`, `compare` and
    `interrupt`, which are for the threads beside it.

    Args:
        space: the target's knobs as its owner permits them.
    """

    def __init__(
        self,
        config: AgentConfig,
        *,
        instance: str,
        space: KnobSpace,
        control: Control,
        watch: Watch,
        liaison: Liaison,
        host: Host,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._config = config
        self._instance = instance
        self._space = space
        self._control = control
        self._watch = watch
        self._liaison = liaison
        self._host = host
        self._clock = clock
        self._backoff = Backoff(rng)
        self._holding: Holding | None = None
        self._session: int | None = None
        self._sessions_stood_down: set[int] = set()
        self._worked_at = clock.monotonic()
        self._watchdogs_lost = watch.replaced
        self._restore_failed = False
        self._target_answers = True
        liaison.patience = self._patience

    def step(self) -> Activity:
        """One round; raises AgentRefused (`Agent.step`)."""
        self._look_after_knobs()
        if self._restore_failed:
            self._deliver()
            return Activity(
                kind=ActivityKind.UNSAFE,
                reason="the safe configuration could not be put back",
                wait_seconds=self._backoff.failed(),
            )
        try:
            self.register()
            self.heartbeat(within_seconds=self._patience())
            if self._liaison.refused is not None:
                raise self._liaison.refused
            asked_at = self._clock.monotonic()
            answer = self._liaison.ask_for_work()
        except AgentRefused as error:
            self.go_home(f"the server refuses this agent: {error}")
            raise
        except (Unreachable, UnknownToServer, ProtocolError, StaleEpoch) as error:
            asked = error.retry_after_seconds if isinstance(error, Unreachable) else None
            pause = self._backoff.failed(retry_after_seconds=asked)
            logger.warning("server away pause_seconds=%.1f error=%s", pause, error)
            self._go_home_after_grace()
            return Activity(kind=ActivityKind.AWAY, reason=str(error), wait_seconds=pause)
        self._backoff.succeeded()
        if isinstance(answer, NoWork):
            wait = answer.retry_after_seconds
            self._go_home_after_grace()
            return Activity(
                kind=ActivityKind.IDLE,
                reason="the server has nothing to do",
                wait_seconds=self._config.interval_seconds if wait is None else wait,
            )
        finished = self._carry_out(answer, asked_at)
        return Activity(
            kind=ActivityKind.WORKED,
            trial=answer.trial,
            # A server that gives a trial again which cannot be finished must not be hurried.
            wait_seconds=0.0 if finished else ABANDONED_PAUSE_SECONDS,
        )

    def tend(self) -> None:
        """Between rounds: let go when somebody else changed a knob, and put the safe
        configuration back when there was no work for the time of grace."""
        self._look_after_knobs()
        self._go_home_after_grace()

    def resume(self, left: Mapping[str, Any]) -> None:
        """Take up where the agent before left off; `left` is what the watchdog found.

        What differs from its safe configuration was changed while no agent lived: what is in
        force now is the safe configuration, and the session is left alone.
        """
        self._session = left["session"]
        opened, safe = left["opened"] or {}, left["safe"]
        same_target = (opened.get("adapter"), opened.get("settings")) == (
            self._config.adapter,
            dict(self._config.settings),
        )
        if left["closed"] or safe is None or not same_target:
            return
        now = self._control.safe.configuration
        changes: Changes = {
            name: (safe.get(name), now[name]) for name in now if now[name] != safe.get(name)
        }
        if changes:
            self._stand_down(changes, "no agent lived then; nothing was put back over it")

    def register(self) -> None:
        """Present the agent, unless that is done; raises as `ServerClient.register` does."""
        self._liaison.register(
            description={**self._control.description.to_dict(), "space": self._space.to_dict()},
            safe=self._control.safe.configuration,
            in_force=self._control.in_force or {},
        )

    def go_home(self, reason: str, *, trial: int | None = None) -> bool:
        """Put the safe configuration back, if it is not in force; answers whether it is now."""
        if self._control.at_home:
            return True
        try:
            self._control.go_home(reason, trial=trial)
        except StoodDown as error:
            return self._let_go(error, trial=trial)
        except RestoreFailed as error:
            logger.error("not restored error=%s", error)
            if not self._restore_failed:
                self._event("restore-failed", str(error), trial=trial)
            self._restore_failed = True
            return False
        else:
            self._event("restored", f"the safe configuration was put back: {reason}", trial=trial)
        self._restore_failed = False
        return True

    def interrupt(self, failure: TrialFailure | Abandoned) -> None:
        """End what is being carried out."""
        holding = self._holding
        if holding is not None:
            holding.interrupt(failure)

    def heartbeat(self, *, within_seconds: float = math.inf) -> None:
        """Show the server a sign of life, when it is time."""
        self._liaison.beat_if_due(
            self._holding,
            in_force=self._control.in_force,
            host_metrics=self._host.metrics,
            within_seconds=within_seconds,
        )

    def compare(self) -> None:
        """While a window is measured, look whether somebody else changed a knob."""
        holding = self._holding
        if holding is not None and (changes := self._control.peek()):
            holding.interrupt(stood_down(changes))

    def _look_after_knobs(self) -> None:
        self._tell_lost_watchdogs()
        if self._restore_failed:
            self.go_home("an earlier failure")
        elif changes := self._changes():
            self._let_go(stood_down(changes), trial=None)

    def _patience(self) -> float:
        """How long the main thread may wait for an answer, in seconds.

        What was tried stays in force meanwhile, so no longer than the time of grace lasts: a
        server that hangs must not keep the safe configuration away.
        """
        if self._control.at_home:
            return math.inf
        idle_seconds = self._clock.monotonic() - self._worked_at
        return max(LEAST_PATIENCE_SECONDS, self._config.idle_grace_seconds - idle_seconds)

    def _go_home_after_grace(self) -> None:
        idle_seconds = self._clock.monotonic() - self._worked_at
        if idle_seconds >= self._config.idle_grace_seconds and not self._restore_failed:
            self.go_home("no work for the time of grace")

    def _carry_out(self, assignment: Assignment, asked_at: float) -> bool:
        """Do what is assigned; answers whether it came to a result."""
        logger.info(
            "work trial=%d epoch=%d task=%s windows=%d",
            assignment.trial, assignment.epoch, assignment.task, len(assignment.sequence),
        )  # fmt: skip
        self._session = assignment.session
        if assignment.session in self._sessions_stood_down:
            result: TrialResult | None = self._refusal_after_standing_down(assignment)
        else:
            result = self._work(assignment, asked_at)
        if result is not None:
            self._liaison.result(assignment.trial, result)
        self._journal_finished(assignment, "abandoned" if result is None else result.state)
        if result is None or result.failure is not None:
            self.go_home(
                "an abandoned trial" if result is None else f"a failed trial ({result.failure})",
                trial=assignment.trial,
            )
        elif assignment.task == "promote":
            self._event(
                "promoted",
                "the promoted configuration is now the safe one",
                trial=assignment.trial,
                details={"safe": dict(self._control.safe.configuration)},
            )
        self._worked_at = self._clock.monotonic()
        self._deliver()
        return result is not None

    def _deliver(self) -> None:
        """Send what is in the spool, if the server takes it now."""
        try:
            self._liaison.deliver()
        except LontraError as error:
            logger.warning("messages wait in the spool error=%s", error)

    def _work(self, assignment: Assignment, asked_at: float) -> TrialResult | None:
        holding = Holding(assignment, asked_at=asked_at, clock=self._clock)
        work = Work(
            holding,
            control=self._control,
            watch=self._watch,
            policy=self._config.policy,
            host=self._host,
            clock=self._clock,
            instance=self._instance,
            tell=self._liaison.tell_state,
        )
        self._holding = holding
        try:
            result = work.run()
        finally:
            self._holding = None
        self._tell_lost_watchdogs()
        if work.stood_down is not None:
            self._let_go(work.stood_down, trial=assignment.trial)
        return result

    def _refusal_after_standing_down(self, assignment: Assignment) -> TrialResult:
        return TrialResult(
            instance=self._instance,
            epoch=assignment.epoch,
            state="failed",
            failure=FailureKind.CANCELLED.value,
            message="stood down: a knob was changed outside Lontra in this session",
            measured_at=self._clock.now().isoformat(),
        )

    def _let_go(self, error: StoodDown, *, trial: int | None) -> bool:
        """Somebody else changed a knob: keep their values, and take no more of this session.
        Answers whether that could be done."""
        try:
            changes = self._changes() or error.changes
            told = self._control.adopt(changes)
        # Reading the target may raise anything; the next round sees the change again.
        except Exception:
            logger.exception("could not let go yet")
            return False
        self._restore_failed = False
        self._stand_down(changes, told, trial=trial)
        # The server knows another safe configuration than the one there is now.
        self._liaison.forget_registration()
        return True

    def _stand_down(self, changes: Changes, told: str, *, trial: int | None = None) -> None:
        """Tell what was changed outside, and take no more work of the session."""
        self._event(
            "knob-changed-outside",
            f"{stood_down(changes)}; {told}",
            trial=trial,
            details={
                "changes": {name: list(values) for name, values in changes.items()},
                "in_force": dict(self._control.safe.configuration),
            },
        )
        if self._session is not None:
            self._sessions_stood_down.add(self._session)
            self._session = None

    def _changes(self) -> Changes:
        """What somebody else changed; nothing while the target does not answer."""
        try:
            changes = self._control.changes()
        # The adapter's code may raise anything.
        except Exception as error:
            if self._target_answers:
                logger.warning("the target cannot be read error=%r", error)
            self._target_answers = False
            return {}
        self._target_answers = True
        return changes

    def _tell_lost_watchdogs(self) -> None:
        if self._watch.replaced > self._watchdogs_lost:
            self._watchdogs_lost = self._watch.replaced
            self._event("watchdog-restarted", "the watchdog was lost; another one guards")
            # For a while nobody guarded what was tried: go on from safe ground.
            self.go_home("the watchdog was lost")

    def _journal_finished(self, assignment: Assignment, state: str) -> None:
        fields = {"trial": assignment.trial, "epoch": assignment.epoch, "state": state}
        try:
            self._watch.record(Kind.FINISHED, fields)
        except LontraError as error:
            # It only means that a later death would be counted against this trial.
            logger.warning("not journalled kind=finished error=%s", error)

    def _event(
        self,
        kind: str,
        message: str,
        *,
        trial: int | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        self._liaison.event(kind, message, session=self._session, trial=trial, details=details)
