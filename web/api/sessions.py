"""Sessions: start, look at, steer, report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Response, jsonify
from marshmallow import fields, validate

from knowledge_base.records import Page, Scope, Session, SessionState, Target
from tuner.errors import InvalidSession
from tuner.service import SessionRequest
from web.api.answers import SessionSchema, TrialSchema, session_answer
from web.api.fields import (
    PROSE_LENGTH,
    Choice,
    Flag,
    Real,
    StrictSchema,
    Text,
    Whole,
    configuration,
    free_object,
)
from web.api.operation import Answer, caller, operation
from web.api.pagination import PageQuery, page_answer, paged
from web.api.report_schema import ReportSchema
from web.auth import actor_of
from web.errors import Problem
from web.openapi import ApiBlueprint
from web.services import services

MOST_OBJECTIVES = 10
MOST_LIMITS = 20

blueprint = ApiBlueprint(
    "sessions",
    __name__,
    url_prefix="/api/v1/sessions",
    description="Efforts to tune one target for its objectives, within limits",
)


class SessionRequestSchema(StrictSchema):
    """What to tune, for what, how long. The rules for the numbers are the session service's."""

    target = Text(required=True, shortest=1)
    objective = Text(allow_none=True, metadata={"description": "the target's first by default"})
    objectives = fields.List(
        Text(shortest=1),
        validate=validate.Length(max=MOST_OBJECTIVES),
        metadata={"description": "further ones, improved beside it"},
    )
    limits = fields.List(
        Text(shortest=1),
        validate=validate.Length(max=MOST_LIMITS),
        metadata={
            "description": "what is to be kept: latency_p99<=20, hit_ratio>=0.5, or times the "
            "baseline's as in latency_p99<=1.2x"
        },
    )
    trials = Whole(metadata={"description": "search trials, 40 by default"})
    wall_seconds = Real(allow_none=True, metadata={"description": "the search ends after this"})
    gain_floor = Real(
        allow_none=True, metadata={"description": "ends when less is expected: 0.02 is 2 %"}
    )
    recommender = Text()
    recommender_options = free_object()
    seed = Whole(allow_none=True, metadata={"description": "makes the session repeatable"})
    confirm_pairs = Whole(
        allow_none=True,
        metadata={
            "description": "the most paired windows of the confirmation, from 12; null for as many "
            "as the noise study calls for"
        },
    )
    margin = Real(metadata={"description": "the relative difference that matters"})
    pins = configuration(metadata={"description": "knobs to hold at a value"})
    promote = Flag(metadata={"description": "make a confirmed configuration the safe one"})
    use_history = Flag(
        metadata={"description": "learn from past sessions of the same kind; true by default"}
    )


class SessionQuery(PageQuery):
    """Which sessions."""

    target = Text(metadata={"description": "only this target's, by name"})
    state = Choice(SessionState)


class ActSchema(StrictSchema):
    """Why a session is paused, resumed or cancelled; kept in the audit log."""

    reason = Text(longest=PROSE_LENGTH, load_default="")


@operation(
    blueprint,
    "",
    method="POST",
    scope=Scope.OPERATOR,
    body=SessionRequestSchema,
    answer=Answer(SessionSchema, 201, headers={"Location": "the session"}),
    problems=("conflict", "invalid-session", "not-found"),
)
def start_session(request: dict[str, Any]) -> Any:
    """Begin a session; the worker takes it from there."""
    session = services().sessions.start(SessionRequest(**request, actor=actor_of(caller())))
    return _answer(session), {"Location": f"/api/v1/sessions/{session.id}"}


@operation(
    blueprint,
    "",
    scope=Scope.VIEWER,
    query=SessionQuery,
    answer=page_answer(SessionSchema),
    problems=("not-found",),
)
def list_sessions(query: dict[str, Any]) -> Any:
    """Sessions, newest first."""
    store = services().store
    target_id = store.targets.by_name(query["target"]).id if "target" in query else None
    state = SessionState(query["state"]) if "state" in query else None
    page = store.sessions.list(
        target_id=target_id, state=state, limit=query["limit"], offset=query["offset"]
    )
    targets: dict[int, Target] = {}
    for session in page.items:
        if session.target_id not in targets:
            targets[session.target_id] = store.targets.get(session.target_id)
    items = tuple(session_answer(session, targets[session.target_id]) for session in page.items)
    return paged(Page(items, page.total), query)


@operation(blueprint, "/<id:session_id>", scope=Scope.VIEWER, answer=Answer(SessionSchema))
def get_session(session_id: int) -> dict[str, Any]:
    """One session."""
    return _answer(services().store.sessions.get(session_id))


@operation(
    blueprint,
    "/<id:session_id>/trials",
    scope=Scope.VIEWER,
    query=PageQuery,
    answer=page_answer(TrialSchema),
)
def list_trials(query: dict[str, int], session_id: int) -> Any:
    """A session's trials by number, those of its confirmation too."""
    store = services().store
    store.sessions.get(session_id)
    return paged(store.trials.list(session_id, **query), query)


@operation(blueprint, "/<id:session_id>/report", scope=Scope.VIEWER, answer=Answer(ReportSchema))
def get_report(session_id: int) -> Response:
    """What was tried, what won, and how sure that is."""
    return jsonify(services().sessions.report(session_id))


@operation(
    blueprint,
    "/<id:session_id>/pause",
    method="POST",
    scope=Scope.OPERATOR,
    body=ActSchema,
    body_required=False,
    answer=Answer(SessionSchema),
    problems=("conflict",),
)
def pause_session(act: dict[str, str], session_id: int) -> dict[str, Any]:
    """Hand out no more trials until resumed; the one in hand is finished."""
    return _move(services().sessions.pause, session_id, act)


@operation(
    blueprint,
    "/<id:session_id>/resume",
    method="POST",
    scope=Scope.OPERATOR,
    body=ActSchema,
    body_required=False,
    answer=Answer(SessionSchema),
    problems=("conflict",),
)
def resume_session(act: dict[str, str], session_id: int) -> dict[str, Any]:
    """Go on with a paused session."""
    return _move(services().sessions.resume, session_id, act)


@operation(
    blueprint,
    "/<id:session_id>/cancel",
    method="POST",
    scope=Scope.OPERATOR,
    body=ActSchema,
    body_required=False,
    answer=Answer(SessionSchema),
    problems=("conflict",),
)
def cancel_session(act: dict[str, str], session_id: int) -> dict[str, Any]:
    """End a session; its agent puts the safe configuration back."""
    return _move(services().sessions.cancel, session_id, act)


def _move(act: Callable[..., Session], session_id: int, given: dict[str, str]) -> dict[str, Any]:
    try:
        return _answer(act(session_id, actor=actor_of(caller()), reason=given["reason"]))
    except InvalidSession as error:
        raise Problem("conflict", str(error)) from error


def _answer(session: Session) -> dict[str, Any]:
    return session_answer(session, services().store.targets.get(session.target_id))
