"""Targets as last described, and knob spaces as they were once described."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select

from knowledge_base.digests import insert_or_leave, stored_once
from knowledge_base.errors import NotFound
from knowledge_base.records import Page, Target
from knowledge_base.repositories.base import Repository, found, page, record, stored
from knowledge_base.schema import SpaceRow, TargetRow
from targets.space import KnobSpace


class TargetsRepository(Repository):
    """The systems that can be tuned."""

    def describe(self, name: str, description: Mapping[str, Any]) -> Target:
        """Keep what an agent found; a new name makes a new target.

        Args:
            name: the target's name.
            description: `Description.to_dict()`; or `{}` to make the name known before its agent
                first speaks (a token can then be bound to it), which never forgets a description.

        Raises:
            InvalidKnob, InvalidExpression: the description's space is declared wrongly.
            InvalidRecord: the description holds something that JSON does not.
        """
        space = KnobSpace.from_dict(description["space"]) if description else None
        now = self._clock.now()
        with self._database.write() as session:
            insert_or_leave(
                session,
                TargetRow,
                {"name": name, "kind": "", "version": "", "description": {}, "created_at": now},
                unique=("name",),
            )
            target = session.scalars(
                select(TargetRow).where(TargetRow.name == name).with_for_update()
            ).one()
            if space is not None:
                target.kind = description["kind"]
                target.version = description["version"]
                target.space_id = stored_once(
                    session, SpaceRow, space.digest(), space=space.to_dict(), created_at=now
                )
                target.description = dict(description)
                target.described_at = now
            return record(Target, stored(session, target))

    def get(self, target_id: int) -> Target:
        """One target. Raises NotFound."""
        with self._database.read() as session:
            return record(Target, found(session, TargetRow, target_id, what="target"))

    def by_name(self, name: str) -> Target:
        """The target of that name. Raises NotFound."""
        with self._database.read() as session:
            target = session.scalar(select(TargetRow).where(TargetRow.name == name))
            if target is None:
                raise NotFound(
                    f"there is no target {name!r}: `lontra targets` lists those that are known"
                )
            return record(Target, target)

    def names(self, target_ids: Iterable[int]) -> dict[int, tuple[str, str]]:
        """Target -> its name and kind, without the long description."""
        with self._database.read() as session:
            rows = session.execute(
                select(TargetRow.id, TargetRow.name, TargetRow.kind).where(
                    TargetRow.id.in_(list(target_ids))
                )
            )
            return {key: (name, kind) for key, name, kind in rows}

    def list(self, *, limit: int = 100, offset: int = 0) -> Page[Target]:
        """The targets by name."""
        with self._database.read() as session:
            return page(
                session,
                select(TargetRow).order_by(TargetRow.name),
                lambda row: record(Target, row),
                limit=limit,
                offset=offset,
            )

    def space(self, space_id: int) -> KnobSpace:
        """A knob space as it was described. Raises NotFound."""
        with self._database.read() as session:
            row = found(session, SpaceRow, space_id, what="knob space")
            return KnobSpace.from_dict(row.space)
