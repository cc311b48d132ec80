"""One assignment carried out: from what the server asks to a result, whatever happens."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import math
import threading
from collections.abc import Callable, Iterator

from targets.accounting import unaccounted
from targets.adapter import Measurement, Purpose
from targets.agent.control import Control
from targets.agent.errors import Abandoned, StoodDown
from targets.agent.holding import Holding
from targets.agent.host import Host
from targets.agent.journal import Kind
from targets.agent.policy import Policy
from targets.agent.watch import Watch
from targets.clock import Clock
from targets.errors import (
    FailureKind,
    HarnessFailed,
    LontraError,
    StaleEpoch,
    TimedOut,
    TrialFailure,
    WorkloadFailed,
)
from targets.knobs import Configuration
from targets.protocol import CANDIDATE_ARM, Line, TrialResult, WindowReport

HANG_SECONDS = 10.0
"""How far past its limit a phase may run before the watchdog takes it to hang: an adapter needs a
moment to see that it was cancelled."""

logger = logging.getLogger(__name__)


class Work:
    """One assignment. `run` answers its result; `stood_down` says when somebody else's change
    ended it.

    Args:
        tell: tells the server that the trial is `applying` or `measuring`; may interrupt the
            holding.
    """

    def __init__(
        self,
        holding: Holding,
        *,
        control: Control,
        watch: Watch,
        policy: Policy,
        host: Host,
        clock: Clock,
        instance: str,
        tell: Callable[[Holding, str], None],
    ) -> None:
        self._holding = holding
        self._assignment = holding.assignment
        self._control = control
        self._watch = watch
        self._policy = policy
        self._host = host
        self._clock = clock
        self._instance = instance
        self._tell = tell
        self._told: set[str] = set()
        self._windows: list[WindowReport] = []
        self._lines: list[Line] = []
        self._in_force: Configuration | None = None
        self._restarted = False
        self._measured_at = ""
        self.stood_down: StoodDown | None = None

    def run(self) -> TrialResult | None:
        """Carry it out. None: the trial is not this agent's to finish, so there is no result."""
        started = self._clock.monotonic()
        failure: TrialFailure | None = None
        about = {"trial": self._assignment.trial, "epoch": self._assignment.epoch}
        try:
            self._watch.record(Kind.TAKEN, {**about, "session": self._assignment.session})
            self._carry_out()
        except (Abandoned, StaleEpoch) as error:
            logger.warning("abandoned trial=%d reason=%s", self._assignment.trial, error)
            return None
        except StoodDown as error:
            self.stood_down = failure = error
        except TrialFailure as error:
            failure = error
        except LontraError as error:
            failure = HarnessFailed(str(error))
        # The adapter's code may raise anything; it must fail its trial and not the agent.
        except Exception as error:
            logger.exception("unexpected error trial=%d", self._assignment.trial)
            failure = HarnessFailed(f"unexpected {type(error).__name__}: {error}")
        return self._result(failure, seconds=self._clock.monotonic() - started)

    def _carry_out(self) -> None:
        tasks: dict[str, Callable[[], None]] = {
            "trial": lambda: self._measure_sequence(Purpose.SEARCH),
            "confirm": lambda: self._measure_sequence(Purpose.CONFIRM),
            "references": self._references,
            "promote": self._promote,
        }
        task = tasks.get(self._assignment.task)
        if task is None:
            raise HarnessFailed(f"this agent knows no task {self._assignment.task!r}: upgrade it")
        task()

    def _measure_sequence(self, purpose: Purpose) -> None:
        configurations = {arm.name: arm.configuration for arm in self._assignment.arms}
        self._check_fidelity()
        missing = set(self._assignment.sequence) - set(configurations)
        if missing:
            raise HarnessFailed(f"the assignment has no arm {', '.join(sorted(missing))}")
        # All arms before any: a refusal must come before the first change.
        for configuration in configurations.values():
            self._check_policy(configuration)
        for position, arm in enumerate(self._assignment.sequence):
            self._apply(arm, configurations[arm])
            self._measure(arm, position, purpose)

    def _check_fidelity(self) -> None:
        asked, least = self._assignment.fidelity, self._control.description.least_fidelity
        if not least <= asked <= 1.0:
            raise HarnessFailed(
                f"the assignment asks for windows of fidelity={asked:g}, and this target measures "
                f"shares of a full window from {least:g} to 1: start a new session"
            )

    def _check_policy(self, configuration: Configuration) -> None:
        self._policy.check(self._control.space, configuration, self._control.safe.configuration)

    def _apply(self, arm: str, configuration: Configuration) -> None:
        self._holding.check_may_apply()
        self._report("applying")
        applied = self._control.apply(
            configuration,
            trial=self._assignment.trial,
            epoch=self._assignment.epoch,
            limit_seconds=self._limit_seconds(),
        )
        self._restarted = self._restarted or applied.restarted
        if arm == CANDIDATE_ARM or self._in_force is None:
            self._in_force = applied.in_force

    def _measure(self, arm: str, position: int, purpose: Purpose) -> None:
        self._report("measuring")
        self._measured_at = self._clock.now().isoformat()
        before = self._host.look()
        measure = self._control.adapter.measure
        if self._assignment.fidelity < 1.0:
            measure = functools.partial(measure, fidelity=self._assignment.fidelity)
        with self._limited("measure"):
            measurement = measure(
                purpose, seed=self._assignment.window_seed(position), cancel=self._holding.cancel
            )
        contamination = self._host.contamination(before)
        self._control.check_untouched()
        window = WindowReport(
            arm=arm,
            block=self._assignment.block,
            position=position,
            purpose=purpose,
            started_at=self._measured_at,
            seconds=measurement.seconds,
            objectives=self._objectives(measurement),
            metrics=dict(measurement.metrics),
            contamination=contamination,
            details=dict(measurement.details),
        )
        self._windows.append(window)
        about = {"trial": self._assignment.trial, "epoch": self._assignment.epoch}
        self._watch.record(
            Kind.MEASURED, {**about, "position": position, "objectives": window.objectives}
        )

    def _objectives(self, measurement: Measurement) -> dict[str, float]:
        """Every declared objective, finite and borne out by the target's counters: anything else
        could not be compared."""
        objectives = self._control.description.objectives
        values = {name: float(value) for name, value in measurement.objectives.items()}
        for objective in objectives:
            if objective.name not in values:
                raise HarnessFailed(f"the window has no value of objective {objective.name}")
        wrong = {name: value for name, value in values.items() if not math.isfinite(value)}
        if wrong:
            raise WorkloadFailed(f"an objective is not finite: {wrong}")
        if fault := unaccounted(objectives, values, measurement.metrics):
            raise HarnessFailed(fault)
        return values

    def _references(self) -> None:
        self._holding.check_may_apply()
        self._control.go_home("reference lines are measured beside the safe configuration")
        self._report("measuring")
        self._measured_at = self._clock.now().isoformat()
        with self._limited("references"):
            lines = self._control.adapter.reference_lines(Purpose.CONFIRM)
        self._lines = [Line(name=line.name, value=line.value, note=line.note) for line in lines]

    def _promote(self) -> None:
        candidates = [arm for arm in self._assignment.arms if arm.name == CANDIDATE_ARM]
        if len(candidates) != 1:
            raise HarnessFailed(f"a promotion names one {CANDIDATE_ARM}, not {len(candidates)}")
        configuration = candidates[0].configuration
        self._check_policy(configuration)
        self._holding.check_may_apply()
        self._report("applying")
        applied = self._control.promote(
            configuration,
            trial=self._assignment.trial,
            epoch=self._assignment.epoch,
            limit_seconds=self._limit_seconds(),
        )
        self._in_force, self._restarted = applied.in_force, applied.restarted

    @contextlib.contextmanager
    def _limited(self, phase: str) -> Iterator[None]:
        """A phase that is cancelled when the assignment's time is up or it is interrupted, and
        known to the watchdog in case it does not see that it was."""
        holding = self._holding
        holding.check()
        self._watch.phase(phase, self._limit_seconds())
        timeout = TimedOut(f"{phase} outlived {self._assignment.timeout_seconds:g} s")
        timer = threading.Timer(holding.remaining_seconds, holding.interrupt, args=(timeout,))
        timer.daemon = True
        timer.start()
        try:
            yield
        except Exception:
            # Why it was interrupted says more than how the adapter ended because of that.
            holding.check()
            raise
        finally:
            timer.cancel()
            self._watch.phase("idle", None)
        holding.check()

    def _limit_seconds(self) -> float:
        remaining = self._holding.remaining_seconds
        if remaining <= 0:
            raise TimedOut(f"the trial outlived {self._assignment.timeout_seconds:g} s")
        return remaining + HANG_SECONDS

    def _report(self, state: str) -> None:
        if state not in self._told:
            self._told.add(state)
            self._tell(self._holding, state)
            self._holding.check()

    def _result(self, failure: TrialFailure | None, *, seconds: float) -> TrialResult:
        result = TrialResult(
            instance=self._instance,
            epoch=self._assignment.epoch,
            state="failed" if failure else "completed",
            in_force=None if self._in_force is None else dict(self._in_force),
            windows=tuple(self._windows),
            lines=tuple(self._lines),
            failure=failure.kind.value if failure else None,
            message=str(failure) if failure else "",
            seconds=seconds,
            restarted=self._restarted,
            measured_at=self._measured_at or self._clock.now().isoformat(),
        )
        try:
            json.dumps(result.to_json())
        except (TypeError, ValueError) as error:
            return TrialResult(
                instance=self._instance,
                epoch=self._assignment.epoch,
                state="failed",
                failure=FailureKind.HARNESS_FAILED.value,
                message=f"the adapter measured something that is no JSON: {error}",
                seconds=seconds,
                restarted=self._restarted,
                measured_at=result.measured_at,
            )
        return result
