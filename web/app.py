"""The application factory: the API, the pages and the metrics on one knowledge base."""

from __future__ import annotations

import secrets

from flask import Flask

from knowledge_base.store import Store
from targets.clock import Clock, SystemClock
from tuner.service import SessionService
from web.access import LoginCookie
from web.api import register_api
from web.errors import respond
from web.in_flight import InFlight
from web.metrics import register_metrics
from web.openapi import make_api
from web.pages import register_pages
from web.security import harden
from web.services import EXTENSION, Services
from web.settings import WebSettings
from web.strict_json import StrictJSONProvider
from web.throttle import FailureLimiter

SESSION_COOKIE = "lontra_login"


def create_app(
    store: Store, settings: WebSettings | None = None, *, clock: Clock | None = None
) -> Flask:
    """A WSGI application. It fits no model and keeps no state but the knowledge base's.

    Args:
        store: the knowledge base, open; the caller closes it.
        settings: see `WebSettings`.
        clock: where time comes from.
    """
    settings = settings or WebSettings()
    clock = clock or SystemClock()
    app = Flask(__name__)
    app.json = StrictJSONProvider(app)
    app.session_interface = LoginCookie()
    app.config.update(
        SECRET_KEY=settings.secret_key or secrets.token_hex(32),
        MAX_CONTENT_LENGTH=settings.body_bytes,
        SESSION_COOKIE_NAME=SESSION_COOKIE,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_COOKIE_SECURE=settings.secure_cookie,
    )
    app.extensions[EXTENSION] = Services(
        store=store,
        sessions=SessionService(store, clock),
        clock=clock,
        settings=settings,
        limiter=FailureLimiter(clock, per_minute=settings.failures_per_minute),
        in_flight=InFlight(),
    )
    app.register_error_handler(Exception, respond)
    app.url_map.strict_slashes = False
    harden(app, settings)
    register_api(make_api(app))
    register_pages(app)
    register_metrics(app)
    return app
