"""What the repositories share: rows to records, pages, and rows locked for a decision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from knowledge_base.columns import LARGEST_INTEGER
from knowledge_base.engine import Database
from knowledge_base.errors import NotFound
from knowledge_base.records import Page
from knowledge_base.schema import Base
from targets.clock import Clock

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

R = TypeVar("R", bound="DataclassInstance")
Row = TypeVar("Row", bound=Base)
T = TypeVar("T")


class Repository:
    """Base of the repositories.

    Locks are taken in this order, so that two transactions never wait for each other:
    targets, leases, sessions, trials, agents.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock


def record(kind: type[R], row: Base, **given: Any) -> R:
    """The row as a record: columns are named as the record's fields; `given` come on top."""
    taken = {f.name: getattr(row, f.name) for f in fields(kind) if f.name not in given}
    return kind(**taken, **given)


def stored(session: Session, row: Row) -> Row:
    """The row as the database has it now, after what was changed is written."""
    session.add(row)
    session.flush()
    session.refresh(row)
    return row


def page(
    session: Session,
    wanted: Select[Row],
    convert: Callable[[Row], T],
    *,
    limit: int,
    offset: int,
) -> Page[T]:
    """The rows from `offset` on, at most `limit`, and how many there are in all."""
    total = session.scalar(select(func.count()).select_from(wanted.order_by(None).subquery()))
    rows = session.scalars(
        wanted.limit(min(limit, LARGEST_INTEGER)).offset(min(offset, LARGEST_INTEGER))
    )
    return Page(tuple(convert(row) for row in rows), total or 0)


def found(session: Session, kind: type[Row], key: int | str, *, what: str) -> Row:
    """The row of that key.

    Raises:
        NotFound: there is none.
    """
    return _required(session.get(kind, key), key, what)


def locked(session: Session, kind: type[Row], key: int | str, *, what: str) -> Row:
    """The row of that key, as it is now, locked until the transaction ends.

    Raises:
        NotFound: there is none.
    """
    return _required(
        session.get(kind, key, with_for_update=True, populate_existing=True), key, what
    )


def _required(row: Row | None, key: int | str, what: str) -> Row:
    if row is None:
        raise NotFound(f"there is no {what} {key}")
    return row
