"""Tokens: an operator makes, lists and revokes credentials. A secret is shown once."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields

from knowledge_base.records import NewEvent, Scope, Token
from web.api.answers import TokenSchema
from web.api.fields import Choice, Moment, StrictSchema, Text, parse_moment
from web.api.operation import Answer, caller, operation
from web.auth import actor_of
from web.errors import Problem
from web.openapi import ApiBlueprint
from web.services import services

blueprint = ApiBlueprint(
    "tokens", __name__, url_prefix="/api/v1/tokens", description="Credentials, for operators"
)


class NewTokenSchema(StrictSchema):
    """An agent's token names its target, which need not be described yet."""

    scope = Choice(Scope, required=True)
    label = Text(required=True, shortest=1)
    target = Text(shortest=1)
    expires_at = Moment()


class IssuedTokenSchema(TokenSchema):
    """A new token with its text, which cannot be had again."""

    token = fields.String(required=True)


class TokenList(ma.Schema):
    """All tokens, newest first, revoked and expired ones too."""

    items = fields.List(fields.Nested(TokenSchema), required=True)


@operation(
    blueprint,
    "",
    method="POST",
    scope=Scope.OPERATOR,
    body=NewTokenSchema,
    answer=Answer(IssuedTokenSchema, 201),
    problems=("invalid",),
    repeatable=True,
)
def create_token(new: dict[str, str]) -> Any:
    """Make a token. An Idempotency-Key is not kept: the answer holds a secret."""
    store = services().store
    scope = Scope(new["scope"])
    if (scope is Scope.AGENT) != ("target" in new):
        raise Problem("invalid", "an agent's token needs a target; the others are bound to none")
    target_id = store.targets.describe(new["target"], {}).id if "target" in new else None
    token, text = store.tokens.create(
        scope=scope,
        label=new["label"],
        target_id=target_id,
        expires_at=parse_moment(new["expires_at"]) if "expires_at" in new else None,
    )
    _note("token-created", token)
    return {**vars(token), "token": text}


@operation(blueprint, "", scope=Scope.OPERATOR, answer=Answer(TokenList))
def list_tokens() -> dict[str, Any]:
    """All tokens, without their secrets."""
    return {"items": services().store.tokens.list()}


@operation(
    blueprint,
    "/<string(length=8):token_id>",
    method="DELETE",
    scope=Scope.OPERATOR,
    answer=Answer(TokenSchema),
    repeatable=True,
)
def revoke_token(token_id: str) -> Token:
    """Refuse a token from now on."""
    token = services().store.tokens.revoke(token_id)
    _note("token-revoked", token)
    return token


def _note(kind: str, token: Token) -> None:
    services().store.events.add(
        NewEvent(
            actor=actor_of(caller()),
            kind=kind,
            message=f"token {token.id} of scope {token.scope}: {token.label}",
            occurred_at=services().clock.now(),
            target_id=token.target_id,
        )
    )
