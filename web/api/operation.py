"""`operation`: a route declared whole, in one place: path, scope, body, answer, refusals.

What is declared is both enforced and documented, so that the OpenAPI text cannot say otherwise:
the token is checked first, then the media type, then an idempotency key seen before, then body
and query, and only then does the handler run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from http import HTTPStatus
from typing import Any

import marshmallow as ma
from flask import Response, g, make_response, request

from knowledge_base.records import Scope, Token
from web.auth import authorise
from web.errors import PROBLEM_JSON, PROBLEMS, Problem
from web.idempotency import HEADER, MAXIMUM_KEY, REPLAY_HEADER, once
from web.openapi import PROBLEM_REFERENCE, ApiBlueprint

Handler = Callable[..., Any]


_PROBLEM_HEADERS = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "how to authenticate"},
    HTTPStatus.TOO_MANY_REQUESTS: {"Retry-After": "seconds to wait"},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": "seconds to wait"},
}


@dataclass(frozen=True)
class Answer:
    """What success looks like."""

    schema: type[ma.Schema] | None
    status: int = 200
    description: str = ""
    headers: Mapping[str, str] | None = None


def operation(
    blueprint: ApiBlueprint,
    rule: str,
    *,
    answer: Answer,
    scope: Scope | None,
    method: str = "GET",
    body: type[ma.Schema] | None = None,
    body_required: bool = True,
    query: type[ma.Schema] | None = None,
    problems: Sequence[str] = (),
    repeatable: bool = False,
    also: Answer | None = None,
) -> Callable[[Handler], Handler]:
    """Declare a route.

    The handler is called with the body, then the query (where declared), then the path's
    parameters by name; it returns what the answer's schema dumps.

    Args:
        blueprint: the resource.
        rule: the path within it.
        answer: what success looks like; `also` a second form of it.
        scope: the scope that a token must serve; None lets anybody in.
        method: GET, POST, DELETE, ...
        body, body_required, query: the schemas of what is sent.
        problems: the codes of `PROBLEMS` that the handler itself may give.
        repeatable: whether a write may be carried out again without harm or is answered from
            memory when its Idempotency-Key was seen before (False).
    """
    keeps_replies = method != "GET" and not repeatable and scope is not None

    def declare(handler: Handler) -> Handler:
        view = blueprint.response(
            answer.status,
            answer.schema,
            description=answer.description or None,
            headers=_header_docs(answer, replays=keeps_replies),
        )(handler)
        if also is not None:
            view = blueprint.alt_response(
                also.status,
                schema=also.schema,
                description=also.description,
                headers=_header_docs(also),
                success=True,
            )(view)
        if query is not None:
            view = blueprint.arguments(query, location="query")(view)
        if body is not None:
            view = blueprint.arguments(body, required=body_required)(view)
        given = (*problems, *_implied(scope, body, query, rule, keeps_replies=keeps_replies))
        view = blueprint.doc(
            responses=_problem_docs(given), **_manual_docs(scope, keeps_replies=keeps_replies)
        )(view)
        guarded = _guard(view, scope=scope, has_body=body is not None, once_only=keeps_replies)
        blueprint.route(rule, methods=[method])(guarded)
        return handler

    return declare


def caller() -> Token:
    """The token of the request being handled."""
    token: Token = g.token
    return token


def _guard(view: Handler, *, scope: Scope | None, has_body: bool, once_only: bool) -> Handler:
    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Response:
        if scope is not None:
            authorise(scope)
        if has_body and request.get_data(cache=True) and not request.is_json:
            raise Problem("not-json", "send the body as Content-Type: application/json")
        if once_only:
            return once(caller(), lambda: make_response(view(*args, **kwargs)))
        return make_response(view(*args, **kwargs))

    return guarded


def _implied(
    scope: Scope | None,
    body: type[ma.Schema] | None,
    query: type[ma.Schema] | None,
    rule: str,
    *,
    keeps_replies: bool,
) -> list[str]:
    """The refusals that follow from what is declared."""
    codes = ["malformed", "unavailable"]
    if scope is not None:
        codes += ["unauthorised", "forbidden", "too-many-failures"]
    if "<" in rule:
        codes.append("not-found")
    if body is not None:
        codes += ["too-large", "not-json"]
    if body is not None or query is not None:
        codes.append("invalid")
    if keeps_replies:
        codes += ["in-progress", "key-reused"]
    return codes


def _by_status(codes: Sequence[str]) -> Mapping[HTTPStatus, list[str]]:
    grouped: dict[HTTPStatus, list[str]] = defaultdict(list)
    for code in dict.fromkeys(codes):
        grouped[PROBLEMS[code].status].append(code)
    return grouped


def _header_docs(answer: Answer, *, replays: bool = False) -> dict[str, Any] | None:
    described = dict(answer.headers or {})
    if replays:
        described[REPLAY_HEADER] = "`true` when this answer was given before"
    return _documented(described)


def _problem_docs(codes: Sequence[str]) -> dict[str, Any]:
    return {
        str(int(status)): {
            "description": "; ".join(f"`{code}`: {PROBLEMS[code].meaning}" for code in grouped),
            "content": {PROBLEM_JSON: {"schema": PROBLEM_REFERENCE}},
            "headers": _documented(_PROBLEM_HEADERS.get(status, {})) or {},
        }
        for status, grouped in _by_status(codes).items()
    }


def _documented(headers: Mapping[str, str]) -> dict[str, Any] | None:
    return {
        name: {"description": text, "schema": {"type": "string"}} for name, text in headers.items()
    } or None


def _manual_docs(scope: Scope | None, *, keeps_replies: bool) -> dict[str, Any]:
    if scope is None:
        return {"security": []}
    docs: dict[str, Any] = {"x-scope": str(scope)}
    if keeps_replies:
        docs["parameters"] = [
            {
                "in": "header",
                "name": HEADER,
                "required": False,
                "description": "sent again with the same key, the write is carried out once",
                "schema": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": MAXIMUM_KEY,
                    "pattern": "^[!-~]+$",
                },
            }
        ]
    return docs
