"""The session service: what people ask of a session, checked against its target before it runs.

Used by the REST API and the command line; never fits a model. Every act is an event that says
who did it and why.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

import numpy as np

from knowledge_base.errors import Conflict
from knowledge_base.records import (
    NewEvent,
    NewSession,
    Session,
    SessionPhase,
    SessionState,
    Target,
)
from knowledge_base.store import Store
from targets.adapter import Description
from targets.clock import Clock, SystemClock
from targets.errors import InvalidKnob, LontraError, Rejected
from targets.knobs import Configuration
from targets.metrics import Objective
from targets.space import KnobSpace
from tuner.confirmation import MINIMUM_PAIRS
from tuner.errors import InvalidSession
from tuner.learning import knowledge_in
from tuner.limits import parse_limits
from tuner.recommenders.base import Recommender
from tuner.registry import installed_recommenders, load_recommender
from tuner.report import report
from tuner.space import SpaceEncoder
from tuner.view import SessionView

SAFE_KEY = "safe"
"""Where a target's stored description keeps its safe configuration, as its agent told it."""

_VERSIONED = ("lontra", "numpy", "scipy", "scikit-learn", "scikit-optimize", "optuna")
_MAXIMUM_TRIALS = 10_000


@dataclass(frozen=True, kw_only=True)
class SessionRequest:
    """What a person asks for.

    Attributes:
        target: the target's name.
        objective: one of the target's objectives; its first by default. It is what the
            confirmation compares.
        objectives: further ones, to be improved beside it.
        limits: what must be kept meanwhile, such as `latency_p99_ms<=20`, `hit_ratio>=0.5` or,
            relative to the baseline, `latency_p99_ms<=1.2x` (`tuner.limits`).
        trials: search trials, the baseline and the confirmation not counted.
        wall_seconds: the search ends this long after the session began, pauses included.
        gain_floor: the search ends when the further gain expected is below this (0.02 = 2 %); for
            one objective only.
        recommender, recommender_options: which algorithm, and its settings.
        seed: makes the session repeatable; drawn and stored when not given.
        confirm_pairs: the most paired windows of the confirmation, at least 12; as many as the
            noise study calls for, where not given.
        margin: the relative difference that matters: within it the verdict is "no gain found".
        pins: knobs to hold at a value.
        promote: make a confirmed configuration the safe one.
        use_history: let the recommender learn from other sessions of the same kind of target.
        actor: who asks.
    """

    target: str
    objective: str | None = None
    objectives: Sequence[str] = ()
    limits: Sequence[str] = ()
    trials: int = 40
    wall_seconds: float | None = None
    gain_floor: float | None = None
    recommender: str = "auto"
    recommender_options: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    confirm_pairs: int | None = None
    margin: float = 0.02
    pins: Mapping[str, Any] = field(default_factory=dict)
    promote: bool = False
    use_history: bool = True
    actor: str = ""


class SessionService:
    """Starts, pauses, resumes, ends and reports sessions.

    Args:
        store: the knowledge base.
        clock: where time comes from.
        rng: where seeds come from that nobody gave.
    """

    def __init__(
        self, store: Store, clock: Clock | None = None, *, rng: np.random.Generator | None = None
    ) -> None:
        self._store = store
        self._clock = clock or SystemClock()
        self._rng = rng or np.random.default_rng()

    def start(self, request: SessionRequest) -> Session:
        """Begin a session; the worker takes it from there.

        Raises:
            NotFound: no such target.
            InvalidSession: the request does not fit the target; says what and the remedy.
            Conflict: the target has a session that has not ended.
        """
        target = self._store.targets.by_name(request.target)
        description = _described(target)
        objectives = _objectives(description, request)
        limits = parse_limits(request.limits, description)
        _check_numbers(request)
        recommender = _recommender(request, objectives)
        pins = _pins(description, request.pins)
        _check_something_to_tune(target, description.space, pins)
        session = self._store.sessions.create(
            NewSession(
                target_id=target.id,
                objective=objectives[0].to_dict(),
                objectives=tuple(objective.to_dict() for objective in objectives),
                limits=tuple(limit.to_dict() for limit in limits),
                workload={
                    "name": description.workload.name,
                    "parameters": dict(description.workload.parameters),
                },
                recommender=request.recommender,
                recommender_options=dict(recommender.options),
                seed=int(self._rng.integers(2**31)) if request.seed is None else request.seed,
                budget={
                    "trials": request.trials,
                    "wall_seconds": request.wall_seconds,
                    "gain_floor": request.gain_floor,
                    "confirm_pairs": request.confirm_pairs,
                    "margin": request.margin,
                    "promote": request.promote,
                    "use_history": request.use_history,
                    "least_fidelity": description.least_fidelity,
                },
                baseline=_baseline(target, description),
                pins=pins,
                versions=_versions(description),
                actor=request.actor,
            )
        )
        told = f"tune {target.name} for {_listed([one.name for one in objectives])}"
        if limits:
            told += f" within {_listed([limit.text for limit in limits])}"
        told += f" with {request.recommender}, {request.trials} trials"
        if limits and not recommender.heeds_limits:
            told += f"; {request.recommender} does not look at limits: trials may break them, what "
            told += "is named will not"
        self._note(session, "session-started", told, request.actor)
        return session

    def pause(self, session_id: int, *, actor: str, reason: str = "") -> Session:
        """Hand out no more trials until resumed; the one in hand is finished."""
        return self._move(
            session_id, {SessionState.RUNNING}, SessionState.PAUSED, actor=actor, reason=reason
        )

    def resume(self, session_id: int, *, actor: str, reason: str = "") -> Session:
        """Go on with a paused session."""
        return self._move(
            session_id, {SessionState.PAUSED}, SessionState.RUNNING, actor=actor, reason=reason
        )

    def cancel(self, session_id: int, *, actor: str, reason: str = "") -> Session:
        """End a session; its agent puts the safe configuration back."""
        return self._finish(session_id, SessionState.CANCELLED, actor=actor, reason=reason)

    def stand_down(self, session_id: int, *, actor: str, reason: str) -> Session:
        """End a session because somebody else changed a knob."""
        return self._finish(session_id, SessionState.STOOD_DOWN, actor=actor, reason=reason)

    def report(self, session_id: int) -> dict[str, Any]:
        """The session's report as JSON-able data.

        Raises:
            NotFound: no such session.
        """
        session = self._store.sessions.get(session_id)
        target = self._store.targets.get(session.target_id)
        view = SessionView.load(self._store, session)
        return report(view, target, knowledge_in(self._store, view))

    def _finish(self, session_id: int, state: SessionState, *, actor: str, reason: str) -> Session:
        session = self._move(
            session_id,
            {SessionState.RUNNING, SessionState.PAUSED},
            state,
            actor=actor,
            reason=reason,
        )
        for trial in self._store.trials.all(session_id):
            if not trial.state.ended:
                self._store.trials.cancel(trial.id, f"session {state}: {reason}")
        return session

    def _move(
        self,
        session_id: int,
        allowed: set[SessionState],
        state: SessionState,
        *,
        actor: str,
        reason: str,
    ) -> Session:
        while True:
            session = self._store.sessions.get(session_id)
            if session.state not in allowed:
                raise InvalidSession(
                    f"session {session_id} is {session.state}: only one that is "
                    f"{' or '.join(sorted(allowed))} can become {state}"
                )
            try:
                moved = self._store.sessions.advance(
                    session_id,
                    revision=session.revision,
                    state=state,
                    phase=SessionPhase.DONE if state.ended else None,
                    reason=reason,
                )
            except Conflict:
                continue  # the worker moved it on meanwhile: look again
            self._note(moved, f"session-{state}", reason, actor)
            return moved

    def _note(self, session: Session, kind: str, message: str, actor: str) -> None:
        self._store.events.add(
            NewEvent(
                actor=actor or "unknown",
                kind=kind,
                message=message,
                occurred_at=self._clock.now(),
                target_id=session.target_id,
                session_id=session.id,
            )
        )


def _described(target: Target) -> Description:
    if not target.description:
        raise InvalidSession(
            f"target {target.name} was never described: start its agent first "
            "(lontra agent --config agent.toml)"
        )
    return Description.from_dict(target.description)


def _objectives(description: Description, request: SessionRequest) -> tuple[Objective, ...]:
    known = {objective.name: objective for objective in description.objectives}
    first = description.objectives[0].name if request.objective is None else request.objective
    wanted = [first, *request.objectives]
    for place, name in enumerate(wanted):
        if name not in known:
            raise InvalidSession(
                f"objective {name!r} is not measured by this target; it has: {', '.join(known)}"
            )
        if name in wanted[:place]:
            raise InvalidSession(
                f"objective {name!r} is there twice: name the first in `objective` and each "
                f"further one once in `objectives` (this target has: {', '.join(known)})"
            )
    return tuple(known[name] for name in wanted)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _check_numbers(request: SessionRequest) -> None:
    rules = (
        (1 <= request.trials <= _MAXIMUM_TRIALS, f"trials={request.trials} is outside 1.."
         f"{_MAXIMUM_TRIALS}"),
        (request.confirm_pairs is None or MINIMUM_PAIRS <= request.confirm_pairs <= 1_000,
         f"confirm_pairs={request.confirm_pairs} is outside {MINIMUM_PAIRS}..1000"),
        (0 < request.margin < 1, f"margin={request.margin} is outside 0..1 (0.02 is 2 %)"),
        (request.wall_seconds is None or 0 < request.wall_seconds < math.inf,
         f"wall_seconds={request.wall_seconds} must be a number above 0"),
        (request.gain_floor is None or 0 < request.gain_floor < 1,
         f"gain_floor={request.gain_floor} is outside 0..1 (0.02 is 2 %)"),
        (request.gain_floor is None or not request.objectives,
         f"gain_floor={request.gain_floor} is a gain in one objective, and the session has "
         f"{1 + len(request.objectives)}: leave it out"),
        (request.seed is None or 0 <= request.seed < 2**31,
         f"seed={request.seed} is outside 0..{2**31 - 1}"),
    )  # fmt: skip
    faults = [text for holds, text in rules if not holds]
    if faults:
        raise InvalidSession("; ".join(faults))


def _recommender(request: SessionRequest, objectives: Sequence[Objective]) -> Recommender:
    try:
        recommender = load_recommender(request.recommender)(request.recommender_options)
    except LontraError as error:
        raise InvalidSession(str(error)) from error
    # A stranger's class may raise anything.
    except Exception as error:
        raise InvalidSession(
            f"recommender {request.recommender} cannot be set up: {type(error).__name__}: {error}"
        ) from error
    if len(objectives) > 1 and not recommender.heeds_every_objective:
        fit = ", ".join(one.name for one in installed_recommenders() if one.heeds_every_objective)
        raise InvalidSession(
            f"recommender {request.recommender} improves the first objective alone, and the "
            f"session has {len(objectives)}: take one that heeds all of them ({fit}), or keep the "
            "others by limits"
        )
    return recommender


def _pins(description: Description, pins: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {name: description.space[name].check(value) for name, value in pins.items()}
    except InvalidKnob as error:
        raise InvalidSession(f"pin refused: {error}") from error


def _check_something_to_tune(target: Target, space: KnobSpace, pins: Mapping[str, Any]) -> None:
    if all(column.count <= 1 for column in SpaceEncoder(space, pins).columns):
        raise InvalidSession(
            f"target {target.name} has nothing to tune: every knob is pinned or withheld by its "
            "owner's policy (`lontra agent --check` lists them; knobs that need a restart want "
            "allow_restart)"
        )


def _baseline(target: Target, description: Description) -> dict[str, Any]:
    safe: Configuration = target.description.get(SAFE_KEY) or description.space.default()
    try:
        return dict(description.space.check(safe))
    except Rejected as error:
        raise InvalidSession(
            f"what is in force on {target.name} is outside its own knob space ({error}): "
            "widen the catalogue or the adapter's settings until it fits"
        ) from error


def _versions(description: Description) -> dict[str, str]:
    versions = {"target": description.version, "kind": description.kind}
    for name in _VERSIONED:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
