"""What a recording has measured so far, a line each: what is on the tape is never measured again.

A JSON object a line. The first says what is recorded and on which machine; after it, in the order
in which they happened:

    {"begin": PASS}                                  a pass begins, or goes on after an interruption
    {"reference": Y}                                 the reference configuration was measured
    {"number": N, "y": Y}                            configuration N was measured
    {"number": N, "failure": TEXT}                   configuration N failed, by its own fault
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class OtherRecording(Exception):
    """A tape is of another table or another machine; its text says what to do."""


@dataclass
class Stretch:
    """The measurements of a pass between two interruptions.

    `references` are (position on the tape, value), `values` (position, configuration, value).
    """

    pass_number: int
    references: list[tuple[int, float]] = field(default_factory=list)
    values: list[tuple[int, int, float]] = field(default_factory=list)


class Tape:
    """One table's tape, open for more. What a killed process half wrote is cut off.

    Raises:
        OtherRecording: the file has another header: what it holds must not be mixed with this.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.stretches: list[Stretch] = []
        self.failures: dict[int, str] = {}
        self._position = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = list(_whole_lines(path))
        if lines and lines[0] != header:
            different = [key for key in header if lines[0].get(key) != header[key]]
            raise OtherRecording(
                f"{path} was recorded with another {', '.join(different) or 'header'}: "
                "delete it to record anew, or record elsewhere with --work"
            )
        for line in lines[1:]:
            self._take(line)
        self._file = path.open("a", encoding="utf-8")
        if not lines:
            self._append(header)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def done(self, pass_number: int) -> set[int]:
        """The configurations that were measured in a pass."""
        return {
            number
            for stretch in self.stretches
            if stretch.pass_number == pass_number
            for _, number, _ in stretch.values
        }

    def begin(self, pass_number: int) -> None:
        """Begin a pass, or go on with it."""
        self._write({"begin": pass_number})

    def reference(self, value: float) -> None:
        """Put down a measurement of the reference configuration."""
        self._write({"reference": value})

    def measured(self, number: int, value: float) -> None:
        """Put down a measurement."""
        self._write({"number": number, "y": value})

    def failed(self, number: int, reason: str) -> None:
        """Put down a failure; the configuration is not measured again."""
        self._write({"number": number, "failure": reason})

    def _write(self, line: dict[str, Any]) -> None:
        self._append(line)
        self._take(line)

    def _append(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def _take(self, line: Mapping[str, Any]) -> None:
        self._position += 1
        if "begin" in line:
            self.stretches.append(Stretch(pass_number=line["begin"]))
        elif "reference" in line:
            self.stretches[-1].references.append((self._position, line["reference"]))
        elif "failure" in line:
            self.failures[line["number"]] = line["failure"]
        else:
            self.stretches[-1].values.append((self._position, line["number"], line["y"]))


def _whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The file's lines; a last one without an end is removed from the file."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)
    for line in content[:whole].splitlines():
        yield json.loads(line)
