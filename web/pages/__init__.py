"""The dashboard: read-only pages."""

from __future__ import annotations

from flask import Flask

from web.pages import login, overview, sessions, targets
from web.pages.wording import register_wording

GUARDED = (overview.blueprint, targets.blueprint, sessions.blueprint)


def register_pages(app: Flask) -> None:
    """Put the pages into the application."""
    register_wording(app)
    for blueprint in GUARDED:
        app.before_request_funcs.setdefault(blueprint.name, []).append(login.require_access)
        app.register_blueprint(blueprint)
    app.register_blueprint(login.blueprint)
    app.context_processor(login.page_context)
