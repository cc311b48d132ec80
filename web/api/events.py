"""Events: the audit log. Follow it by asking again with the last number seen."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields

from knowledge_base.records import Scope
from web.api.answers import EventSchema
from web.api.fields import StrictSchema, Text, Whole
from web.api.operation import Answer, operation
from web.api.pagination import LARGEST_PAGE, whole_parameters
from web.openapi import ApiBlueprint
from web.services import services

blueprint = ApiBlueprint(
    "events", __name__, url_prefix="/api/v1/events", description="Who did what, when and why"
)


class EventQuery(StrictSchema):
    """Which events."""

    after = Whole(load_default=0, metadata={"description": "only those with a higher number"})
    limit = Whole(low=1, high=LARGEST_PAGE, load_default=100)
    target_id = Whole(low=1)
    session_id = Whole(low=1)
    kind = Text()

    @ma.pre_load
    def _numbers(self, data: Any, **_: Any) -> dict[str, Any]:
        return whole_parameters(data)


class EventList(ma.Schema):
    """Events in the order in which they were recorded."""

    items = fields.List(fields.Nested(EventSchema), required=True)
    last = fields.Integer(required=True, metadata={"description": "ask for more with after=<last>"})


@operation(blueprint, "", scope=Scope.VIEWER, query=EventQuery, answer=Answer(EventList))
def list_events(query: dict[str, Any]) -> dict[str, Any]:
    """The audit log from `after` on, oldest first: nothing is missed or seen twice."""
    events = services().store.events.list(
        after_id=query["after"],
        limit=query["limit"],
        target_id=query.get("target_id"),
        session_id=query.get("session_id"),
        kind=query.get("kind"),
    )
    return {"items": events, "last": events[-1].id if events else query["after"]}
