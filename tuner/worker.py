"""The worker: moves running sessions on. Web never fits a model; this does.

It may run in a process of its own (`lontra worker`), several at once, or stepped inline by
`lontra tune`. Two workers that plan the same session at the same moment are told apart by the
session's revision: one of them wins, the other plans again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from knowledge_base.errors import Conflict
from knowledge_base.records import (
    NewEvent,
    Session,
    SessionPhase,
    SessionState,
    TrialState,
)
from knowledge_base.store import Store
from targets.clock import Clock, SystemClock
from targets.errors import LontraError
from targets.machine import host_identity
from tuner.errors import SpaceExhausted
from tuner.plan import Add, End, Move, Step, Suggest, Wait, candidate, plan
from tuner.suggesting import Answer, answer, further_gain, job, trial_of
from tuner.view import SessionView

ACTOR = "worker"
T = TypeVar("T")
log = logging.getLogger(__name__)


class InlineExecutor(Executor):
    """Runs at once, in the caller's thread: the executor of a laptop session and of tests."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Worker:
    """Plans running sessions, computes suggestions, and writes both to the knowledge base.

    Args:
        store: the knowledge base.
        clock: where time comes from.
        executor: where suggestions are computed; anything of `concurrent.futures`' kind.
    """

    def __init__(
        self, store: Store, *, clock: Clock | None = None, executor: Executor | None = None
    ) -> None:
        self._store = store
        self._clock = clock or SystemClock()
        self._executor = executor or InlineExecutor()
        self._computing: dict[int, tuple[SessionView, Future[Answer]]] = {}
        self._host = host_identity()

    def step(self) -> bool:
        """One pass over the running sessions; answers whether anything moved."""
        self._store.trials.expire()
        moved = False
        running = self._store.sessions.running()
        busy = self._measuring_here(running)
        for session in running:
            try:
                moved |= self._advance(session, defer=busy)
            except Conflict:
                log.info("session=%d planned by another worker first", session.id)
                moved = True
        for gone in self._computing.keys() - {session.id for session in running}:
            del self._computing[gone]
        return moved

    def run(self, stopped: Callable[[], bool], *, poll_seconds: float = 0.5) -> None:
        """Step until `stopped()`; pause between passes that moved nothing."""
        while not stopped():
            if not self.step():
                self._clock.sleep(poll_seconds)

    def _measuring_here(self, sessions: list[Session]) -> bool:
        """Whether a window is being measured on this very machine: then nothing is computed."""
        for session in sessions:
            agent = self._store.agents.of_target(session.target_id)
            if agent is None or agent.host != self._host:
                continue
            if any(t.state is TrialState.MEASURING for t in self._store.trials.all(session.id)):
                return True
        return False

    def _advance(self, session: Session, *, defer: bool) -> bool:
        if session.id in self._computing:
            return self._collect(session)
        view = SessionView.load(self._store, session)
        step = plan(view, self._clock.now())
        if isinstance(step, Suggest):
            if defer:
                return False
            if session.budget.get("gain_floor") is not None:
                step = plan(view, self._clock.now(), further_gain=further_gain(view))
        return self._carry_out(view, step)

    def _carry_out(self, view: SessionView, step: Step) -> bool:
        session = view.session
        match step:
            case Wait():
                return False
            case Suggest(remeasure=remeasure):
                future = self._executor.submit(answer, job(view, remeasure=remeasure))
                self._computing[session.id] = (view, future)
                if future.done():
                    self._collect(session)
            case Add(trial=trial):
                self._store.trials.add(trial, session_revision=session.revision)
            case Move(phase=phase, reason=reason, incumbent_trial_id=best, verdict=verdict):
                self._store.sessions.advance(
                    session.id,
                    revision=session.revision,
                    phase=phase,
                    reason=reason,
                    incumbent_trial_id=best,
                    verdict=verdict,
                )
                self._note(session, "session-phase", f"{phase}: {reason}")
            case End(state=state, reason=reason, verdict=verdict):
                self._end(session, state, reason, dict(verdict))
        return True

    def _collect(self, session: Session) -> bool:
        view, future = self._computing[session.id]
        if not future.done():
            return False
        del self._computing[session.id]
        if session.revision != view.session.revision:
            return True  # the session was paused or ended meanwhile: plan afresh
        try:
            given = future.result()
        except SpaceExhausted as error:
            self._exhausted(view, str(error))
        except LontraError as error:
            self._end(session, SessionState.FAILED, f"no suggestion can be made: {error}", {})
        else:
            self._store.trials.add(trial_of(view, given), session_revision=session.revision)
        return True

    def _exhausted(self, view: SessionView, why: str) -> None:
        best = candidate(view)
        if best is None:
            self._end(view.session, SessionState.FAILED, f"{why}, and none could be measured", {})
            return
        self._carry_out(view, Move(SessionPhase.CONFIRM, why, incumbent_trial_id=best.id))

    def _end(
        self, session: Session, state: SessionState, reason: str, verdict: dict[str, Any]
    ) -> None:
        self._store.sessions.advance(
            session.id,
            revision=session.revision,
            state=state,
            phase=SessionPhase.DONE,
            reason=reason,
            verdict=verdict,
        )
        self._note(session, f"session-{state}", reason)

    def _note(self, session: Session, kind: str, message: str) -> None:
        self._store.events.add(
            NewEvent(
                actor=ACTOR,
                kind=kind,
                message=message,
                occurred_at=self._clock.now(),
                target_id=session.target_id,
                session_id=session.id,
            )
        )
