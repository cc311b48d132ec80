"""Everything that a session's page shows, read once and arranged."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from knowledge_base.records import Event, Session, SessionPhase, Target, Trial
from knowledge_base.store import Store
from targets.space import KnobSpace
from tuner.report import changes
from tuner.service import SessionService
from web.pages.interval import Interval, interval
from web.pages.learnt import Learnt, learnt
from web.pages.plane import Plane, plane
from web.pages.progress import Course, Difference, adjusted, course
from web.pages.wording import PHASES

SHOWN_EVENTS = 50


@dataclass(frozen=True, kw_only=True)
class SessionPage:
    """A session for the eye. `leading` is what the knob table compares with the baseline: the
    incumbent once there is one, the best trial so far before; None while nothing beat it."""

    session: Session
    target: Target
    report: Mapping[str, Any]
    course: Course
    leading: Mapping[str, Any] | None
    changes: Sequence[Mapping[str, Any]]
    adjusted: Mapping[str, Difference]
    interval: Interval | None
    plane: Plane | None
    learnt: Learnt
    events: Sequence[Event]
    open_trial: Trial | None

    @property
    def chart(self) -> Mapping[str, Any]:
        """What the chart draws."""
        return self.course.chart(self.report["reference_lines"])

    @property
    def phases(self) -> list[tuple[str, str]]:
        """The session's phases in words, each `done`, `now` or `to come`."""
        wanted = [p for p in SessionPhase if p is not SessionPhase.PROMOTE or self._promotes]
        now = wanted.index(self.session.phase) if self.session.phase in wanted else 0
        ended = self.session.state.ended
        return [
            (
                PHASES[phase],
                "done" if place < now or ended else "now" if place == now else "to come",
            )
            for place, phase in enumerate(wanted)
            if phase is not SessionPhase.DONE
        ]

    @property
    def spent(self) -> float:
        """How many search trials have ended, the baseline not counted, those in shorter windows by
        their share of a full one."""
        return sum(
            step.fidelity
            for step in self.course.steps
            if step.state in ("completed", "failed") and not step.is_baseline
        )

    @property
    def _promotes(self) -> bool:
        return bool(self.session.budget.get("promote"))


def session_page(store: Store, service: SessionService, session: Session) -> SessionPage:
    """Read a session's page."""
    report = service.report(session.id)
    told = course(report)
    leading = _leading(report, told)
    space = store.targets.space(session.space_id)
    trials = store.trials.all(session.id)
    return SessionPage(
        session=session,
        target=store.targets.get(session.target_id),
        report=report,
        course=told,
        leading=leading,
        changes=_changes(space, session, leading),
        adjusted={d.knob: d for d in adjusted(leading)} if leading else {},
        interval=interval(report["confirmation"], margin=session.budget.get("margin", 0.02)),
        plane=plane(report),
        learnt=learnt(session, report["knowledge"]),
        events=store.events.list(session_id=session.id, limit=SHOWN_EVENTS, newest_first=True),
        open_trial=next((trial for trial in trials if trial.state.held), None),
    )


def fingerprint(store: Store, session: Session, *, now: datetime) -> str:
    """Changes whenever the session's page would, and costs little to find out.

    Also once a minute, for the page says how long ago things were.
    """
    newest = store.events.list(session_id=session.id, limit=1, newest_first=True)
    trials = [(t.number, str(t.state), t.epoch) for t in store.trials.all(session.id)]
    learnt_last = store.artefacts.last_id(session.id)
    minute = int(now.timestamp() // 60)
    seen = (session.revision, str(session.state), trials, [e.id for e in newest])
    known = (*seen, learnt_last, minute)
    return hashlib.sha256(repr(known).encode()).hexdigest()[:32]


def _leading(report: Mapping[str, Any], told: Course) -> Mapping[str, Any] | None:
    number = report["incumbent"]["trial"] if report["incumbent"] else None
    if number is None and told.leader is not None:
        number = told.leader.number
    return next((trial for trial in report["trials"] if trial["number"] == number), None)


def _changes(
    space: KnobSpace, session: Session, leading: Mapping[str, Any] | None
) -> Sequence[Mapping[str, Any]]:
    return changes(space, session.baseline, leading["configuration"]) if leading else ()
