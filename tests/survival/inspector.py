"""An independent look at the daemon: which configuration it runs with, and whether that is safe.

    python inspector.py RUN_FOLDER JOURNAL

Knows nothing of Lontra. It asks the daemon over its socket, and takes for safe what the daemon ran
with before anything was tuned. Of the journal it reads, by its own reading of JSON lines, only
what makes another configuration the safe one: while one is `promoting` either is, and once it is
`promoted` it is. An agent that opens with, or adopts, anything else is at fault.

Prints a JSON line whenever something changes: {"at": seconds of CLOCK_MONOTONIC, "running": ...,
"safe": true or false}, or {"fault": "..."}.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

POLL_SECONDS = 0.02
PATIENCE_SECONDS = 2.0

Configuration = dict[str, Any]


class Daemon:
    """The daemon's answers; None while there is none."""

    def __init__(self, folder: Path) -> None:
        os.chdir(folder)  # a socket's path may be 108 bytes long, so a relative one is used
        self._socket: socket.socket | None = None

    def running(self) -> Configuration | None:
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX)
                self._socket.settimeout(PATIENCE_SECONDS)
                self._socket.connect("batchd.sock")
                self._answers = self._socket.makefile("rb")
            self._socket.sendall(b'{"do": "status"}\n')
            answer = json.loads(self._answers.readline())
            return dict(answer["running"])
        except (OSError, ValueError):
            if self._socket is not None:
                self._socket.close()
            self._socket = None
            return None


class JournalTail:
    """The records added to the journal since the last look, also when it was replaced whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seq = 0
        self._inode = 0
        self._offset = 0

    def new(self) -> list[dict[str, Any]]:
        try:
            with self._path.open("rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                if inode != self._inode:
                    self._inode, self._offset = inode, 0
                file.seek(self._offset)
                content = file.read()
        except FileNotFoundError:
            return []
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        records = []
        for line in whole.splitlines():
            record = json.loads(line)
            if record["seq"] > self._seq:
                self._seq = record["seq"]
                records.append(record)
        return records


class Safety:
    """Which configurations are safe now."""

    def __init__(self, before: Configuration) -> None:
        self._safe = before
        self._promoting: Configuration | None = None

    def judge(self, record: dict[str, Any]) -> str:
        """Take a record into account; what is wrong with it, in words."""
        match record["kind"]:
            case "promoting":
                self._promoting = record["configuration"]
            case "promoted":
                promoted = record["snapshot"]["configuration"]
                if promoted != self._promoting:
                    return f"promoted {promoted}, which was not announced"
                self._safe, self._promoting = promoted, None
            case "restored":
                self._promoting = None
            case "opened":
                opened = record["snapshot"]["configuration"]
                if not self.holds(opened):
                    return f"an agent took {opened} for safe"
            case "adopting" | "adopted":
                return "the agent took a change of its own for a person's"
        return ""

    def holds(self, running: Configuration | None) -> bool:
        return running is not None and running in (self._safe, self._promoting)


def main() -> None:
    folder, journal = Path(sys.argv[1]), JournalTail(Path(sys.argv[2]).absolute())
    daemon = Daemon(folder)
    before = daemon.running()
    if before is None:
        sys.exit("the daemon does not answer")
    journal.new()  # what was before is not judged
    safety = Safety(before)
    last: tuple[Any, bool] | None = None
    while True:
        running = daemon.running()
        at = time.monotonic()
        for record in journal.new():
            if fault := safety.judge(record):
                print(json.dumps({"at": at, "fault": fault}), flush=True)
        if (running, safety.holds(running)) != last:
            last = (running, safety.holds(running))
            print(json.dumps({"at": at, "running": running, "safe": last[1]}), flush=True)
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    main()
