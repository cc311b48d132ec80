"""What the API shows of each record: the public form, apart from how it is stored."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields

from knowledge_base.records import (
    Scope,
    Session,
    SessionPhase,
    SessionState,
    Target,
    TrialState,
    Window,
)


def _text(**options: Any) -> fields.String:
    return fields.String(required=True, **options)


def _moment(**options: Any) -> fields.AwareDateTime:
    return fields.AwareDateTime(required=True, format="iso", **options)


def _id(**options: Any) -> fields.Integer:
    return fields.Integer(required=True, **options)


def _object(**options: Any) -> fields.Dict:
    return fields.Dict(required=True, **options)


class TargetSchema(ma.Schema):
    """A system that can be tuned."""

    id = _id()
    name = _text()
    kind = _text(metadata={"description": "the adapter; empty until its agent registered"})
    version = _text()
    created_at = _moment()
    described_at = _moment(allow_none=True)


class TargetDetailSchema(TargetSchema):
    """A target with what its agent found: knobs, metrics, objectives, hardware, workload."""

    description = _object()


class AgentSchema(ma.Schema):
    """An agent and its last sign of life."""

    id = _id()
    target_id = _id()
    instance = _text()
    incarnation = _text()
    version = _text()
    protocol = _id()
    host = _text()
    registered_at = _moment()
    last_seen_at = _moment()
    in_force = _object(allow_none=True)
    host_metrics = _object()
    spooled = _id(metadata={"description": "results kept on its disk, still to be sent"})
    dropped = _id(metadata={"description": "results it had no room to keep"})


class LimitSchema(ma.Schema):
    """A bound on an objective or a metric: at most (`min`) or at least (`max`)."""

    name = _text()
    direction = _text(metadata={"enum": ["min", "max"]})
    bound = fields.Float(
        required=True,
        allow_none=True,
        metadata={"description": "null until the baseline is measured, where it is relative to it"},
    )
    factor = fields.Float(
        required=True, allow_none=True, metadata={"description": "times the baseline's mean"}
    )
    unit = _text()


class SessionSchema(ma.Schema):
    """One effort to tune one target for its objectives, within limits."""

    id = _id()
    target_id = _id()
    target = _text()
    state = fields.Enum(SessionState, by_value=True, required=True)
    phase = fields.Enum(SessionPhase, by_value=True, required=True)
    reason = _text(metadata={"description": "why the session stands where it stands"})
    objective = _object(metadata={"description": "the first, which the confirmation compares"})
    objectives = fields.List(fields.Dict(), required=True)
    limits = fields.List(
        fields.Nested(LimitSchema), required=True, metadata={"description": "what is to be kept"}
    )
    workload = _object()
    recommender = _text()
    recommender_options = _object()
    seed = _id()
    budget = _object()
    baseline = _object()
    pins = _object()
    versions = _object()
    actor = _text()
    mode = _text()
    incumbent_trial_id = _id(allow_none=True)
    verdict = _object()
    revision = _id()
    created_at = _moment()
    finished_at = _moment(allow_none=True)


class TrialSchema(ma.Schema):
    """One configuration tried."""

    id = _id()
    session_id = _id()
    number = _id()
    task = _text()
    state = fields.Enum(TrialState, by_value=True, required=True)
    epoch = _id()
    configuration = _object()
    in_force = _object(allow_none=True)
    failure = _text(allow_none=True)
    message = _text()
    seconds = fields.Float(required=True)
    fidelity = fields.Float(
        required=True,
        metadata={"description": "how long its windows are, as a share of full ones"},
    )
    restarted = fields.Boolean(required=True)
    lines = fields.List(fields.Dict(), required=True)
    sequence = fields.List(fields.String(), required=True)
    block = _id()
    seed = _id()
    suggestion = _object(metadata={"description": "kind, lane, expected value and reason"})
    based_on = fields.List(fields.Integer(), required=True)
    recommender = _object()
    created_at = _moment()
    leased_at = _moment(allow_none=True)
    finished_at = _moment(allow_none=True)


class WindowSchema(ma.Schema):
    """One measurement."""

    id = _id()
    trial_id = _id()
    epoch = _id()
    arm = _text()
    block = _id()
    position = _id()
    purpose = _text()
    started_at = _moment()
    seconds = fields.Float(required=True)
    objectives = _object()
    metrics = _object()
    contamination = _object()
    details = _object()
    late = fields.Boolean(required=True)
    rolled_up = fields.Boolean(required=True)


class EventSchema(ma.Schema):
    """An entry of the audit log: who, what, when, about what, why."""

    id = _id()
    actor = _text()
    kind = _text()
    message = _text()
    occurred_at = _moment()
    target_id = _id(allow_none=True)
    session_id = _id(allow_none=True)
    trial_id = _id(allow_none=True)
    details = _object()


class TokenSchema(ma.Schema):
    """A credential without its secret."""

    id = _text()
    scope = fields.Enum(Scope, by_value=True, required=True)
    label = _text()
    target_id = _id(allow_none=True)
    created_at = _moment()
    expires_at = _moment(allow_none=True)
    revoked_at = _moment(allow_none=True)
    last_used_at = _moment(allow_none=True)


def session_answer(session: Session, target: Target) -> dict[str, Any]:
    """A session with its target's name."""
    return {**vars(session), "target": target.name}


def window_answer(window: Window) -> dict[str, Any]:
    """A window with its metrics by name."""
    return {**vars(window), "metrics": window.metrics.as_dict()}
