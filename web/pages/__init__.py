"""The dashboard: read-only pages."""

from __future__ import annotations

from flask import Flask

from web.access import form_key, logged_in
from web.pages import history, login, overview, sessions, targets
from web.pages.wording import register_wording


def register_pages(app: Flask) -> None:
    """Put the pages into the application."""
    register_wording(app)
    for module in (overview, targets, sessions, history, login):
        app.register_blueprint(module.blueprint)
    app.add_template_global(logged_in, "logged_in")
    app.add_template_global(form_key, "form_key")
