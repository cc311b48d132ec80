"""Recommendations: what a session would run now instead of its baseline, and how sure that is."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields

from knowledge_base.records import Scope
from web.api.operation import Answer, operation
from web.api.report_schema import (
    KnobChange,
    ReportBaseline,
    ReportConfirmation,
    ReportIncumbent,
    ReportObjective,
)
from web.openapi import ApiBlueprint
from web.services import services

blueprint = ApiBlueprint(
    "recommendations",
    __name__,
    url_prefix="/api/v1/sessions",
    description="The incumbent beside the baseline",
)


class RecommendationSchema(ma.Schema):
    """`incumbent` is null and `changes` empty until something beside the baseline is measured.

    `recommended` is the incumbent once it is confirmed better; the baseline until then.
    """

    session = fields.Integer(required=True)
    target = fields.String(required=True)
    objective = fields.Nested(ReportObjective, required=True)
    baseline = fields.Nested(ReportBaseline, required=True)
    incumbent = fields.Nested(ReportIncumbent, required=True, allow_none=True)
    changes = fields.List(fields.Nested(KnobChange), required=True)
    confirmation = fields.Nested(ReportConfirmation, required=True, allow_none=True)
    recommended = fields.Dict(required=True)


@operation(
    blueprint,
    "/<id:session_id>/recommendation",
    scope=Scope.VIEWER,
    answer=Answer(RecommendationSchema),
)
def get_recommendation(session_id: int) -> dict[str, Any]:
    """The incumbent, knob by knob against the baseline, with its verdict so far."""
    report = services().sessions.report(session_id)
    incumbent = report["incumbent"]
    changes = incumbent["changes"] if incumbent else []
    return {**report, "changes": changes}
