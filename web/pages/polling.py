"""Parts of pages that are asked for again and again: unchanged, they are answered by 304."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from flask import Response, render_template, request


def live(template: str, contents: Mapping[str, object], *, etag: str | None = None) -> Response:
    """The fragment with its ETag, or 304 when the browser has it already.

    Without `etag` the text itself decides; pages that can tell more cheaply pass their own.
    """
    text = render_template(template, **contents)
    return tagged(Response(text), etag or hashlib.sha256(text.encode()).hexdigest()[:32])


def unchanged(etag: str) -> Response | None:
    """304, when the browser has this version already."""
    if request.if_none_match.contains(etag):
        return tagged(Response(status=304), etag)
    return None


def tagged(response: Response, etag: str) -> Response:
    """The response with its ETag; empty when the browser has that version."""
    response.set_etag(etag)
    response.headers["Cache-Control"] = "no-cache, private"
    response.make_conditional(request)
    return response
