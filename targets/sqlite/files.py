"""Files that appear whole or not at all, and databases with the files that belong to them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SIDECARS = ("-wal", "-shm", "-journal")


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """An empty file to write a database or a text to; at the end it is on the disk and takes the
    place of `path`. When the block raises it is gone and `path` is as it was."""
    handle, name = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".unfinished", dir=path.parent)
    os.close(handle)
    unfinished = Path(name)
    try:
        yield unfinished
        sync(unfinished)
        replace_database(unfinished, path)
    finally:
        remove_database(unfinished)


def write_whole(path: Path, text: str) -> None:
    """Write a text file, whole or not at all; raises OSError."""
    with whole(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def replace_database(successor: Path, path: Path) -> None:
    """Put a closed database in another's place at once.

    The old one's log and journal go first: SQLite would take them for the new one's.
    """
    _remove_sidecars(path)
    successor.replace(path)
    sync(path.parent)


def remove_database(path: Path) -> None:
    """Remove a database with its log and journal; those that are not there are no error."""
    _remove_sidecars(path)
    path.unlink(missing_ok=True)


def database_bytes(path: Path) -> dict[str, int]:
    """Sizes of a database and of what belongs to it, by suffix ('' is the database itself)."""
    return {
        suffix: Path(f"{path}{suffix}").stat().st_size if Path(f"{path}{suffix}").exists() else 0
        for suffix in ("", *_SIDECARS)
    }


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of files, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_sidecars(path: Path) -> None:
    for suffix in _SIDECARS:
        Path(f"{path}{suffix}").unlink(missing_ok=True)
