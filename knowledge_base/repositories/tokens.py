"""Tokens: credentials of the API. The secret is shown once and kept as a hash only."""

from __future__ import annotations

import builtins
import hashlib
import hmac
import re
import secrets
import string
from datetime import datetime, timedelta

from sqlalchemy import select

from knowledge_base.records import Scope, Token
from knowledge_base.repositories.base import Repository, locked, record, stored
from knowledge_base.schema import TokenRow

USE_NOTED_EVERY = timedelta(minutes=1)
"""`last_used_at` is written at most so often: a heartbeat must not cost a write of its own."""

SECRET_BYTES = 32
_FORM = re.compile(r"lontra_([0-9A-Za-z]{8})_([0-9A-Za-z_-]{43})", re.ASCII)
_NOBODY = hashlib.sha256(b"").hexdigest()


class TokensRepository(Repository):
    """The API's tokens: `lontra_<8 characters of id>_<43 characters of secret>`.

    The secret has 256 random bits, so a plain SHA-256 protects it: there is nothing to guess.
    """

    def create(
        self,
        *,
        scope: Scope,
        label: str,
        target_id: int | None = None,
        expires_at: datetime | None = None,
    ) -> tuple[Token, str]:
        """A new token and its text, which cannot be had again.

        Raises:
            Conflict: no such target.
        """
        key = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(8))
        secret = secrets.token_urlsafe(SECRET_BYTES)
        with self._database.write() as session:
            row = TokenRow(
                id=key,
                secret_sha256=_hash(secret),
                scope=Scope(scope),
                label=label,
                target_id=target_id,
                created_at=self._clock.now(),
                expires_at=expires_at,
            )
            return record(Token, stored(session, row)), f"lontra_{key}_{secret}"

    def verify(self, text: str) -> Token | None:
        """The token with this text; None when it is unknown, wrong, revoked or expired."""
        form = _FORM.fullmatch(text)
        if form is None:
            return None
        key, secret = form.groups()
        now = self._clock.now()
        with self._database.read() as session:
            row = session.get(TokenRow, key)
            # An unknown id takes as long as a wrong secret.
            expected = _NOBODY if row is None else row.secret_sha256
            matches = hmac.compare_digest(expected, _hash(secret))
            if row is None or not matches or row.revoked_at is not None:
                return None
            if row.expires_at is not None and row.expires_at <= now:
                return None
            token = record(Token, row)
        if token.last_used_at is None or token.last_used_at <= now - USE_NOTED_EVERY:
            return self._note_use(token.id, now)
        return token

    def revoke(self, token_id: str) -> Token:
        """Refuse the token from now on. Raises NotFound."""
        with self._database.write() as session:
            row = locked(session, TokenRow, token_id, what="token")
            row.revoked_at = row.revoked_at or self._clock.now()
            return record(Token, stored(session, row))

    def list(self) -> builtins.list[Token]:
        """All tokens, newest first, revoked and expired ones too."""
        with self._database.read() as session:
            rows = session.scalars(
                select(TokenRow).order_by(TokenRow.created_at.desc(), TokenRow.id)
            )
            return [record(Token, row) for row in rows]

    def _note_use(self, token_id: str, now: datetime) -> Token:
        with self._database.write() as session:
            row = locked(session, TokenRow, token_id, what="token")
            row.last_used_at = now
            return record(Token, stored(session, row))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
