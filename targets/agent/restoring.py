"""Have the safe configuration put back by a process of its own, as often as it takes.

The watchdog holds no adapter: whatever the target's code does (hang, exhaust memory, abort), the
watchdog lives and tries again.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from targets.agent.statedir import StateDir

LIMIT_SECONDS = 120.0
"""For one attempt; a database that must be restarted takes tens of seconds."""

LONGEST_PAUSE_SECONDS = 30.0
OOM_SCORE_ADJUST = -800
"""Below what tuning a memory-hungry target makes the kernel kill first (proc(5), oom_score_adj);
above -1000, which would exempt it altogether."""

DONE, FAILED, UNUSABLE, HELD, BUSY = range(5)
"""Exit statuses of `targets.agent.restore`: put back or nothing to do; could not be put back;
no journal, or one that does not say what to put back, or wrong usage; an agent lives; another
restoring is under way."""

_OOM_SCORE = Path("/proc/self/oom_score_adj")

logger = logging.getLogger(__name__)


def spare_from_oom_killer() -> None:
    """Make the kernel kill others first, where that is permitted."""
    with contextlib.suppress(OSError):
        os.environ["LONTRA_OOM_SCORE_ADJ"] = _OOM_SCORE.read_text().strip()
        _OOM_SCORE.write_text(str(OOM_SCORE_ADJUST))


def undo_sparing() -> None:
    """Take back what was inherited from the watchdog: a target restarted while restoring must
    not be spared in its turn."""
    inherited = os.environ.pop("LONTRA_OOM_SCORE_ADJ", None)
    if inherited is not None:
        with contextlib.suppress(OSError):
            _OOM_SCORE.write_text(inherited)


def restore_until_done(state: StateDir) -> dict[str, Any] | None:
    """Put the safe configuration back; answers what is then in force, as read back.

    Tries without end, with growing pauses. None only when the journal does not say what to put
    back, so that trying again cannot help.
    """
    attempt = 0
    while True:
        attempt += 1
        status, output = _attempt(state)
        if status == DONE:
            logger.warning("restored attempts=%d", attempt)
            return _in_force(output)
        logger.error("restoring failed attempt=%d status=%s", attempt, status)
        if status == UNUSABLE:
            return None
        time.sleep(min(LONGEST_PAUSE_SECONDS, 0.5 * 2 ** min(attempt, 8)))


def _attempt(state: StateDir) -> tuple[int | None, str]:
    """One attempt: its exit status (None: over its limit, or not even started) and stdout.

    -P keeps the working directory, which anybody may be able to write to, off the import path.
    """
    command = [sys.executable, "-P", "-m", "targets.agent.restore"]
    command += ["--state-dir", str(state.root), "--for-watchdog"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=LIMIT_SECONDS,
            check=False, text=True,
        )  # fmt: skip
    except (subprocess.TimeoutExpired, OSError) as error:
        logger.error("restoring did not end error=%s", error)
        return None, ""
    return done.returncode, done.stdout


def _in_force(output: str) -> dict[str, Any]:
    """What the restoring process printed last: `{"in_force": {...}}`."""
    try:
        told = json.loads(output.strip().splitlines()[-1])
        return dict(told["in_force"])
    except (IndexError, ValueError, KeyError, TypeError):
        return {}
