"""Configuration files rendered from a template: written whole, read back, kept and put back."""

from __future__ import annotations

import base64
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from targets.command.placeholders import Template
from targets.errors import ApplyFailed, HarnessFailed

FILE_BYTES = 256 * 1024
"""The longest file kept in a snapshot: it goes into the journal, and back, as one record."""

_NEW_FILE_MODE = 0o644


@dataclass(frozen=True)
class RenderedFile:
    """One file that the knobs are rendered into. `path` is absolute."""

    path: Path
    template: Template

    def render(self, values: Mapping[str, str]) -> bytes:
        """The file's content with these values."""
        return self.template.fill(values).encode()

    def read_back(self) -> dict[str, str]:
        """The knobs' values as the file gives them now, whoever wrote it; none without a file.

        A line is recognised by the text around its placeholders; blanks count for little. A line
        of the template that is placeholders alone cannot be recognised and is not read back.

        Raises:
            HarnessFailed: the file cannot be read, lacks a line, or gives one knob two values.
        """
        try:
            content = self.path.read_text(errors="replace")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise HarnessFailed(f"rendered file {self.path}: {error}") from error
        found: dict[str, str] = {}
        for line, (names, pattern) in self._lines.items():
            matches = {match.groups() for match in pattern.finditer(content)}
            if len(matches) != 1:
                raise HarnessFailed(
                    f"rendered file {self.path} has {len(matches) or 'no'} different lines like "
                    f"{line!r}: give its template that line as the file has it, once, or a [read]"
                )
            found.update(zip(names, matches.pop(), strict=True))
        return found

    @property
    def readable(self) -> frozenset[str]:
        """The knobs that `read_back` finds."""
        return frozenset(name for names, _ in self._lines.values() for name in names)

    @cached_property
    def _lines(self) -> dict[str, tuple[tuple[str, ...], re.Pattern[str]]]:
        """Line of the template -> the knobs in it, each knob's first line only, and its pattern."""
        lines: dict[str, tuple[tuple[str, ...], re.Pattern[str]]] = {}
        seen: set[str] = set()
        for line in _lines_of(self.template):
            new = set(line.names) - seen
            if not new or not "".join(line.literals).strip():
                continue
            seen |= new
            pattern = "(.+?)".join(_blanks_alike(literal) for literal in line.literals)
            lines[str(line).strip()] = (
                line.names,
                re.compile(rf"^[ \t]*{pattern}[ \t\r]*$", re.MULTILINE),
            )
        return lines


def _lines_of(template: Template) -> list[Template]:
    """The lines with placeholders, each a template of its own."""
    lines: list[Template] = []
    literals, names = [template.literals[0].rpartition("\n")[2].lstrip()], []
    for name, literal in zip(template.names, template.literals[1:], strict=True):
        names.append(name)
        end, newline, rest = literal.partition("\n")
        literals.append(end.rstrip() if newline else literal)
        if newline:
            lines.append(Template(tuple(literals), tuple(names)))
            literals, names = [rest.rpartition("\n")[2].lstrip()], []
    if names:
        lines.append(Template((*literals[:-1], literals[-1].rstrip()), tuple(names)))
    return lines


def _blanks_alike(literal: str) -> str:
    """A regex for the text, in which one blank is as good as many."""
    return r"[ \t]+".join(re.escape(part) for part in re.split(r"[ \t]+", literal))


@dataclass(frozen=True)
class FileState:
    """A file as it was: its bytes and permission bits, or that it was not there."""

    content: bytes | None
    mode: int = _NEW_FILE_MODE

    @classmethod
    def of(cls, path: Path) -> FileState:
        """The file now.

        Raises:
            HarnessFailed: it cannot be read, or is too long to keep.
        """
        try:
            with path.open("rb") as file:
                content = file.read(FILE_BYTES + 1)
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        except FileNotFoundError:
            return cls(None)
        except OSError as error:
            raise HarnessFailed(f"rendered file {path}: {error}") from error
        if len(content) > FILE_BYTES:
            raise HarnessFailed(
                f"rendered file {path} is longer than {FILE_BYTES} bytes, too long to keep for "
                "putting back: move the knobs into a smaller file that it includes"
            )
        return cls(content, mode)

    def put(self, path: Path) -> None:
        """Make the file be this again: all of it or, after a crash, what it was before.

        Raises:
            ApplyFailed: it cannot be written or removed.
        """
        try:
            if self.content is None:
                path.unlink(missing_ok=True)
                _sync_folder(path.parent)
            else:
                replace_file(path, self.content, mode=self.mode)
        except OSError as error:
            raise ApplyFailed(f"rendered file {path}: {error}") from error

    def with_content(self, content: bytes) -> FileState:
        """The same file with another content; its permission bits are kept."""
        return FileState(content, self.mode)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form; `from_dict` reads it back exactly."""
        encoded = None if self.content is None else base64.b64encode(self.content).decode()
        return {"content_base64": encoded, "mode": self.mode}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FileState:
        """Read `to_dict`'s form; raises KeyError, TypeError or ValueError."""
        encoded = data["content_base64"]
        content = None if encoded is None else base64.b64decode(encoded, validate=True)
        return cls(content, int(data["mode"]))


def replace_file(path: Path, content: bytes, *, mode: int) -> None:
    """Put a file in another's place in one step, on disk before it returns.

    A symbolic link keeps pointing to its file, which is replaced; its owner is kept. Raises
    OSError; the file is then as it was.
    """
    path = path.resolve()
    fresh = path.with_name(f".{path.name}.lontra-new")
    fresh.unlink(missing_ok=True)  # left by a crash between writing and replacing
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if path.exists():
                old = path.stat()
                if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(file.fileno(), old.st_uid, old.st_gid)
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename in the folder outlast a power loss."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
