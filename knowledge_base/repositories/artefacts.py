"""Artefacts: what the pipeline concluded, version by version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, func, orm, select

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
            last = _newest(session, kind, session_id)
            return self._add(session, kind, content, session_id, 1 + (last.version if last else 0))

    def put_once(
        self, kind: str, content: Mapping[str, Any], *, session_id: int | None = None
    ) -> Artefact:
        """Keep it unless there is one already; answers the one that is kept.

        Of several who decide the same thing at the same moment, all learn what was decided.
        Raises Conflict when there is no such session.
        """
        with self._database.write() as session:
            one_at_a_time(session, f"artefact {kind} {session_id}")
            kept = _newest(session, kind, session_id)
            if kept is not None:
                return record(Artefact, kept)
            return self._add(session, kind, content, session_id, 1)

    def latest(self, kind: str, *, session_id: int | None = None) -> Artefact | None:
        """The newest version; None when there is none."""
        with self._database.read() as session:
            row = _newest(session, kind, session_id)
            return None if row is None else record(Artefact, row)

    def last_id(self, session_id: int) -> int:
        """Of what was kept last for a session or for the whole history, 0 where nothing was: it
        changes whenever there is something new to tell."""
        told = (ArtefactRow.session_id == session_id) | ArtefactRow.session_id.is_(None)
        with self._database.read() as session:
            return session.scalar(select(func.max(ArtefactRow.id)).where(told)) or 0

    def latest_of(self, kind: str, session_ids: Iterable[int]) -> dict[int, Artefact]:
        """The newest version by session, of the sessions that have one."""
        newest = (
            select(ArtefactRow.session_id, func.max(ArtefactRow.version).label("version"))
            .where(ArtefactRow.kind == kind, ArtefactRow.session_id.in_(list(session_ids)))
            .group_by(ArtefactRow.session_id)
            .subquery()
        )
        with self._database.read() as session:
            rows = session.scalars(
                select(ArtefactRow)
                .join(
                    newest,
                    (ArtefactRow.session_id == newest.c.session_id)
                    & (ArtefactRow.version == newest.c.version),
                )
                .where(ArtefactRow.kind == kind)
            )
            found = [record(Artefact, row) for row in rows]
        return {one.session_id: one for one in found if one.session_id is not None}

    def _add(
        self,
        session: orm.Session,
        kind: str,
        content: Mapping[str, Any],
        session_id: int | None,
        version: int,
    ) -> Artefact:
        row = ArtefactRow(
            kind=kind,
            session_id=session_id,
            version=version,
            content=dict(content),
            created_at=self._clock.now(),
        )
        return record(Artefact, stored(session, row))


def _newest(session: orm.Session, kind: str, session_id: int | None) -> ArtefactRow | None:
    return session.scalar(
        select(ArtefactRow)
        .where(*_of(kind, session_id))
        .order_by(ArtefactRow.version.desc())
        .limit(1)
    )


def _of(kind: str, session_id: int | None) -> tuple[ColumnElement[bool], ...]:
    # `== None` is rendered as IS NULL.
    return ArtefactRow.kind == kind, ArtefactRow.session_id == session_id
