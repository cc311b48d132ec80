"""The form of an exported history: JSON Lines, one row a line, told from every table in turn.

```
{"format": "lontra-history", "version": 1, "schema": "0002"}
{"table": "targets", "row": {"id": 1, "name": "orders-db", ...}}
...
{"end": true, "rows": 1234}
```

Times are ISO 8601 in UTC, bytes are base64, floats are written so that they are read back the
same. The same history always gives the same bytes, whichever engine it came from. The last line
tells a whole file from one that was cut off.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NoReturn

from sqlalchemy import Boolean, Column, Enum, LargeBinary, Table
from sqlalchemy.types import TypeEngine

from knowledge_base.columns import ExactJson, Identifier, Real, UtcDateTime, Whole
from knowledge_base.errors import ImportRefused
from knowledge_base.schema import Base, ReplyRow, TokenRow

FORMAT = "lontra-history"
VERSION = 1

# Credentials stay where they are, and so do answers that are good for a day.
LEFT_OUT = (TokenRow.__tablename__, ReplyRow.__tablename__)

TABLES: dict[str, Table] = {
    table.name: table for table in Base.metadata.sorted_tables if table.name not in LEFT_OUT
}
"""The exported tables, those first that others refer to."""


def header_line(schema: str) -> str:
    """The first line."""
    return _line({"format": FORMAT, "version": VERSION, "schema": schema})


def row_line(table: Table, row: Mapping[str, Any]) -> str:
    """One row."""
    return _line(
        {"table": table.name, "row": {c.name: _encode(row[c.name]) for c in table.columns}}
    )


def end_line(rows: int) -> str:
    """The last line."""
    return _line({"end": True, "rows": rows})


def read_line(text: str) -> dict[str, Any]:
    """The line's object.

    Raises:
        ImportRefused: the line is no JSON object.
    """
    try:
        line = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise ImportRefused(f"is no JSON: {error}") from error
    except RecursionError as error:
        raise ImportRefused("is nested too deeply") from error
    if not isinstance(line, dict):
        raise ImportRefused("is no JSON object")
    return line


def check_header(line: Mapping[str, Any], *, schema: str) -> None:
    """Raises ImportRefused when this program cannot read what follows."""
    if line.get("format") != FORMAT:
        raise ImportRefused(f"is not the header of a history that `lontra export` wrote: {line}")
    if line.get("version") != VERSION:
        raise ImportRefused(
            f"names format version {line.get('version')}, this program reads version {VERSION}: "
            "import with the Lontra that exported it"
        )
    if line.get("schema") != schema:
        raise ImportRefused(
            f"names schema {line.get('schema')}, this program has schema {schema}: import with "
            "the Lontra that exported it, run this program's `lontra db upgrade` on that database"
        )


def read_row(line: Mapping[str, Any]) -> tuple[Table, dict[str, Any]]:
    """The table and the row, its values as the columns take them.

    Raises:
        ImportRefused: an unknown table, a missing or unknown column, or a value of a wrong type.
    """
    name, row = line.get("table"), line.get("row")
    table = TABLES.get(name) if isinstance(name, str) else None
    if table is None or not isinstance(row, dict):
        raise ImportRefused(f"is no row of a known table: {str(dict(line))[:80]}")
    columns = {column.name for column in table.columns}
    if set(row) != columns:
        raise ImportRefused(
            f"has other columns than table {name}: "
            f"missing {sorted(columns - set(row)) or 'none'}, "
            f"unknown {sorted(set(row) - columns) or 'none'}"
        )
    return table, {column.name: _decode(column, row[column.name]) for column in table.columns}


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False) + "\n"


def _encode(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return value


def _decode(column: Column[Any], value: Any) -> Any:
    if value is None:
        if not column.nullable:
            raise ImportRefused(f"has no value for {column}")
        return None
    try:
        return _decoded(column.type, value)
    except (TypeError, ValueError) as error:
        raise ImportRefused(f"has {column}={str(value)[:80]!r}: {error}") from error


def _decoded(kind: TypeEngine[Any], value: Any) -> Any:
    if isinstance(kind, UtcDateTime):
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError("a time needs a zone")
        return moment
    if isinstance(kind, LargeBinary):
        return base64.b64decode(value, validate=True)
    if isinstance(kind, Enum):
        return kind.enum_class(value) if kind.enum_class else value
    if isinstance(kind, ExactJson):
        return value
    wanted: type | tuple[type, ...] = str
    if isinstance(kind, Boolean):
        wanted = bool
    elif isinstance(kind, Whole | Identifier):
        wanted = int
    elif isinstance(kind, Real):
        wanted = (float, int)
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise TypeError(f"{type(value).__name__} is of the wrong type")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
