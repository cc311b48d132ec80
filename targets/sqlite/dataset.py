"""The data that every window starts from: made once, then copied."""

from __future__ import annotations

import hashlib
import json
import logging
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from targets.knobs import Configuration
from targets.sqlite.files import whole
from targets.sqlite.pragmas import ask, connect
from targets.sqlite.workload import ADD_ACCOUNT, INDEX, SCHEMA, Mix

logger = logging.getLogger(__name__)

_FILLER_SEED = 1
_FILLER_CHARACTERS = 2**17  # twice the longest text, so that rows get different parts of it
_FILLER_STRIDE = 7919  # prime: neighbouring rows start far apart


def dataset_key(mix: Mix) -> int:
    """31 bits that tell one data set from another, kept in the file as its `user_version`."""
    text = json.dumps([SCHEMA, INDEX, mix.rows, mix.row_bytes])
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) & 0x7FFFFFFF


def make_dataset(mix: Mix, folder: Path) -> Path:
    """The data set's file in a folder; written, whole or not at all, when it is not there yet.

    Raises:
        sqlite3.Error, OSError: it cannot be written, e.g. the disk is full.
    """
    path = folder / f"dataset-{dataset_key(mix):08x}.db"
    if path.exists():
        return path
    logger.info("making data set path=%s rows=%d row_bytes=%d", path, mix.rows, mix.row_bytes)
    folder.mkdir(parents=True, exist_ok=True)
    # A half-written file is thrown away, so nothing needs to be undone or synced on the way.
    with (
        whole(path) as unfinished,
        closing(sqlite3.connect(unfinished, isolation_level=None)) as connection,
    ):
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"PRAGMA user_version = {dataset_key(mix)}")
        connection.execute("BEGIN")
        for statement in SCHEMA:
            connection.execute(statement)
        connection.executemany(ADD_ACCOUNT, _accounts(mix))
        connection.execute(INDEX)
        connection.execute("COMMIT")
    return path


@dataclass(frozen=True)
class Shape:
    """What a database file itself has of a configuration: page size, and which kind of journal."""

    page_size: int
    write_ahead: bool

    @classmethod
    def wanted(cls, configuration: Configuration) -> Self:
        """The shape that a configuration asks for."""
        return cls(int(configuration["page_size"]), configuration["journal_mode"] == "wal")


def shape_of(path: Path) -> Shape:
    """The shape that a database file has; raises sqlite3.Error."""
    with closing(connect(path, {})) as connection:
        write_ahead = ask(connection, "journal_mode") == "wal"
        return Shape(int(ask(connection, "page_size")), write_ahead)


def copy_database(source: Path, target: Path, shape: Shape) -> None:
    """Copy a database that nobody writes to, onto the disk, in a shape of its own.

    The target appears whole or not at all, in the place of what was there. Bytes are copied, never
    shared with the source as a reflink would: the first write to a shared block costs more, which
    an application's own database does not pay.

    Raises:
        sqlite3.Error, OSError: the copy cannot be made.
    """
    with whole(target) as unfinished:
        if shape_of(source).page_size == shape.page_size:
            shutil.copyfile(source, unfinished)
        else:
            with closing(connect(source, {})) as connection:
                connection.execute(f"PRAGMA page_size = {shape.page_size}")
                connection.execute("VACUUM INTO ?", (str(unfinished),))
        with closing(connect(unfinished, {})) as connection:
            journal_mode = "WAL" if shape.write_ahead else "DELETE"
            connection.execute(f"PRAGMA journal_mode = {journal_mode}")


def _accounts(mix: Mix) -> Iterator[tuple[int, int, str]]:
    rng = random.Random(_FILLER_SEED)
    text = rng.randbytes(_FILLER_CHARACTERS // 2).hex()
    last = len(text) - mix.row_bytes
    for account in range(mix.rows):
        start = account * _FILLER_STRIDE % last
        yield account, mix.branch_of(account), text[start : start + mix.row_bytes]
