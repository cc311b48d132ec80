"""Rows that are stored once and referred to by what they hold: spaces, workloads, dictionaries."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from knowledge_base.schema import MetricDictionaryRow, SpaceRow, WorkloadRow


def digest_of(value: Any) -> str:
    """SHA-256 over the value as JSON with sorted keys, in hexadecimal."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def stored_once(
    session: Session,
    kind: type[SpaceRow] | type[WorkloadRow] | type[MetricDictionaryRow],
    digest: str,
    **values: Any,
) -> int:
    """The id of the row with this digest; added first where there is none.

    Two transactions may add the same at once: the second waits for the first and takes its row.
    """
    wanted = select(kind.id).where(kind.digest == digest)
    found = session.scalar(wanted)
    if found is not None:
        return found
    insert_or_leave(session, kind, {"digest": digest, **values}, unique=("digest",))
    return session.scalars(wanted).one()


def insert_or_leave(
    session: Session, kind: type[Any], values: dict[str, Any], *, unique: tuple[str, ...]
) -> None:
    """Insert a row unless there is one with the same `unique` columns already."""
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    session.execute(
        dialect.insert(kind).values(**values).on_conflict_do_nothing(index_elements=unique)
    )
