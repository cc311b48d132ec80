"""The link between agent and watchdog: JSON lines over an inherited pair of sockets.

The agent asks `{"ask": n, "act": ..., ...}`, the watchdog answers `{"answer": n, ...}`. An answer
to an older question (whose asker gave up, or was interrupted) is passed over.
"""

from __future__ import annotations

import json
import select
import socket
import time
from typing import Any

LONGEST_LINE = 8 * 1024 * 1024
"""Bytes. A snapshot of a target with thousands of knobs takes some hundred kilobytes."""


class LinkLost(Exception):
    """The other side is gone, or speaks nonsense. Never leaves this package."""


class LinkSilent(Exception):
    """The other side did not take or answer within the time. Never leaves this package."""


class Link:
    """One end of the pair. Not for two threads at once."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._socket.setblocking(False)
        self._buffer = bytearray()
        self._asked = 0

    def fileno(self) -> int:
        """For select."""
        return self._socket.fileno()

    @property
    def pending(self) -> bool:
        """Whether a whole message was read already, so that the socket tells nothing of it."""
        return b"\n" in self._buffer

    def send(self, message: dict[str, Any], *, within_seconds: float) -> None:
        """Send one message.

        Raises:
            LinkLost: the other side is gone.
            LinkSilent: it takes nothing.
        """
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        if len(line) > LONGEST_LINE:
            raise ValueError(f"message of {len(line)} bytes is above the link's {LONGEST_LINE}")
        deadline = time.monotonic() + within_seconds
        view = memoryview(line)
        while view:
            self._await(deadline, writing=True)
            try:
                view = view[self._socket.send(view) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise LinkLost(f"send: {error}") from error

    def receive(self, *, within_seconds: float) -> dict[str, Any]:
        """The next message.

        Raises:
            LinkLost: the other side is gone, or what it sends is no message.
            LinkSilent: none came within the time.
        """
        deadline = time.monotonic() + within_seconds
        while not self.pending:
            self._await(deadline, writing=False)
            self._read_some()
        line, _, rest = bytes(self._buffer).partition(b"\n")
        self._buffer = bytearray(rest)
        try:
            message = json.loads(line)
        except ValueError as error:
            raise LinkLost(f"not JSON: {line[:80]!r}") from error
        if not isinstance(message, dict):
            raise LinkLost(f"not an object: {line[:80]!r}")
        return message

    def ask(self, act: str, fields: dict[str, Any], *, within_seconds: float) -> dict[str, Any]:
        """Ask and await the answer; raises as `send` and `receive` do."""
        self._asked += 1
        deadline = time.monotonic() + within_seconds
        self.send({"ask": self._asked, "act": act, **fields}, within_seconds=within_seconds)
        return self.await_answer(within_seconds=deadline - time.monotonic())

    def await_answer(self, *, within_seconds: float) -> dict[str, Any]:
        """The answer to the last question, which may have been given up before."""
        deadline = time.monotonic() + within_seconds
        while True:
            answer = self.receive(within_seconds=max(0.0, deadline - time.monotonic()))
            if answer.get("answer") == self._asked:
                return answer

    def close(self) -> None:
        """Close this end; the other sees the end of the stream."""
        self._socket.close()

    def _read_some(self) -> None:
        try:
            chunk = self._socket.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            raise LinkLost(f"receive: {error}") from error
        if not chunk:
            raise LinkLost("the other side closed the link")
        self._buffer += chunk
        if len(self._buffer) > LONGEST_LINE:
            raise LinkLost(f"a line is longer than {LONGEST_LINE} bytes")

    def _await(self, deadline: float, *, writing: bool) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT if writing else select.POLLIN)
        if not poll.poll(1000 * max(0.0, deadline - time.monotonic())):
            raise LinkSilent("nothing " + ("taken" if writing else "came") + " in time")
