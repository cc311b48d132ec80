"""Reads the owner's TOML file key by key, so that every complaint names file, table, key, rule."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from targets.errors import InvalidSetting

E = TypeVar("E", bound=StrEnum)


class Table:
    """One table of the file. Ask for every key it may have, then call `done`.

    Args:
        file: where the table stands.
        name: the table as written in the file, e.g. `[apply]`.
        data: what the TOML parser made of it.

    Raises:
        InvalidSetting: from every method, when a key is missing, unknown or wrong.
    """

    def __init__(self, file: Path, name: str, data: object) -> None:
        self.file = file
        self.name = name
        if not isinstance(data, Mapping):
            raise InvalidSetting(f"{file}: {name} must be a table, not {data!r}")
        self._data: dict[str, Any] = dict(data)
        self._asked: set[str] = set()

    def wrong(self, key: str, rule: str) -> InvalidSetting:
        """The error to raise for a key: what it holds and what it should."""
        given = f"={self._data[key]!r}" if key in self._data else ""
        return InvalidSetting(f"{self.file}: {self.name} {key}{given} {rule}")

    def has(self, key: str) -> bool:
        """Whether the file gives the key."""
        self._asked.add(key)
        return key in self._data

    def leave(self, *keys: str) -> None:
        """Keys that somebody else reads and checks."""
        self._asked.update(keys)

    def text(self, key: str, default: str | None = None) -> str:
        """A text without NUL, which neither an argument nor a path can hold."""
        value = self._get(key, default, "a text")
        if not isinstance(value, str) or "\0" in value:
            raise self.wrong(key, "must be a text without NUL")
        return value

    def number(self, key: str, default: float | None = None, *, high: float) -> float:
        """A number above 0 and not above `high`."""
        value = self._get(key, default, "a number")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= high:
            raise self.wrong(key, f"must be a number above 0, at most {high:g}")
        return float(value)

    def flag(self, key: str, *, default: bool) -> bool:
        """true or false."""
        value = self._get(key, default, "true or false")
        if not isinstance(value, bool):
            raise self.wrong(key, "must be true or false")
        return value

    def choice(self, key: str, choices: type[E], default: E | None = None) -> E:
        """One of the words of an enumeration."""
        listed = ", ".join(choices)
        value = self._get(key, default, f"one of: {listed}")
        try:
            return choices(value)
        except ValueError:
            raise self.wrong(key, f"must be one of: {listed}") from None

    def texts(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """A list of texts."""
        value = self._get(key, default, "a list of texts")
        if not isinstance(value, list | tuple) or not all(
            isinstance(item, str) and "\0" not in item for item in value
        ):
            raise self.wrong(key, "must be a list of texts without NUL")
        return tuple(value)

    def mapping(self, key: str) -> dict[str, str]:
        """A table of texts by name; empty when missing."""
        self._asked.add(key)
        inner = Table(self.file, f"{self.name} {key}", self._data.get(key, {}))
        return {name: inner.text(name) for name in inner._data}

    def table(self, key: str) -> Table | None:
        """The table `[key]`, where the file has one."""
        self._asked.add(key)
        return Table(self.file, f"[{key}]", self._data[key]) if key in self._data else None

    def tables(self, key: str) -> list[Table]:
        """Every `[[key]]`, numbered from 1 in complaints."""
        value = self._get(key, [], "an array of tables")
        if not isinstance(value, list):
            raise self.wrong(key, f"must be written as [[{key}]]")
        return [Table(self.file, f"[[{key}]] {i}", item) for i, item in enumerate(value, 1)]

    def done(self) -> None:
        """Refuse the keys that nobody asked for: a misspelt key must not be ignored."""
        unknown = sorted(set(self._data) - self._asked)
        if unknown:
            raise InvalidSetting(
                f"{self.file}: {self.name} has no key {', '.join(unknown)}; "
                f"it may have: {', '.join(sorted(self._asked))}"
            )

    def _get(self, key: str, default: Any, kind: str) -> Any:
        self._asked.add(key)
        if key in self._data:
            return self._data[key]
        if default is None:
            raise self.wrong(key, f"is missing: give {kind}")
        return default
