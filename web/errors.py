"""Every refusal the server gives: one list of problems, told as RFC 9457 `problem+json`.

```
Problem                 raised anywhere in a request; its code is a key of PROBLEMS
```

A client decides by `code`, which is stable; `detail` is for people.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Response, render_template, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from knowledge_base.errors import Conflict, Held, InvalidRecord, NotFound, Unavailable
from targets.errors import InvalidExpression, InvalidKnob, LontraError, ProtocolError, StaleEpoch
from tuner.errors import InvalidSession
from web.strict_json import MalformedJson

logger = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"


@dataclass(frozen=True)
class ProblemKind:
    """A kind of refusal: its HTTP status and what it means."""

    status: HTTPStatus
    meaning: str


PROBLEMS: Mapping[str, ProblemKind] = {
    "malformed": ProblemKind(HTTPStatus.BAD_REQUEST, "the request or its JSON cannot be read"),
    "unauthorised": ProblemKind(HTTPStatus.UNAUTHORIZED, "no valid token was sent"),
    "forbidden": ProblemKind(HTTPStatus.FORBIDDEN, "the token does not reach this far"),
    "not-found": ProblemKind(HTTPStatus.NOT_FOUND, "there is no such thing"),
    "method-not-allowed": ProblemKind(
        HTTPStatus.METHOD_NOT_ALLOWED, "the path knows other methods: see Allow"
    ),
    "conflict": ProblemKind(HTTPStatus.CONFLICT, "it does not fit the present state"),
    "held": ProblemKind(HTTPStatus.CONFLICT, "another agent holds the target"),
    "superseded": ProblemKind(
        HTTPStatus.CONFLICT, "the agent was started again, or lost its lease"
    ),
    "stale-epoch": ProblemKind(HTTPStatus.CONFLICT, "the trial was taken back from the agent"),
    "in-progress": ProblemKind(
        HTTPStatus.CONFLICT, "the same write is being carried out: ask again"
    ),
    "too-large": ProblemKind(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too large"),
    "not-json": ProblemKind(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body is not declared as application/json"
    ),
    "invalid": ProblemKind(
        HTTPStatus.UNPROCESSABLE_ENTITY, "a field is missing or wrong: see errors"
    ),
    "invalid-session": ProblemKind(
        HTTPStatus.UNPROCESSABLE_ENTITY, "the session makes no sense for its target"
    ),
    "never-granted": ProblemKind(
        HTTPStatus.UNPROCESSABLE_ENTITY, "the trial was never given to that agent under that epoch"
    ),
    "key-reused": ProblemKind(
        HTTPStatus.UNPROCESSABLE_ENTITY, "the Idempotency-Key came with another body before"
    ),
    "protocol-too-old": ProblemKind(
        HTTPStatus.UPGRADE_REQUIRED, "the agent speaks a protocol no longer served: see oldest"
    ),
    "too-many-failures": ProblemKind(
        HTTPStatus.TOO_MANY_REQUESTS, "too many failed logins: see Retry-After"
    ),
    "unavailable": ProblemKind(
        HTTPStatus.SERVICE_UNAVAILABLE, "the knowledge base does not answer: try again later"
    ),
    "internal": ProblemKind(HTTPStatus.INTERNAL_SERVER_ERROR, "a fault of the server's"),
}

# How refusals of Werkzeug's and Flask's own are called here.
_CODES_BY_STATUS = {
    HTTPStatus.BAD_REQUEST: "malformed",
    HTTPStatus.NOT_FOUND: "not-found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method-not-allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too-large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "not-json",
    HTTPStatus.UNPROCESSABLE_ENTITY: "invalid",
}

# How what the floors below raise is called here.
_CODES_BY_ERROR: tuple[tuple[type[LontraError], str], ...] = (
    (NotFound, "not-found"),
    (Held, "held"),
    (Conflict, "conflict"),
    (StaleEpoch, "stale-epoch"),
    (InvalidSession, "invalid-session"),
    (ProtocolError, "invalid"),
    (InvalidRecord, "invalid"),
    (InvalidKnob, "invalid"),
    (InvalidExpression, "invalid"),
)

UNAVAILABLE_RETRY_SECONDS = 5


class Problem(Exception):
    """A refusal. `errors` says field by field what is wrong; `extra` are further members."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        errors: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})

    @property
    def status(self) -> HTTPStatus:
        """The HTTP status that goes with the code."""
        return PROBLEMS[self.code].status

    def to_response(self) -> Response:
        """As `problem+json` under /api and /metrics, as a page elsewhere."""
        if not request.path.startswith(("/api/", "/metrics")):
            page = render_template("problem.html", problem=self)
            return Response(page, status=self.status, headers=self.headers)
        body: dict[str, Any] = {
            "type": f"/api/v1/docs#problem-{self.code}",
            "title": self.status.phrase,
            "status": int(self.status),
            "detail": self.detail,
            "code": self.code,
            **self.extra,
        }
        if self.errors:
            body["errors"] = self.errors
        return Response(
            json.dumps(body), status=self.status, headers=self.headers, content_type=PROBLEM_JSON
        )


def problem_of(error: Exception) -> Problem:
    """What to tell the client about an exception; a fault of our own is logged, not told."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, MalformedJson):
        return Problem("malformed", str(error))
    if isinstance(error, HTTPException):
        return _problem_of_http(error)
    if isinstance(error, Unavailable):
        logger.error("knowledge base unavailable path=%s error=%s", request.path, error)
        return Problem(
            "unavailable",
            "the knowledge base does not answer; the server's log says why",
            headers={"Retry-After": str(UNAVAILABLE_RETRY_SECONDS)},
        )
    for family, code in _CODES_BY_ERROR:
        if isinstance(error, family):
            return Problem(code, str(error))
    logger.error("request failed method=%s path=%s", request.method, request.path, exc_info=error)
    return Problem("internal", "the server failed on this request; its log says why")


def _problem_of_http(error: HTTPException) -> Problem:
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        return Problem("internal", "the server failed on this request; its log says why")
    # webargs leaves the faults it found, by place and field, in `data`.
    faults = getattr(error, "data", {}).get("messages")
    detail = "the request does not have the agreed form" if faults else (error.description or "")
    if isinstance(error, RequestEntityTooLarge):
        detail = "the body is too large: send less at once"
    headers = {name: value for name, value in error.get_headers() if name in ("Allow", "Location")}
    return Problem(
        _CODES_BY_STATUS.get(status, "malformed"), detail, errors=faults, headers=headers
    )


def respond(error: Exception) -> Response:
    """The application's one error handler."""
    return problem_of(error).to_response()
