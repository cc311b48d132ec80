"""Replies: what was answered to a write, so that the same write sent again is answered alike."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import delete

from knowledge_base.digests import insert_or_leave
from knowledge_base.errors import Conflict
from knowledge_base.records import Reply
from knowledge_base.repositories.base import Repository, record
from knowledge_base.schema import ReplyRow

KEPT_FOR = timedelta(days=1)
"""Longer than any agent goes on sending one message again (its spool ages out before)."""


class RepliesRepository(Repository):
    """Answers by owner (a token's id) and idempotency key; forgotten after a day."""

    def get(self, owner: str, key: str) -> Reply | None:
        """The answer given under this key, if it was given within the last day."""
        with self._database.read() as session:
            row = session.get(ReplyRow, (owner, key))
            if row is None or row.created_at <= self._clock.now() - KEPT_FOR:
                return None
            return record(Reply, row)

    def put(self, owner: str, key: str, *, request_digest: str, status: int, body: Any) -> Reply:
        """Keep an answer; of two given at once the first is kept and returned to both.

        Raises:
            Conflict: the key was used for another request.
        """
        now = self._clock.now()
        with self._database.write() as session:
            session.execute(delete(ReplyRow).where(ReplyRow.created_at <= now - KEPT_FOR))
            insert_or_leave(
                session,
                ReplyRow,
                {
                    "owner": owner,
                    "key": key,
                    "request_digest": request_digest,
                    "status": status,
                    "body": body,
                    "created_at": now,
                },
                unique=("owner", "key"),
            )
            row = session.get_one(ReplyRow, (owner, key))
            if row.request_digest != request_digest:
                raise Conflict(
                    f"idempotency key {key!r} was used for another request: "
                    "make a new key for every new request"
                )
            return record(Reply, row)
