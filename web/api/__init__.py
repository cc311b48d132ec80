"""The REST API: one module a resource."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask

from web.api import (
    agent_events,
    agents,
    events,
    health,
    knowledge,
    recommendations,
    reference,
    sessions,
    targets,
    tokens,
    trials,
)
from web.openapi import ApiBlueprint, LontraApi, make_api

BLUEPRINTS: tuple[ApiBlueprint, ...] = (
    targets.blueprint,
    agents.blueprint,
    agent_events.blueprint,
    sessions.blueprint,
    trials.blueprint,
    recommendations.blueprint,
    knowledge.blueprint,
    events.blueprint,
    tokens.blueprint,
    health.blueprint,
)


def register_api(api: LontraApi) -> None:
    """Put every resource, the specification and its page into the application."""
    for blueprint in BLUEPRINTS:
        api.register_blueprint(blueprint)
    reference.register(api)


def api_document() -> Mapping[str, Any]:
    """The OpenAPI document, without a server or a knowledge base behind it."""
    api = make_api(Flask(__name__))
    register_api(api)
    return api.document()
