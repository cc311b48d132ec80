"""What is promised of tokens and of idempotency replies."""

# ruff: noqa: S101 - asserts are what a suite is made of

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy import text

from knowledge_base.errors import Conflict, InvalidRecord, NotFound
from knowledge_base.records import Scope
from knowledge_base.store import Store
from knowledge_base.testing.scene import described
from targets.clock import ManualClock


class AccessContract:
    """Secrets are never stored; writes sent again are answered alike."""

    def test_a_token_is_known_by_its_text_alone(self, store: Store, clock: ManualClock) -> None:
        target = described(store)
        token, secret = store.tokens.create(
            scope=Scope.AGENT, label="orders-db's agent", target_id=target.id
        )
        assert re.fullmatch(r"lontra_[0-9A-Za-z]{8}_[0-9A-Za-z_-]{43}", secret)
        assert secret[7:15] == token.id
        known = store.tokens.verify(secret)
        assert known is not None
        assert (known.id, known.scope, known.target_id) == (token.id, Scope.AGENT, target.id)
        assert (token.last_used_at, known.last_used_at) == (None, clock.now())

    def test_what_is_no_token_opens_nothing(self, store: Store) -> None:
        _, secret = store.tokens.create(scope=Scope.VIEWER, label="")
        _, other = store.tokens.create(scope=Scope.OPERATOR, label="")
        swapped = other[:16] + secret[16:]
        wrong_id = "lontra_" + "0" * 8 + secret[15:]
        for text_ in ("", "lontra_", secret[:-1], secret + "x", swapped, wrong_id, secret.upper()):
            assert store.tokens.verify(text_) is None

    def test_a_secret_is_not_in_the_database(self, store: Store) -> None:
        _, secret = store.tokens.create(scope=Scope.OPERATOR, label="ada")
        with store.database.read() as session:
            (row,) = session.execute(text("SELECT * FROM tokens")).all()
        assert not any(secret[16:] in str(value) for value in row)

    def test_a_revoked_token_is_refused_for_ever(self, store: Store, clock: ManualClock) -> None:
        token, secret = store.tokens.create(scope=Scope.OPERATOR, label="ada")
        revoked = store.tokens.revoke(token.id)
        assert revoked.revoked_at == clock.now()
        assert store.tokens.verify(secret) is None
        clock.advance(60)
        assert store.tokens.revoke(token.id) == revoked
        with pytest.raises(NotFound, match="token unknown"):
            store.tokens.revoke("unknown")

    def test_a_token_expires_on_time(self, store: Store, clock: ManualClock) -> None:
        _, secret = store.tokens.create(
            scope=Scope.VIEWER, label="", expires_at=clock.now() + timedelta(seconds=10)
        )
        clock.advance(9.999)
        assert store.tokens.verify(secret) is not None
        clock.advance(0.001)
        assert store.tokens.verify(secret) is None

    def test_use_is_noted_once_a_minute(self, store: Store, clock: ManualClock) -> None:
        _, secret = store.tokens.create(scope=Scope.VIEWER, label="")
        store.tokens.verify(secret)
        first_used = clock.now()
        clock.advance(59)
        store.tokens.verify(secret)
        assert store.tokens.list()[0].last_used_at == first_used
        clock.advance(1)
        store.tokens.verify(secret)
        assert store.tokens.list()[0].last_used_at == clock.now()

    def test_tokens_are_listed_newest_first(self, store: Store, clock: ManualClock) -> None:
        first, _ = store.tokens.create(scope=Scope.VIEWER, label="first")
        clock.advance(1)
        second, _ = store.tokens.create(scope=Scope.VIEWER, label="second")
        assert store.tokens.list() == [second, first]

    def test_a_token_for_a_target_that_is_not_there_is_refused(self, store: Store) -> None:
        with pytest.raises(Conflict):
            store.tokens.create(scope=Scope.AGENT, label="", target_id=41)

    @pytest.mark.parametrize("body", [None, {"id": 2**60, "x": [1e16, None]}, [1, "a"], "text", 5])
    def test_a_reply_is_given_again_as_it_was(
        self, store: Store, clock: ManualClock, body: object
    ) -> None:
        assert store.replies.get("token", "key") is None
        reply = store.replies.put("token", "key", request_digest="d1", status=201, body=body)
        assert store.replies.get("token", "key") == reply
        assert (reply.status, reply.body, reply.created_at) == (201, body, clock.now())
        assert store.replies.get("other", "key") is None

    def test_the_first_reply_stands_and_its_key_is_no_other_request_s(self, store: Store) -> None:
        first = store.replies.put("token", "key", request_digest="d1", status=201, body={"n": 1})
        again = store.replies.put("token", "key", request_digest="d1", status=409, body={"n": 2})
        assert again == first
        with pytest.raises(Conflict, match="another request"):
            store.replies.put("token", "key", request_digest="d2", status=201, body={})

    def test_a_reply_is_forgotten_after_a_day(self, store: Store, clock: ManualClock) -> None:
        store.replies.put("token", "key", request_digest="d1", status=201, body={"n": 1})
        clock.advance(24 * 3600)
        assert store.replies.get("token", "key") is None
        store.replies.put("token", "other", request_digest="d1", status=200, body=None)
        with store.database.read() as session:
            assert session.scalars(text("SELECT key FROM replies")).all() == ["other"]
        fresh = store.replies.put("token", "key", request_digest="d2", status=200, body={"n": 2})
        assert fresh.body == {"n": 2}

    def test_a_key_too_long_to_be_indexed_is_refused(self, store: Store) -> None:
        with pytest.raises(InvalidRecord, match=r"replies\.key"):
            store.replies.put("token", "k" * 300, request_digest="d", status=200, body=None)
