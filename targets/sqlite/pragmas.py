"""How a connection is opened, and what it says is in force.

Pragmas are kept as SQLite takes them (`cache_size=-2000` means 2000 KiB); knobs have one unit and
one meaning each. The two meet here and nowhere else.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

from targets.knobs import Configuration, Value

Pragmas = Mapping[str, int | str]
"""Pragma -> value, as a connection sets them when it opens."""

CONNECTION_PRAGMAS = (
    "journal_mode",
    "synchronous",
    "cache_size",
    "cache_spill",
    "mmap_size",
    "wal_autocheckpoint",
    "temp_store",
)
"""All that a connection sets, in this order. The journal mode only while the file is not in
write-ahead mode: that is the file's own property, and so is its page size."""

BUSY_SECONDS = 10.0

_SYNCHRONOUS = ("off", "normal", "full", "extra")
_TEMP_STORE = ("default", "file", "memory")
_MIB = 2**20


def connect(path: Path, pragmas: Pragmas) -> sqlite3.Connection:
    """Open an existing database as the application does; every transaction is begun by hand.

    Raises:
        sqlite3.Error: there is no such file, it is no database, or it stays locked.
        ValueError: a pragma is not one of `CONNECTION_PRAGMAS` or its value is no number or word.
    """
    statements = [_statement(name, value) for name, value in pragmas.items()]
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw", uri=True, isolation_level=None, timeout=BUSY_SECONDS
    )
    try:
        write_ahead = ask(connection, "journal_mode") == "wal"
        for name, statement in zip(pragmas, statements, strict=True):
            if not (write_ahead and name == "journal_mode"):
                connection.execute(statement)
    except BaseException:
        connection.close()
        raise
    return connection


def ask(connection: sqlite3.Connection, pragma: str) -> int | str:
    """A pragma's value in force; 0 for one that this build of SQLite does not have."""
    row = connection.execute(f"PRAGMA {pragma}").fetchone()
    value: int | str = 0 if row is None else row[0]
    return value


def encode(configuration: Configuration) -> dict[str, int | str]:
    """The pragmas that a connection sets to have a configuration (page size and write-ahead mode
    are the file's)."""
    wanted: dict[str, int | str] = {
        "synchronous": str(configuration["synchronous"]),
        "cache_size": -int(configuration["cache_size"]),
        "cache_spill": "on" if configuration["cache_spill"] else "off",
        "mmap_size": int(configuration["mmap_size"]) * _MIB,
        "wal_autocheckpoint": int(configuration["wal_autocheckpoint"]),
        "temp_store": str(configuration["temp_store"]),
    }
    if configuration["journal_mode"] != "wal":
        wanted["journal_mode"] = str(configuration["journal_mode"])
    return {name: wanted[name] for name in CONNECTION_PRAGMAS if name in wanted}


def decode(connection: sqlite3.Connection) -> dict[str, Value]:
    """The configuration that a connection has, asked pragma by pragma, in the knobs' units."""
    return {name: read(connection) for name, read in _READERS.items()}


def _cache_kib(connection: sqlite3.Connection) -> Value:
    size = int(ask(connection, "cache_size"))
    return -size if size < 0 else size * int(ask(connection, "page_size")) // 1024


def _mmap_mib(connection: sqlite3.Connection) -> Value:
    whole, rest = divmod(int(ask(connection, "mmap_size")), _MIB)
    return whole + rest / _MIB if rest else whole


_READERS: dict[str, Callable[[sqlite3.Connection], Value]] = {
    "journal_mode": lambda connection: ask(connection, "journal_mode"),
    "synchronous": lambda connection: _SYNCHRONOUS[int(ask(connection, "synchronous"))],
    "page_size": lambda connection: ask(connection, "page_size"),
    "cache_size": _cache_kib,
    "cache_spill": lambda connection: bool(ask(connection, "cache_spill")),
    "mmap_size": _mmap_mib,
    "wal_autocheckpoint": lambda connection: ask(connection, "wal_autocheckpoint"),
    "temp_store": lambda connection: _TEMP_STORE[int(ask(connection, "temp_store"))],
}


def _statement(name: str, value: object) -> str:
    """A pragma has no bound parameters, so nothing but known names, numbers and words gets in."""
    if name not in CONNECTION_PRAGMAS:
        raise ValueError(f"pragma {name} is none of: {', '.join(CONNECTION_PRAGMAS)}")
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"pragma {name}={value!r}: want a whole number or a word")
    if isinstance(value, str) and not (value.isascii() and value.isalpha()):
        raise ValueError(f"pragma {name}={value!r}: want a whole number or a word of letters")
    return f"PRAGMA {name} = {value}"
