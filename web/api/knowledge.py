"""What was learnt: in one session, and a line for each of them all. Read, never computed here."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify

from knowledge_base.records import Scope
from tuner.learning import knowledge_of, known_history
from web.api.fields import Text
from web.api.knowledge_schema import KnownTaskSchema, SessionKnowledgeSchema
from web.api.operation import Answer, operation
from web.api.pagination import PageQuery, page_answer, paged
from web.openapi import ApiBlueprint
from web.services import services

blueprint = ApiBlueprint(
    "knowledge", __name__, url_prefix="/api/v1", description="What was learnt from sessions"
)


class HistoryQuery(PageQuery):
    """Which sessions."""

    kind = Text(shortest=1, metadata={"description": "only of targets of this kind"})


@operation(
    blueprint,
    "/sessions/<id:session_id>/knowledge",
    scope=Scope.VIEWER,
    answer=Answer(SessionKnowledgeSchema),
)
def get_knowledge(session_id: int) -> Response:
    """Lanes, knob ranking, workload, metrics kept, explanation, and the sessions it learns from."""
    return jsonify(knowledge_of(services().store, session_id).to_dict())


@operation(
    blueprint,
    "/history",
    scope=Scope.VIEWER,
    query=HistoryQuery,
    answer=page_answer(KnownTaskSchema),
)
def list_history(query: dict[str, Any]) -> Any:
    """What came of each session, newest first."""
    return paged(known_history(services().store, **query), query)
