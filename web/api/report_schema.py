"""The report's form, for the API's description; `tuner.report` makes it and a test compares."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields

from web.api.answers import LimitSchema
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


class LimitReading(ma.Schema):
    """What one configuration's windows say of a limited quantity."""

    value = fields.Float(required=True, metadata={"description": "the mean of its windows"})
    ci95 = fields.List(fields.Float(), required=True, allow_none=True)
    windows = fields.Integer(required=True)
    kept = fields.Boolean(required=True, metadata={"description": "whether the mean keeps it"})
    sure = fields.Boolean(
        required=True,
        metadata={"description": "whether the whole interval is on the mean's side of the bound"},
    )


class ReportLimit(LimitSchema):
    """A limit beside what the baseline and the incumbent have."""

    text = _text()
    baseline = fields.Nested(LimitReading, required=True, allow_none=True)
    incumbent = fields.Nested(LimitReading, required=True, allow_none=True)


class LimitCheck(ma.Schema):
    """One limit in the paired windows."""

    limit = _text()
    incumbent = fields.Nested(LimitReading, required=True)
    baseline = fields.Nested(LimitReading, required=True, allow_none=True)


class FrontPoint(ma.Schema):
    """A configuration that none beats in every objective."""

    trial = fields.Integer(required=True)
    configuration = _object()
    values = _object(metadata={"description": "each objective's, by name"})
    windows = fields.Integer(required=True)
    is_baseline = fields.Boolean(required=True)
    is_incumbent = fields.Boolean(required=True)


class ReportFront(ma.Schema):
    """What several objectives leave to choose from, within the limits."""

    points = fields.List(fields.Nested(FrontPoint), required=True)
    hypervolume = _value(
        metadata={"description": "what the points dominate, as far as the reference"}
    )
    reference = _object(allow_none=True)


class ReportConfirmation(ma.Schema):
    """The paired comparison; a ratio above 1 always means better."""

    ratio = _value()
    ci95 = fields.List(fields.Float(), required=True, allow_none=True)
    pairs = fields.Integer(required=True)
    baseline_value = _value(metadata={"description": "mean of the paired windows"})
    incumbent_value = _value(metadata={"description": "mean of the paired windows"})
    verdict = _text(metadata={"enum": ["better", "worse", "no gain found", "undecided"]})
    words = _text()
    recommended = fields.Boolean(
        required=True, metadata={"description": "whether the incumbent is what to run"}
    )
    limits = fields.List(fields.Nested(LimitCheck), required=True)


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
    measured = _object(
        metadata={"description": "the mean of each objective and of what limits bound, by name"}
    )
    breaks = fields.List(
        fields.String(), required=True, metadata={"description": "the limits that its means break"}
    )
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


class ReportMeasurement(ma.Schema):
    """The noise study, and when the confirmation's pairs are looked at."""

    windows = fields.Integer(required=True)
    window_seconds = fields.Float(required=True)
    scatter = fields.Float(
        required=True,
        metadata={"description": "standard deviation of one window's logarithm: 0.1 is about 10 %"},
    )
    pair_scatter = fields.Float(
        required=True, metadata={"description": "the same of the ratio of two neighbours"}
    )
    moved = _value(
        metadata={"description": "relative change of the level meanwhile; null if none was seen"}
    )
    looks = fields.List(fields.Integer(), required=True)
    words = _text()


class ReportBlock(ma.Schema):
    """One block of the confirmation, e.g. A B B A."""

    number = fields.Integer(required=True)
    state = _text()
    failure = _text(allow_none=True)
    message = _text()
    windows = fields.List(fields.Nested(ReportWindow), required=True)
    again = _text(metadata={"description": "why it was measured again and does not count"})


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
    objectives = fields.List(fields.Nested(ReportObjective), required=True)
    limits = fields.List(fields.Nested(ReportLimit), required=True)
    workload = _object()
    baseline = fields.Nested(ReportBaseline, required=True)
    measurement = fields.Nested(
        ReportMeasurement,
        required=True,
        allow_none=True,
        metadata={"description": "null before the baseline is measured"},
    )
    incumbent = fields.Nested(ReportIncumbent, required=True, allow_none=True)
    least_breaking = fields.Nested(
        ReportTrial,
        required=True,
        allow_none=True,
        metadata={"description": "the trial to look at where nothing measured keeps the limits"},
    )
    front = fields.Nested(
        ReportFront,
        required=True,
        allow_none=True,
        metadata={"description": "null with one objective"},
    )
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
