"""The target itself: a database file, and the file that says how the application opens it.

- `database.db` holds the data as every window finds it. Write-ahead mode and page size are its own
  properties. No workload ever runs on it: a window runs on a copy.
- `pragmas.json` stands for the application: the pragmas that each of its connections sets.

Both may be changed by hand; what is in force is what a connection opened so reads back.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from targets.errors import ApplyFailed, TargetDown
from targets.knobs import Configuration, Value
from targets.sqlite.dataset import Shape, copy_database, dataset_key, make_dataset, shape_of
from targets.sqlite.durability import Durability, outside
from targets.sqlite.files import remove_database, replace_database, write_whole
from targets.sqlite.pragmas import ask, connect, decode, encode
from targets.sqlite.workload import Mix

FAULTS = (sqlite3.Error, OSError, ValueError)
"""What a database or a pragma file that cannot be used raises."""


class Database:
    """One target database.

    Args:
        folder: where its two files are, its own; the data set lies beside the folder.
        mix: whose data it holds.
        durability: the class that no configuration put in force may leave.
    """

    def __init__(self, folder: Path, mix: Mix, durability: Durability) -> None:
        self.path = folder / "database.db"
        self.pragmas_path = folder / "pragmas.json"
        self._mix = mix
        self._durability = durability

    def dataset(self) -> Path:
        """The data as first made; raises sqlite3.Error or OSError when it cannot be made."""
        return make_dataset(self._mix, self.path.parent.parent)

    def library_defaults(self) -> dict[str, Value]:
        """What SQLite itself does when it is told nothing, asked from the library.

        Raises:
            TargetDown: the data set cannot be made or opened.
        """
        try:
            with closing(connect(self.dataset(), {})) as connection:
                return decode(connection)
        except FAULTS as error:
            raise TargetDown(f"no data set can be made: {error}") from error

    def read(self) -> dict[str, Value]:
        """The configuration in force, asked from a connection opened as the application does.

        Raises:
            TargetDown: the database or the pragma file cannot be read; says which and why.
        """
        try:
            with closing(connect(self.path, self.read_pragmas())) as connection:
                return decode(connection)
        except FAULTS as error:
            raise TargetDown(f"{self.path}: {error}") from error

    def read_pragmas(self) -> dict[str, Any]:
        """What the pragma file says; raises OSError or ValueError."""
        try:
            pragmas = json.loads(self.pragmas_path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{self.pragmas_path} is no JSON: {error}") from error
        if not isinstance(pragmas, dict):
            raise ValueError(f"{self.pragmas_path} must be one object: pragma names and values")
        return pragmas

    def apply(self, configuration: Configuration) -> dict[str, Value]:
        """Put a checked configuration in force, whole or not at all; answers what was read back.

        A connection is opened under it before anything is changed. The database file itself is
        touched only for a new page size and for going into or out of write-ahead mode: it is then
        made again from the data set, as is one that is missing or damaged.

        Raises:
            ApplyFailed: SQLite does not take it, or not within the durability class.
            TargetDown: it cannot be read back.
        """
        pragmas = encode(configuration)
        successor = self.path.with_name("successor.db")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            remade = not self._file_fits(configuration)
            if remade:
                self.copy_under(configuration, successor)
            with closing(connect(successor if remade else self.path, pragmas)) as connection:
                if wrong := outside(decode(connection), self._durability):
                    raise ApplyFailed(f"SQLite did not do as it was told: {wrong}")
            write_whole(self.pragmas_path, json.dumps(pragmas, indent=2) + "\n")
            if remade:
                replace_database(successor, self.path)
        except FAULTS as error:
            raise ApplyFailed(f"{self.path}: {error}") from error
        finally:
            remove_database(successor)
        return self.read()

    def copy(self, target: Path) -> None:
        """The database as it is now, page size and journal included, as a file of its own.

        Raises:
            sqlite3.Error, OSError: it cannot be made, e.g. the disk is full.
        """
        copy_database(self.path, target, shape_of(self.path))

    def copy_under(self, configuration: Configuration, target: Path) -> None:
        """The data set under a configuration's page size and journal, as a file of its own.

        Raises:
            sqlite3.Error, OSError: it cannot be made, e.g. the disk is full.
        """
        copy_database(self.dataset(), target, Shape.wanted(configuration))

    def fault(self) -> str:
        """Why the database cannot be used, in words; empty when it can."""
        try:
            with closing(connect(self.path, self.read_pragmas())) as connection:
                key = ask(connection, "user_version")
        except FAULTS as error:
            return f"{self.path}: {error}"
        if key != dataset_key(self._mix):
            return f"{self.path} does not hold this workload's data: move it away"
        return ""

    def _file_fits(self, configuration: Configuration) -> bool:
        """Whether the database file is there and is as the configuration wants it."""
        try:
            return shape_of(self.path) == Shape.wanted(configuration)
        except sqlite3.Error:
            return False
