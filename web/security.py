"""What every answer carries, and which names the server answers to."""

from __future__ import annotations

from flask import Flask, Response, request
from werkzeug.middleware.proxy_fix import ProxyFix

from web.errors import Problem
from web.hosts import is_one_of
from web.settings import WebSettings

# No inline script or style, nothing from elsewhere, no frame around it: what a page needs is
# served beside it. htmx runs without eval, ECharts styles through the DOM.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "base-uri 'none'",
        "connect-src 'self'",
        "font-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "img-src 'self' data:",
        "object-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
    )
)

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def harden(app: Flask, settings: WebSettings) -> None:
    """Check the Host header of every request, and put the headers on every answer."""
    if settings.trusted_proxies:
        count = settings.trusted_proxies
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign] # Flask's documented way
            app.wsgi_app, x_for=count, x_proto=count, x_host=0
        )

    @app.before_request
    def check_host() -> None:
        if not is_one_of(request.headers.get("Host"), settings.trusted_hosts):
            raise Problem(
                "malformed",
                "this server does not answer to that Host: reach it by a name it knows, or name "
                "the host in trusted_hosts (lontra serve --trusted-host)",
            )

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.update(HEADERS)
        if request.path.startswith(("/api/", "/metrics")):
            response.headers["Cache-Control"] = "no-store"
        elif "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "no-cache, private"
        if settings.secure_cookie or request.is_secure:
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        return response
