"""Export and import of a whole history, loss-free and between the two engines."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from sqlalchemy import Table, exists, func, insert, orm, select, text
from sqlalchemy.exc import SQLAlchemyError, StatementError

from knowledge_base.engine import one_at_a_time
from knowledge_base.errors import ImportRefused
from knowledge_base.history_format import (
    TABLES,
    check_header,
    end_line,
    header_line,
    read_line,
    read_row,
    row_line,
)
from knowledge_base.migrations import head
from knowledge_base.schema import MetricDictionaryRow, SessionRow, TrialRow
from knowledge_base.store import Store

ROWS_A_STATEMENT = 500

log = logging.getLogger(__name__)


def export_history(store: Store, stream: TextIO) -> dict[str, int]:
    """Write everything but tokens and idempotency replies to `stream`; answers rows by table.

    It is the state at one moment, and nobody waits meanwhile. Opened for writing, a stream needs
    an encoding that has ASCII. The same history gives the same bytes.
    """
    counts = dict.fromkeys(TABLES, 0)
    stream.write(header_line(head()))
    with store.database.read() as session:
        for name, table in TABLES.items():
            rows = session.execute(
                select(table).order_by(*table.primary_key),
                execution_options={"yield_per": ROWS_A_STATEMENT},
            )
            for row in rows.mappings():
                stream.write(row_line(table, {column.name: row[column] for column in table.c}))
                counts[name] += 1
    stream.write(end_line(sum(counts.values())))
    log.info("exported rows=%d", sum(counts.values()))
    return counts


def import_history(store: Store, stream: TextIO) -> dict[str, int]:
    """Read what `export_history` wrote into an empty knowledge base; answers rows by table.

    It is one transaction: either the whole history is there afterwards, ids included, or nothing.

    Raises:
        ImportRefused: the knowledge base has history already, or a line is wrong; names the line.
    """
    counts = dict.fromkeys(TABLES, 0)
    with store.database.write() as session:
        one_at_a_time(session, "import")
        _require_empty(session)
        reader = _Reader(stream)
        for table, numbered in _batches(reader):
            _insert(session, table, numbered)
            counts[table.name] += len(numbered)
        _check_incumbents(session)
        _set_sequences(session)
    log.info("imported rows=%d", sum(counts.values()))
    return counts


class _Reader:
    """The rows of a history file, checked line by line."""

    def __init__(self, stream: TextIO) -> None:
        self._lines = enumerate(stream, 1)
        self._metrics: dict[int, int] = {}

    def __iter__(self) -> Iterator[tuple[int, Table, dict[str, Any]]]:
        rows = 0
        number = 0
        ended = False
        for number, line_text in self._lines:
            try:
                line = read_line(line_text)
                if number == 1:
                    check_header(line, schema=head())
                elif ended:
                    raise ImportRefused("comes after the closing line")
                elif "end" in line:
                    ended = True
                    if line.get("rows") != rows:
                        raise ImportRefused(f"closes {line.get('rows')} rows, {rows} were read")
                else:
                    table, row = read_row(line)
                    self._check_vector(table, row)
                    rows += 1
                    yield number, table, row
            except ImportRefused as error:
                raise _refused(number, str(error)) from error
        if not ended:
            raise _refused(number, "is the last, and no closing line: the file was cut off")

    def _check_vector(self, table: Table, row: Mapping[str, Any]) -> None:
        """A vector of another length than its dictionary could never be read."""
        if table.name == MetricDictionaryRow.__tablename__:
            self._metrics[row["id"]] = len(row["metrics"])
        packed = row.get("packed")
        if packed is not None and len(packed) != 8 * self._metrics.get(row["dictionary_id"], -1):
            raise ImportRefused(
                f"has {len(packed)} bytes of metric values, which is not 8 for every name "
                f"of dictionary {row['dictionary_id']}"
            )


def _refused(number: int, why: str) -> ImportRefused:
    return ImportRefused(f"line {number} {why}; nothing was imported")


def _require_empty(session: orm.Session) -> None:
    for name, table in TABLES.items():
        if session.scalar(select(exists(select(table)))):
            raise ImportRefused(
                f"the knowledge base has rows in table {name} already: import into a new one "
                "(`lontra --database URL db upgrade`, then import there)"
            )


def _batches(reader: _Reader) -> Iterator[tuple[Table, dict[int, dict[str, Any]]]]:
    """Rows of one table each, by line number."""
    current: Table | None = None
    batch: dict[int, dict[str, Any]] = {}
    for number, table, row in reader:
        if current is not None and (table is not current or len(batch) == ROWS_A_STATEMENT):
            yield current, batch
            batch = {}
        current = table
        batch[number] = row
    if current is not None:
        yield current, batch


def _insert(session: orm.Session, table: Table, numbered: Mapping[int, dict[str, Any]]) -> None:
    try:
        with session.begin_nested():
            session.execute(insert(table), list(numbered.values()))
    except SQLAlchemyError:
        # Once more, row by row, to name the line.
        for number, row in numbered.items():
            try:
                with session.begin_nested():
                    session.execute(insert(table), row)
            except SQLAlchemyError as error:
                why = error.orig if isinstance(error, StatementError) else error
                raise _refused(number, f"does not fit the rows before it: {why}") from error
        raise


def _check_incumbents(session: orm.Session) -> None:
    lost = session.scalar(
        select(SessionRow.id).where(
            SessionRow.incumbent_trial_id.is_not(None),
            ~select(TrialRow.id).where(TrialRow.id == SessionRow.incumbent_trial_id).exists(),
        )
    )
    if lost is not None:
        raise ImportRefused(
            f"session {lost} names an incumbent trial that the file does not have; "
            "nothing was imported"
        )


def _set_sequences(session: orm.Session) -> None:
    """Let PostgreSQL go on numbering after the imported rows, as SQLite does by itself."""
    if session.get_bind().dialect.name != "postgresql":
        return
    for name, table in TABLES.items():
        if table.autoincrement_column is None:
            continue
        last = session.scalar(select(func.max(table.c.id)))
        if last is not None:
            session.execute(
                text("SELECT setval(pg_get_serial_sequence(:table, 'id'), :last)"),
                {"table": name, "last": last},
            )
