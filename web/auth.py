"""Who asks, and may they: bearer tokens and their scopes.

| endpoint's scope | tokens that may |
|------------------|-----------------|
| viewer           | viewer, operator |
| operator         | operator |
| agent            | agent, for the target that the token is bound to |
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from flask import g, request

from knowledge_base.records import Scope, Token
from web.errors import Problem
from web.services import services

SERVING_SCOPES: Mapping[Scope, frozenset[Scope]] = {
    Scope.VIEWER: frozenset({Scope.VIEWER, Scope.OPERATOR}),
    Scope.OPERATOR: frozenset({Scope.OPERATOR}),
    Scope.AGENT: frozenset({Scope.AGENT}),
}

REALM = 'Bearer realm="lontra"'
_BEARER = re.compile(r"bearer +(\S{1,200})", re.IGNORECASE | re.ASCII)
_TOKEN_ID = re.compile(r"lontra_([0-9A-Za-z]{8})_", re.ASCII)


def authorise(scope: Scope) -> Token:
    """The request's token, which serves `scope`; also kept as `g.token`.

    Raises:
        Problem: unauthorised (401), forbidden (403) or too-many-failures (429).
    """
    found = _BEARER.fullmatch(request.headers.get("Authorization", ""))
    if found is None:
        raise Problem(
            "unauthorised",
            "this needs a token: send Authorization: Bearer lontra_... "
            "(an operator makes one with `lontra token create`)",
            headers={"WWW-Authenticate": REALM},
        )
    token = check_token(found[1])
    if token.scope not in SERVING_SCOPES[scope]:
        raise Problem(
            "forbidden",
            f"token {token.id} has scope {token.scope}; this needs scope {scope}",
            headers={"WWW-Authenticate": f'{REALM}, error="insufficient_scope"'},
        )
    g.token = token
    return token


def check_token(text: str) -> Token:
    """The valid token with this text; failures are counted by source.

    Raises:
        Problem: unauthorised (401), or too-many-failures (429).
    """
    limiter = services().limiter
    address = request.remote_addr or ""
    form = _TOKEN_ID.match(text)
    token_id = form[1] if form else ""
    wait = limiter.wait_seconds(address, token_id)
    if wait > 0:
        raise Problem(
            "too-many-failures",
            f"too many failed logins from {address}: wait {math.ceil(wait)} s",
            headers={"Retry-After": str(math.ceil(wait))},
        )
    token = services().store.tokens.verify(text)
    if token is None:
        limiter.failed(address, token_id)
        raise Problem(
            "unauthorised",
            "the token is unknown, wrong, revoked or expired: ask an operator for a new one",
            headers={"WWW-Authenticate": f'{REALM}, error="invalid_token"'},
        )
    limiter.succeeded(address, token_id)
    return token


def bound_target(token: Token) -> int:
    """The target that an agent's token is bound to.

    Raises:
        Problem: forbidden, when it is bound to none.
    """
    if token.target_id is None:
        raise Problem(
            "forbidden",
            f"token {token.id} is bound to no target: make one with "
            "`lontra token create --scope agent --target NAME`",
        )
    return token.target_id


def require_own(token: Token, target_id: int | None, *, subject: str) -> None:
    """Refuse an agent's token what belongs to another target.

    Raises:
        Problem: forbidden.
    """
    if target_id != bound_target(token):
        raise Problem("forbidden", f"{subject} is not of the target that token {token.id} is for")


def actor_of(token: Token) -> str:
    """How the audit log names who acted: the token's label, and its id, which cannot be faked."""
    return f"{token.label} ({token.id})" if token.label else token.id
