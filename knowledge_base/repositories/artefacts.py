"""Artefacts: what the pipeline concluded, version by version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, func, select

from knowledge_base.engine import one_at_a_time
from knowledge_base.records import Artefact
from knowledge_base.repositories.base import Repository, record, stored
from knowledge_base.schema import ArtefactRow


class ArtefactsRepository(Repository):
    """Versioned results of pipeline stages, for one session or for the whole history."""

    def put(
        self, kind: str, content: Mapping[str, Any], *, session_id: int | None = None
    ) -> Artefact:
        """Keep a new version, numbered from 1. Raises Conflict when there is no such session."""
        with self._database.write() as session:
            one_at_a_time(session, f"artefact {kind} {session_id}")
            last = session.scalar(
                select(func.max(ArtefactRow.version)).where(*_of(kind, session_id))
            )
            row = ArtefactRow(
                kind=kind,
                session_id=session_id,
                version=(last or 0) + 1,
                content=dict(content),
                created_at=self._clock.now(),
            )
            return record(Artefact, stored(session, row))

    def latest(self, kind: str, *, session_id: int | None = None) -> Artefact | None:
        """The newest version; None when there is none."""
        with self._database.read() as session:
            row = session.scalar(
                select(ArtefactRow)
                .where(*_of(kind, session_id))
                .order_by(ArtefactRow.version.desc())
                .limit(1)
            )
            return None if row is None else record(Artefact, row)


def _of(kind: str, session_id: int | None) -> tuple[ColumnElement[bool], ...]:
    # `== None` is rendered as IS NULL.
    return ArtefactRow.kind == kind, ArtefactRow.session_id == session_id
