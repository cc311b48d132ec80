"""The worker: moves running sessions on. Web never fits a model; this does.

It may run in a process of its own (`lontra worker`), several at once, or stepped inline by
`lontra tune`. Two workers that plan the same session at the same moment are told apart by the
session's revision: one of them wins, the other plans again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from typing import Any, TypeVar

from knowledge_base.errors import Conflict, Unavailable
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
from tuner.baselines import CONSIDERED
from tuner.past import Past
from tuner.plan import Add, End, Move, Step, Suggest, Wait, conclude_search, plan
from tuner.studying import Findings, Learnt, Study, due, keep, study, study_of
from tuner.suggesting import Answer, NoAnswer, attempt, further_gain, job, trial_of
from tuner.view import SessionView

ACTOR = "worker"
AWAY_SECONDS = 5.0
"""The pause before a knowledge base that could not be reached is tried again."""

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
        learning: whether the pipeline studies sessions; no verdict depends on it.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock | None = None,
        executor: Executor | None = None,
        learning: bool = True,
    ) -> None:
        self._store = store
        self._learning = learning
        self._clock = clock or SystemClock()
        self._executor = executor or InlineExecutor()
        self._computing: dict[int, tuple[SessionView, Future[Answer | NoAnswer]]] = {}
        self._studying: dict[int, tuple[SessionView, Future[Findings]]] = {}
        self._past = Past(store)
        self._learnt: dict[int, Learnt] = {}
        self._closed: set[int] = set()
        self._host = host_identity()

    def step(self) -> bool:
        """One pass over the running sessions; answers whether anything moved.

        A session that cannot be planned ends as failed and says why; the others go on.

        Raises:
            Unavailable: the knowledge base cannot be reached; a later pass may do.
            BrokenExecutor: the executor lost a process and computes nothing more. No session is
                harmed: what was not computed is computed again by the next worker.
        """
        self._store.trials.expire()
        moved = False
        running = self._store.sessions.running()
        busy = self._measuring_here(running)
        for session in running:
            try:
                moved |= self._advance_or_end(session, defer=busy)
            except Conflict:
                log.info("session=%d planned by another worker first", session.id)
                moved = True
        self._forget_all_but({session.id for session in running})
        return moved or (self._learning and not busy and self._study_ended())

    def _forget_all_but(self, running: set[int]) -> None:
        for gone in self._computing.keys() - running:
            self._computing.pop(gone)[1].cancel()
        for gone in self._studying.keys() - running - self._closed:
            self._studying.pop(gone)[1].cancel()
        for gone in self._learnt.keys() - running:
            del self._learnt[gone]

    def _study_ended(self) -> bool:
        """Learn from one session that ended without its last study, the newest first: a person
        ended it, or what was found is in a format of another version.

        Only the newest sessions, which new ones learn from; each is looked at once.
        """
        for key in self._studying.keys() & self._closed:
            return self._learn(self._studying[key][0].session)
        for session in self._store.sessions.list(limit=CONSIDERED).items:
            if not session.state.ended or session.id in self._closed:
                continue
            with self._harmless(session, "the pipeline cannot be asked"):
                view = SessionView.load(self._store, session, metrics=False)
                if stages := due(view, Learnt.stored(self._store, view)):
                    view = SessionView.load(self._store, session)
                    question = study_of(self._store, view, stages)
                    self._studying[session.id] = (view, self._executor.submit(study, question))
            self._closed.add(session.id)
            if session.id in self._studying:
                self._learn(session)
                return True
        return False

    def run(self, stop: threading.Event, *, poll_seconds: float = 0.5) -> None:
        """Step until told to stop; pause between passes that moved nothing.

        A knowledge base that is away is waited for. Raises BrokenExecutor as `step` does.
        """
        while not stop.is_set():
            try:
                if not self.step():
                    stop.wait(poll_seconds)
            except Unavailable as error:
                log.warning("pause_seconds=%.1f error=%s", AWAY_SECONDS, error)
                stop.wait(AWAY_SECONDS)

    def _measuring_here(self, running: list[Session]) -> bool:
        """Whether a window is being measured on this very machine: then nothing is computed.

        A paused session's last trial is still measured to its end.
        """
        paused = self._store.sessions.list(state=SessionState.PAUSED, limit=1_000).items
        for session in (*running, *paused):
            agent = self._store.agents.of_target(session.target_id)
            if agent is None or agent.host != self._host:
                continue
            if any(t.state is TrialState.MEASURING for t in self._store.trials.all(session.id)):
                return True
        return False

    def _advance_or_end(self, session: Session, *, defer: bool) -> bool:
        try:
            return self._advance(session, defer=defer)
        except (Conflict, Unavailable, BrokenExecutor):
            raise  # says nothing about this session
        # One session's fault, whatever it is, must not hold up the others.
        except Exception as error:
            log.exception("cannot be planned session=%d", session.id)
            reason = str(error) if isinstance(error, LontraError) else f"unexpected {error!r}"
            self._end(session, SessionState.FAILED, f"the session cannot be planned: {reason}")
            return True

    def _advance(self, session: Session, *, defer: bool) -> bool:
        if session.id in self._studying:
            return self._learn(session)
        if session.id in self._computing:
            return self._collect(session)
        if any(not trial.state.ended for trial in self._store.trials.all(session.id)):
            return False  # nothing to plan yet: spare the knowledge base the reading of windows
        view = SessionView.load(self._store, session)
        step = plan(view, self._clock.now())
        last = isinstance(step, End) and due(view, self._learnt.get(session.id, Learnt()))
        if defer and (last or isinstance(step, Suggest)):
            return False
        if self._learning and not defer and (question := self._question(view)) is not None:
            self._studying[session.id] = (view, self._executor.submit(study, question))
            self._learn(session)
            return True
        if isinstance(step, Suggest):
            if session.budget.get("gain_floor") is not None:
                step = plan(view, self._clock.now(), further_gain=further_gain(view))
            view = self._past.of(view).to(view)
        return self._carry_out(view, step)

    def _question(self, view: SessionView) -> Study | None:
        """What the pipeline is to find out about the session now; None for nothing."""
        key = view.session.id
        known = self._learnt.get(key, Learnt())
        wanted = due(view, known)
        if not wanted:
            return None
        self._learnt[key] = known.after(view, wanted)  # what fails waits until more is known
        with self._harmless(view.session, "the pipeline cannot be asked"):
            missing = due(view, Learnt.stored(self._store, view))  # another worker may be ahead
            stages = tuple(stage for stage in wanted if stage in missing)
            return study_of(self._store, view, stages) if stages else None
        return None

    def _learn(self, session: Session) -> bool:
        view, future = self._studying[session.id]
        if not future.done():
            return False
        del self._studying[session.id]
        with self._harmless(session, "what was found is lost"):
            for stage, fault in keep(self._store, view, future.result()).items():
                self._note(session, "learning-failed", f"{stage}: {fault}")
        return True

    def _carry_out(self, view: SessionView, step: Step) -> bool:
        session = view.session
        match step:
            case Wait():
                return False
            case Suggest(remeasure=remeasure):
                future = self._executor.submit(attempt, job(view, remeasure=remeasure))
                self._computing[session.id] = (view, future)
                if future.done():
                    self._collect(session)
            case Add(trial=trial):
                self._store.trials.add(trial, session_revision=session.revision)
            case Move():
                self._store.sessions.advance(
                    session.id,
                    revision=session.revision,
                    phase=step.phase,
                    reason=step.reason,
                    incumbent_trial_id=step.incumbent_trial_id,
                    verdict=step.verdict,
                    limits=step.limits,
                )
                self._note(session, "session-phase", f"{step.phase}: {step.reason}")
            case End(state=state, reason=reason, verdict=verdict):
                self._end(session, state, reason, verdict)
        return True

    def _collect(self, session: Session) -> bool:
        view, future = self._computing[session.id]
        if not future.done():
            return False
        del self._computing[session.id]
        if session.revision != view.session.revision:
            return True  # the session was paused or ended meanwhile: plan afresh
        match future.result():
            case Answer() as given:
                self._store.trials.add(trial_of(view, given), session_revision=session.revision)
                if given.set_aside:
                    self._note(session, "history-set-aside", given.set_aside)
            case NoAnswer(reason=reason, exhausted=True):
                self._carry_out(view, conclude_search(view, reason))
            case NoAnswer(reason=reason):
                self._end(session, SessionState.FAILED, f"no suggestion can be made: {reason}")
        return True

    @contextmanager
    def _harmless(self, session: Session, what: str) -> Iterator[None]:
        """Whatever goes wrong with learning is told, and the session goes on."""
        try:
            yield
        except (Conflict, Unavailable, BrokenExecutor):
            raise
        except Exception as error:
            log.exception("learning failed session=%d", session.id)
            self._note(session, "learning-failed", f"{what}: {type(error).__name__}: {error}")

    def _end(
        self,
        session: Session,
        state: SessionState,
        reason: str,
        verdict: Mapping[str, Any] | None = None,
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
