"""The report's form, for the API's description; `tuner.report` makes it and a test compares."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields

from web.api.knowledge_schema import ReportKnowledge


def _value(**options: Any) -> fields.Float:
    return fields.Float(required=True, allow_none=True, **options)


def _text(**options: Any) -> fields.String:
    return fields.String(required=True, **options)


def _object(**options: Any) -> fields.Dict:
    return fields.Dict(required=True, **options)


class ReportObjective(ma.Schema):
    """What was improved."""

    name = _text()
    direction = _text(metadata={"enum": ["min", "max"]})
    unit = _text()
    deterministic = fields.Boolean(required=True)


class ReportBaseline(ma.Schema):
    """Where the session began."""

    configuration = _object()
    value = _value()


class KnobChange(ma.Schema):
    """One knob that a configuration changes from the baseline."""

    knob = _text()
    from_ = fields.Raw(required=True, data_key="from", attribute="from")
    to = fields.Raw(required=True)
    unit = _text()
    effect = _text()
    scope = _text()
    help = _text()


class ReportIncumbent(ma.Schema):
    """The configuration the session would name now."""

    trial = fields.Integer(required=True)
    configuration = _object()
    value = _value(metadata={"description": "the mean of its windows"})
    windows = fields.Integer(required=True)
    changes = fields.List(fields.Nested(KnobChange), required=True)
    reason = _text()


class ReportConfirmation(ma.Schema):
    """The paired comparison; a ratio above 1 always means better."""

    ratio = _value()
    ci95 = fields.List(fields.Float(), required=True, allow_none=True)
    pairs = fields.Integer(required=True)
    baseline_value = _value(metadata={"description": "mean of the paired windows"})
    incumbent_value = _value(metadata={"description": "mean of the paired windows"})
    verdict = _text(metadata={"enum": ["better", "worse", "no gain found", "undecided"]})
    words = _text()


class ReportTrial(ma.Schema):
    """One search trial."""

    number = fields.Integer(required=True)
    state = _text()
    failure = _text(allow_none=True)
    message = _text()
    configuration = _object()
    in_force = _object(allow_none=True)
    value = _value()
    values = fields.List(fields.Float(), required=True)
    seconds = fields.Float(required=True)
    fidelity = fields.Float(
        required=True,
        metadata={"description": "how long its windows were, as a share of full ones"},
    )
    kind = _text(allow_none=True)
    lane = _text(allow_none=True)
    reason = _text()
    expected = _object(allow_none=True)


class ReportWindow(ma.Schema):
    """One window of the confirmation."""

    arm = _text()
    value = _value()
    seconds = fields.Float(required=True)
    foreign_cpu = _value()


class ReportBlock(ma.Schema):
    """One block of the confirmation, e.g. A B B A."""

    number = fields.Integer(required=True)
    state = _text()
    failure = _text(allow_none=True)
    message = _text()
    windows = fields.List(fields.Nested(ReportWindow), required=True)


class ReferenceLine(ma.Schema):
    """Something to compare with, in the objective's unit."""

    name = _text()
    value = _value()
    note = fields.String()


class ReportSchema(ma.Schema):
    """A session's report, its failures included."""

    session = fields.Integer(required=True)
    state = _text()
    phase = _text()
    reason = _text()
    target = _text()
    kind = _text()
    objective = fields.Nested(ReportObjective, required=True)
    workload = _object()
    baseline = fields.Nested(ReportBaseline, required=True)
    incumbent = fields.Nested(ReportIncumbent, required=True, allow_none=True)
    confirmation = fields.Nested(ReportConfirmation, required=True, allow_none=True)
    recommended = _object(metadata={"description": "what to run"})
    reference_lines = fields.List(fields.Nested(ReferenceLine), required=True)
    trials = fields.List(fields.Nested(ReportTrial), required=True)
    confirmation_blocks = fields.List(fields.Nested(ReportBlock), required=True)
    knowledge = fields.Nested(ReportKnowledge, required=True)
    recommender = _text()
    recommender_options = _object()
    seed = fields.Integer(required=True)
    budget = _object()
    pins = _object()
    versions = _object()
    hardware = _object()
    created_at = fields.AwareDateTime(required=True, format="iso")
    finished_at = fields.AwareDateTime(required=True, format="iso", allow_none=True)
