"""Health: whether the server can do its work. Open to anybody; tells no secret."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields

from targets.protocol import OLDEST_SERVED_VERSION, PROTOCOL_VERSION
from web.api.operation import Answer, operation
from web.openapi import ApiBlueprint
from web.services import services
from web.version import lontra_version

blueprint = ApiBlueprint("health", __name__, url_prefix="/api/v1/health", description="Is it well?")


class HealthSchema(ma.Schema):
    """The server's version, and the agents it serves."""

    status = fields.String(required=True, metadata={"enum": ["ok"]})
    version = fields.String(required=True)
    protocol = fields.Integer(required=True)
    oldest_protocol = fields.Integer(required=True)


@operation(blueprint, "", scope=None, answer=Answer(HealthSchema))
def get_health() -> dict[str, Any]:
    """200 when the knowledge base answers; 503 when it does not."""
    services().store.targets.list(limit=1)
    return {
        "status": "ok",
        "version": lontra_version(),
        "protocol": PROTOCOL_VERSION,
        "oldest_protocol": OLDEST_SERVED_VERSION,
    }
