"""Where the watchdog says what it does: a small file, and warnings on the agent's stderr too.

The agent's terminal or pipe may be gone when the watchdog has most to say; that must not hurt it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from pathlib import Path

from targets.agent.durable import PRIVATE_FILE

LARGEST_BYTES = 1024 * 1024
FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


class _StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to stderr while there is one."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        del record


def log_to(path: Path) -> None:
    """Log to `path`, which is begun anew when it has grown large; the last one is kept as
    `.old`."""
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > LARGEST_BYTES:
            path.replace(path.with_name(f"{path.name}.old"))
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE))
    to_file = logging.FileHandler(path)
    to_stderr = _StderrHandler(sys.stderr)
    to_stderr.setLevel(logging.WARNING)
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    for handler in (to_file, to_stderr):
        handler.setFormatter(logging.Formatter(FORMAT))
        root.addHandler(handler)
