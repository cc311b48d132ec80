"""Targets: what can be tuned, as last described by their agents."""

from __future__ import annotations

from typing import Any

from knowledge_base.records import Scope, Target
from web.api.answers import TargetDetailSchema, TargetSchema
from web.api.operation import Answer, operation
from web.api.pagination import PageQuery, page_answer, paged
from web.openapi import ApiBlueprint
from web.services import services

blueprint = ApiBlueprint(
    "targets", __name__, url_prefix="/api/v1/targets", description="Systems that can be tuned"
)


@operation(blueprint, "", scope=Scope.VIEWER, query=PageQuery, answer=page_answer(TargetSchema))
def list_targets(query: dict[str, int]) -> Any:
    """The targets by name."""
    return paged(services().store.targets.list(**query), query)


@operation(blueprint, "/<id:target_id>", scope=Scope.VIEWER, answer=Answer(TargetDetailSchema))
def get_target(target_id: int) -> Target:
    """One target with its knobs, metrics, objectives, hardware and workload."""
    return services().store.targets.get(target_id)
