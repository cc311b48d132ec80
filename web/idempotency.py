"""Writes that may be sent twice: the same Idempotency-Key is carried out once, answered alike.

Only successes are kept, so a refused write may be tried again under its key. Keys belong to the
token that sent them. A body that differs under a known key is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

from flask import Response, request

from knowledge_base.errors import Conflict
from knowledge_base.records import Reply, Token
from web.errors import Problem
from web.services import services

HEADER = "Idempotency-Key"
REPLAY_HEADER = "Idempotent-Replay"
MAXIMUM_KEY = 200
KEPT_HEADERS = ("Location",)


def request_key() -> str | None:
    """The request's idempotency key.

    Raises:
        Problem: malformed, when it cannot be one.
    """
    key = request.headers.get(HEADER)
    if key is not None and not (
        1 <= len(key) <= MAXIMUM_KEY and key.isascii() and key.isprintable()
    ):
        raise Problem(
            "malformed", f"{HEADER} must be 1 to {MAXIMUM_KEY} printable ASCII characters"
        )
    return key


def once(owner: Token, carry_out: Callable[[], Response]) -> Response:
    """Carry the write out, or answer as it was answered before.

    Raises:
        Problem: key-reused, in-progress, or whatever `carry_out` raises.
    """
    key = request_key()
    if key is None:
        return carry_out()
    digest = _request_digest()
    with services().in_flight.claim(owner.id, key):
        earlier = services().store.replies.get(owner.id, key)
        if earlier is not None:
            return _replay(earlier, key, digest)
        response = carry_out()
        if response.status_code < 300:
            _keep(owner, key, digest, response)
        return response


def _keep(owner: Token, key: str, digest: str, response: Response) -> None:
    headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    try:
        services().store.replies.put(
            owner.id,
            key,
            request_digest=digest,
            status=response.status_code,
            body={"answer": response.get_json(), "headers": headers},
        )
    except Conflict as error:
        raise Problem("key-reused", str(error)) from error


def _request_digest() -> str:
    line = f"{request.method} {request.full_path}\n".encode()
    return hashlib.sha256(line + request.get_data(cache=True)).hexdigest()


def _replay(earlier: Reply, key: str, digest: str) -> Response:
    if earlier.request_digest != digest:
        raise Problem(
            "key-reused",
            f"{HEADER} {key!r} came with another request before: make a new key for every write",
        )
    return Response(
        json.dumps(earlier.body["answer"]),
        status=earlier.status,
        content_type="application/json",
        headers={**earlier.body["headers"], REPLAY_HEADER: "true"},
    )
