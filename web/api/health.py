"""Health: whether the server can do its work. Open to anybody; tells no secret."""

from __future__ import annotations

import logging
from typing import Any

import marshmallow as ma
from marshmallow import fields

from targets.protocol import OLDEST_SERVED_VERSION, PROTOCOL_VERSION
from web.api.operation import Answer, operation
from web.errors import Problem
from web.openapi import ApiBlueprint
from web.services import services
from web.version import lontra_version

logger = logging.getLogger(__name__)

blueprint = ApiBlueprint("health", __name__, url_prefix="/api/v1/health", description="Is it well?")


class HealthSchema(ma.Schema):
    """The server's version, and the agents it serves."""

    status = fields.String(required=True, metadata={"enum": ["ok"]})
    version = fields.String(required=True)
    protocol = fields.Integer(required=True)
    oldest_protocol = fields.Integer(required=True)


@operation(blueprint, "", scope=None, answer=Answer(HealthSchema), problems=("unavailable",))
def get_health() -> dict[str, Any]:
    """200 when the knowledge base answers; 503 when it does not."""
    try:
        services().store.targets.list(limit=1)
    # Whatever a database driver raises when its database is away.
    except Exception as error:
        logger.exception("knowledge base does not answer")
        raise Problem(
            "unavailable", "the knowledge base does not answer; the server's log says why"
        ) from error
    return {
        "status": "ok",
        "version": lontra_version(),
        "protocol": PROTOCOL_VERSION,
        "oldest_protocol": OLDEST_SERVED_VERSION,
    }
