"""Messages on their way to the server: on disk before they are sent, in order, each once.

One file a message, synced and renamed into place; its idempotency key is made with it and kept
over restarts, so a message sent twice counts once. When the spool is full the oldest goes, and is
counted. A message the server refuses for good is moved aside, never sent again and never lost
silently.
"""

from __future__ import annotations

import json
import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from targets.agent.durable import PRIVATE_FOLDER, replace_file, sync_folder
from targets.agent.errors import MessageRefused, UnknownToServer

REFUSED_KEPT = 1000
"""Refused messages kept for inspection, the newest."""

Send = Callable[[str, Mapping[str, Any], str], object]
"""path, body, key -> whatever; raises as `ServerClient.deliver` does."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivery:
    """What one delivery came to; `refused` gives kind and story of each refused message."""

    sent: int = 0
    refused: tuple[tuple[str, str], ...] = ()


class Spool:
    """The spool of one agent. Usable from several threads; one at a time delivers."""

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self._folder = folder
        self._refused = folder / "refused"
        self._refused.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._delivering = threading.Lock()
        for left in folder.glob("*.new"):
            left.unlink()
        self._files = {path: path.stat().st_size for path in sorted(folder.glob("[0-9]*-*.json"))}
        self._next = 1 + max((int(path.name.partition("-")[0]) for path in self._files), default=0)
        self.dropped = 0
        self._dropped_unreported = 0

    def __len__(self) -> int:
        return len(self._files)

    def put(self, path: str, body: Mapping[str, Any]) -> str:
        """Make a message durable; answers its key.

        Raises:
            OSError: the disk does not take it.
        """
        key = uuid.uuid4().hex
        content = json.dumps({"path": path, "key": key, "body": dict(body)}).encode()
        with self._lock:
            self._make_room(len(content))
            file = self._folder / f"{self._next:012d}-{key}.json"
            replace_file(file, content)
            self._next += 1
            self._files[file] = len(content)
        return key

    def take_dropped(self) -> int:
        """How many messages were dropped since this was asked last."""
        with self._lock:
            dropped, self._dropped_unreported = self._dropped_unreported, 0
        return dropped

    def deliver(self, send: Send) -> Delivery:
        """Send all that is there, oldest first, until `send` raises that it cannot be done now.

        Raises:
            Unreachable, AgentRefused, ...: what `send` raised; the message stays.
        """
        sent, refused = 0, []
        with self._delivering:
            while (file := next(iter(self._files), None)) is not None:
                message: dict[str, Any] = {"path": "", "body": {}}
                try:
                    message = json.loads(file.read_bytes())
                    send(message["path"], message["body"], message["key"])
                    sent += 1
                except (MessageRefused, UnknownToServer, ValueError, KeyError) as error:
                    logger.error("message refused file=%s error=%s", file.name, error)
                    kind = str(message["body"].get("kind", message["path"]))
                    refused.append((kind, f"{file.name}: {error}"))
                    file.replace(self._refused / file.name)
                    self._forget_old_refusals()
                except FileNotFoundError:
                    logger.warning("message was dropped while being sent file=%s", file.name)
                else:
                    file.unlink(missing_ok=True)
                with self._lock:
                    self._files.pop(file, None)
                sync_folder(self._folder)
        return Delivery(sent, tuple(refused))

    def _make_room(self, size: int) -> None:
        while self._files and sum(self._files.values()) + size > self._max_bytes:
            oldest = next(iter(self._files))
            oldest.unlink(missing_ok=True)
            del self._files[oldest]
            self.dropped += 1
            self._dropped_unreported += 1
            logger.error("spool is full, the oldest message was dropped file=%s", oldest.name)

    def _forget_old_refusals(self) -> None:
        for old in sorted(self._refused.glob("*.json"))[:-REFUSED_KEPT]:
            old.unlink(missing_ok=True)
