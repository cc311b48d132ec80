"""The journal: what is about to be done to the target, durable before it is done.

One JSON object a line with `seq` (consecutive), `at` (UTC), `kind`, the kind's own fields, and
`crc`, the CRC-32 of the line without it. A record counts only once it is synced to disk; so a last
line that is torn announced nothing that was done, and is cut off. Damage anywhere else is told,
and the records that can still be read decide (`targets.agent.recovery`).

| kind        | fields beside seq, at, kind        | announces or tells                          |
|-------------|------------------------------------|---------------------------------------------|
| `opened`    | adapter, settings, workdir, cwd,   | an agent starts; `snapshot` is the safe     |
|             | snapshot, epochs, died_in          | configuration                               |
| `taken`     | trial, epoch, session              | a trial is begun                            |
| `intent`    | trial, epoch, configuration        | the configuration is about to be set        |
| `set`       | trial, epoch                       | the adapter came back                       |
| `read-back` | trial, epoch, in_force             | what is in force                            |
| `measured`  | trial, epoch, position, objectives | a window ended                              |
| `finished`  | trial, epoch, state                | the trial's result is on disk for sending   |
| `killed`    | reason, hung                       | the watchdog ended the agent                |
| `restored`  | by, reason, trial, in_force        | the safe configuration is in force          |
| `promoting` | trial, epoch, configuration        | it is about to become the safe one          |
| `promoted`  | trial, epoch, snapshot             | it is the safe one                          |
| `adopting`  | configuration, changes             | a person's values are about to be kept      |
| `adopted`   | snapshot, changes                  | what is in force is the safe one            |
| `closed`    | reason                             | the agent ended in order                    |

Only one process writes: the watchdog, or `restore` when no watchdog lives. The lock is a file
beside, because compaction replaces the journal itself.
"""

from __future__ import annotations

import json
import logging
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from targets.agent.durable import PRIVATE_FILE, replace_file, sync_folder, write_all

logger = logging.getLogger(__name__)


class Kind(StrEnum):
    """The kinds of record."""

    OPENED = "opened"
    TAKEN = "taken"
    INTENT = "intent"
    SET = "set"
    READ_BACK = "read-back"
    MEASURED = "measured"
    FINISHED = "finished"
    KILLED = "killed"
    RESTORED = "restored"
    PROMOTING = "promoting"
    PROMOTED = "promoted"
    ADOPTING = "adopting"
    ADOPTED = "adopted"
    CLOSED = "closed"


@dataclass(frozen=True)
class Record:
    """One line of the journal."""

    seq: int
    at: str
    kind: Kind
    fields: Mapping[str, Any]

    def encode(self) -> bytes:
        """The line, with its checksum and line feed."""
        body = {"seq": self.seq, "at": self.at, "kind": self.kind.value, **self.fields}
        return _dump({**body, "crc": _crc(body)}) + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Record:
        """Read a line; raises ValueError when it is not exactly what `encode` made."""
        body = json.loads(line)
        if not isinstance(body, dict):
            raise ValueError("no object")
        if body.pop("crc", None) != _crc(body):
            raise ValueError("the checksum does not fit")
        try:
            return cls(body.pop("seq"), body.pop("at"), Kind(body.pop("kind")), body)
        except KeyError as error:
            raise ValueError(f"{error} is missing") from error


@dataclass(frozen=True)
class Reading:
    """What a journal file holds: its good records, and what is wrong with it.

    `good_bytes` is where a torn tail begins; `damage` says in words what else cannot be read.
    """

    records: tuple[Record, ...] = ()
    good_bytes: int = 0
    damage: tuple[str, ...] = ()


def read_journal(path: Path) -> Reading:
    """Read a journal; one that is absent is empty."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Reading()
    # A line without its line feed was never acknowledged: the torn tail.
    good_bytes = content.rfind(b"\n") + 1
    records: list[Record] = []
    damage: list[str] = []
    for number, line in enumerate(content[:good_bytes].splitlines(), start=1):
        try:
            record = Record.decode(line)
        except ValueError as error:
            damage.append(f"line {number}: {error}")
            continue
        if records and not damage and record.seq != records[-1].seq + 1:
            damage.append(f"line {number}: seq {record.seq} follows {records[-1].seq}")
        records.append(record)
    return Reading(tuple(records), good_bytes, tuple(damage))


class Journal:
    """The journal open for writing. Its holder has the lock on it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._size = 0
        self._next = 1

    def open(self) -> Reading:
        """Open, cut off a torn tail, and answer what is there. A damaged journal is kept beside
        for inspection before it goes on."""
        reading = read_journal(self._path)
        if reading.damage:
            kept = self._path.with_name(f"{self._path.name}.damaged")
            replace_file(kept, self._path.read_bytes())
            logger.error("journal is damaged kept=%s damage=%s", kept, "; ".join(reading.damage))
        self._next = max((record.seq for record in reading.records), default=0) + 1
        self._reopen(reading.good_bytes)
        return reading

    def append(self, kind: Kind, fields: Mapping[str, Any]) -> Record:
        """Write a record; when this returns, it survives a power cut.

        Raises:
            OSError: it could not be written; the journal is as it was before.
        """
        record = Record(self._next, datetime.now(UTC).isoformat(), kind, dict(fields))
        line = record.encode()
        try:
            write_all(self._descriptor, line)
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(line)
        self._next += 1
        return record

    @property
    def size_bytes(self) -> int:
        """How long the file is."""
        return self._size

    def compact(self, *records: tuple[Kind, Mapping[str, Any]]) -> None:
        """Replace the whole journal by these records, at once or not at all."""
        at = datetime.now(UTC).isoformat()
        lines = [
            Record(self._next + offset, at, kind, dict(fields)).encode()
            for offset, (kind, fields) in enumerate(records)
        ]
        replace_file(self._path, b"".join(lines))
        self._next += len(records)
        self._reopen(sum(map(len, lines)))

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _reopen(self, size: int) -> None:
        self.close()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._descriptor = os.open(self._path, flags, PRIVATE_FILE)
        os.ftruncate(self._descriptor, size)
        os.fsync(self._descriptor)
        sync_folder(self._path.parent)
        self._size = size


def _dump(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def _crc(body: Mapping[str, Any]) -> str:
    return f"{zlib.crc32(_dump(body)):08x}"
