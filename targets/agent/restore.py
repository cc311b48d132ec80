"""Put the safe configuration back, after any crash: what the journal says decides.

    python -m targets.agent.restore --state-dir DIR [--print] [--force]

Reads the journal, opens the target by the adapter and settings recorded there, restores the
snapshot and reads it back. Safe to run again, at any time, by anybody who may read the state
directory; refused while an agent lives, which would take it for somebody else's change.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from targets.agent.errors import (
    JournalDamaged,
    NoStateDir,
    RestoreFailed,
    RestoreUnderWay,
    StateDirHeld,
)
from targets.agent.journal import Journal, Kind, read_journal
from targets.agent.lock import AgentLock, FileLock
from targets.agent.recovery import Standing
from targets.agent.restoring import BUSY, DONE, FAILED, HELD, UNUSABLE, undo_sparing
from targets.agent.statedir import StateDir
from targets.errors import LontraError

if TYPE_CHECKING:
    from targets.adapter import Adapter

LOCK_SECONDS = 30.0

logger = logging.getLogger(__name__)


def put_back(standing: Standing) -> dict[str, Any]:
    """Restore what the journal says; answers what is in force, read back.

    Raises:
        JournalDamaged: it does not say what to put back.
        RestoreFailed: the target does not have it in force afterwards.
        LontraError: the adapter cannot be loaded, or could not restore.
    """
    from targets.adapter import Snapshot
    from targets.registry import load_adapter

    if standing.opened is None or standing.snapshot is None:
        raise JournalDamaged(
            "the journal has no readable record of the safe configuration: compare the target's "
            "settings with your own records, then remove the state directory"
        )
    opened = standing.opened
    snapshot = Snapshot(
        configuration=dict(standing.snapshot["configuration"]), data=standing.snapshot["data"]
    )
    if Path(opened["cwd"]).is_dir():
        # The settings' relative paths are meant from where the agent was started.
        os.chdir(opened["cwd"])
    adapter = load_adapter(opened["adapter"])(opened["settings"], Path(opened["workdir"]))
    try:
        if standing.by_apply:
            adapter.apply(snapshot.configuration)
        else:
            adapter.restore(snapshot)
        return check_in_force(adapter, snapshot.configuration)
    finally:
        adapter.close()


def check_in_force(adapter: Adapter, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Read the target back; raises RestoreFailed unless exactly `wanted` is in force."""
    in_force = adapter.read()
    wrong = {name: value for name, value in wanted.items() if in_force.get(name) != value}
    if wrong:
        raise RestoreFailed(
            "the safe configuration is not in force after restoring: "
            + "; ".join(
                f"{name} is {in_force.get(name)!r}, not {value!r}" for name, value in wrong.items()
            )
        )
    return in_force


def restore(
    state: StateDir, *, force: bool = False, for_watchdog: bool = False
) -> dict[str, Any] | None:
    """Put the safe configuration back if something else may be in force; answers what is in force
    then, or None when there was nothing to do.

    Args:
        force: also when the journal says that it is in force.
        for_watchdog: the watchdog asks, which owns the journal and answers for the agent.

    Raises:
        StateDirHeld: an agent lives here; it would take this for somebody else's change.
        RestoreUnderWay: another process restores already.
        NoStateDir, JournalDamaged, RestoreFailed, LontraError: as `put_back`.
    """
    state.instance()
    if not for_watchdog and AgentLock(state).holder() is not None:
        raise StateDirHeld(f"an agent lives on state_dir {state.root}: stop it, it restores itself")
    with FileLock(state.restore_lock) as lock:
        if not lock.take(wait_seconds=LOCK_SECONDS, dispossess=lambda holder: holder.stopped):
            raise RestoreUnderWay(f"another process restores already ({state.restore_lock})")
        standing = Standing.of(read_journal(state.journal))
        if not (standing.dirty or force):
            return None
        in_force = put_back(standing)
        if not for_watchdog:
            _record(state, in_force)
        return in_force


def _record(state: StateDir, in_force: Mapping[str, Any]) -> None:
    """Journal the restoring, unless a watchdog owns the journal, which then comes to the same."""
    with FileLock(state.journal_lock) as lock:
        if not lock.take():
            return
        journal = Journal(state.journal)
        journal.open()
        fields = {"by": "restore", "reason": "asked for", "trial": None, "in_force": in_force}
        journal.append(Kind.RESTORED, fields)
        journal.close()


def _print_plan(state: StateDir) -> None:
    state.instance()
    standing = Standing.of(read_journal(state.journal))
    _say(
        {
            "safe_in_force": not standing.dirty,
            "by": "apply" if standing.by_apply else "restore",
            "opened": standing.opened,
            "snapshot": standing.snapshot,
        }
    )


def _say(what: Mapping[str, Any]) -> None:
    """Tell the caller, a person or the watchdog, on stdout: one line of JSON."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main(argv: list[str] | None = None) -> int:
    """The command line; see the module's text."""
    parser = argparse.ArgumentParser(
        prog="lontra agent restore",
        description="Put the safe configuration back, after any crash.",
        epilog="exit status: 0 it is in force, 1 it could not be put back, 2 nothing readable to "
        "put back, 3 an agent lives, 4 another restoring is under way",
    )
    parser.add_argument("--state-dir", type=Path, required=True, help="the agent's state directory")
    parser.add_argument(
        "--print", action="store_true", help="print what would be put back; change nothing"
    )
    parser.add_argument(
        "--force", action="store_true", help="also when the journal says that it is in force"
    )
    parser.add_argument("--for-watchdog", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    undo_sparing()
    state = StateDir(args.state_dir)
    try:
        if args.print:
            _print_plan(state)
            return DONE
        in_force = restore(state, force=args.force, for_watchdog=args.for_watchdog)
        _say({"restored": in_force is not None, "in_force": in_force})
    except LontraError as error:
        logger.error("not restored error=%s: %s", type(error).__name__, error)
        return next((status for kind, status in _STATUSES if isinstance(error, kind)), FAILED)
    # The adapter's code may raise anything; whoever called tries again.
    except Exception:
        logger.exception("not restored")
        return FAILED
    return DONE


_STATUSES: tuple[tuple[type[LontraError], int], ...] = (
    (JournalDamaged, UNUSABLE),
    (NoStateDir, UNUSABLE),
    (StateDirHeld, HELD),
    (RestoreUnderWay, BUSY),
)


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
    sys.exit(main())
