"""Who may see the pages: a browser on this machine, or whoever logged in with a token.

The login cookie is signed and holds the token's id, never its secret; every request looks the
token up again, so that a revoked one ends the login at once.
"""

from __future__ import annotations

import hmac
import secrets
from ipaddress import ip_address

from flask import Flask, request, session
from flask.sessions import SecureCookieSessionInterface

from knowledge_base.records import Scope, Token
from web.auth import SERVING_SCOPES, check_token
from web.errors import Problem
from web.hosts import is_one_of
from web.services import services
from web.settings import LOOPBACK_HOSTS

FORWARDING_HEADERS = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP")

_TOKEN = "token"  # noqa: S105 - a key of the cookie
_SINCE = "since"
_CSRF = "csrf"


class LoginCookie(SecureCookieSessionInterface):
    """Flask's signed cookie, marked Secure whenever the browser came by TLS."""

    def get_cookie_secure(self, app: Flask) -> bool:
        return super().get_cookie_secure(app) or request.is_secure


def from_this_machine() -> bool:
    """Whether a program on this machine asks under a loopback name, with no proxy between."""
    settings = services().settings
    try:
        loopback = ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        return False
    return (
        settings.open_on_loopback
        and settings.trusted_proxies == 0
        and loopback
        and is_one_of(request.headers.get("Host"), LOOPBACK_HOSTS)
        and not any(name in request.headers for name in FORWARDING_HEADERS)
    )


def may_see_pages() -> bool:
    """Whether this request may read the pages."""
    return from_this_machine() or logged_in() is not None


def logged_in() -> Token | None:
    """The token that the browser logged in with, while it is valid and not too long ago."""
    token_id, since = session.get(_TOKEN), session.get(_SINCE)
    now = services().clock.now()
    if token_id is None or since is None:
        return None
    if now.timestamp() - since > services().settings.login_seconds:
        return None
    for token in services().store.tokens.list():
        expired = token.expires_at is not None and token.expires_at <= now
        if token.id == token_id and token.revoked_at is None and not expired:
            return token
    return None


def log_in(text: str) -> Token:
    """Log the browser in.

    Raises:
        Problem: unauthorised, forbidden (an agent's token) or too-many-failures.
    """
    token = check_token(text)
    if token.scope not in SERVING_SCOPES[Scope.VIEWER]:
        raise Problem("forbidden", f"a token of scope {token.scope} does not open the pages")
    session.clear()
    session[_TOKEN] = token.id
    session[_SINCE] = services().clock.now().timestamp()
    return token


def log_out() -> None:
    """Forget the login."""
    session.clear()


def form_key() -> str:
    """The secret that this browser's forms carry (against forged requests)."""
    if _CSRF not in session:
        session[_CSRF] = secrets.token_urlsafe(32)
    key: str = session[_CSRF]
    return key


def check_form_key(given: str) -> None:
    """Refuse a form that this server did not make for this browser.

    Raises:
        Problem: forbidden.
    """
    known = session.get(_CSRF, "")
    if not known or not hmac.compare_digest(known.encode(), given.encode()):
        raise Problem("forbidden", "the form is out of date: open the page again")
