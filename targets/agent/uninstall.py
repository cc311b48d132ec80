"""`lontra agent uninstall`: stop, restore, and remove what the agent left, telling each step."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from targets.agent.errors import StateDirHeld
from targets.agent.journal import read_journal
from targets.agent.lock import AgentLock
from targets.agent.recovery import Standing
from targets.agent.restore import restore
from targets.agent.statedir import StateDir
from targets.agent.unit import INSTALLED, MARK
from targets.registry import load_adapter

STOP_SECONDS = 150.0
"""As the unit's TimeoutStopSec: an agent that ends restores first."""

Tell = Callable[[str], object]


def uninstall(state: StateDir, *, tell: Tell, unit: Path = INSTALLED) -> None:
    """Leave the target as it was and nothing of the agent's behind.

    Raises:
        NoStateDir: the folder is no agent's state directory; nothing was touched.
        StateDirHeld: the agent does not end.
        LontraError: the safe configuration could not be put back; nothing was removed.
    """
    state.instance()
    _remove_unit(unit, tell)
    _stop(state, tell)
    done = restore(state) is not None
    tell(f"restored     {'read back' if done else 'nothing to do'}: what is safe is in force")
    _uninstall_adapter(Standing.of(read_journal(state.journal)), tell)
    _remove_files(state, tell)


def _remove_unit(unit: Path, tell: Tell) -> None:
    """Remove the systemd unit, if it is the one that `print-unit` made."""
    if not unit.is_file():
        return
    if not unit.read_text().startswith(MARK):
        tell(f"kept         {unit}: not made by `lontra agent print-unit`")
        return
    systemctl = shutil.which("systemctl")
    if systemctl:
        subprocess.run([systemctl, "disable", "--now", unit.name], check=False)
    unit.unlink()
    if systemctl:
        subprocess.run([systemctl, "daemon-reload"], check=False)
    tell(f"removed      {unit}")


def _stop(state: StateDir, tell: Tell) -> None:
    held = AgentLock(state).holder()
    if held is None:
        return
    mark = held[0]
    if mark is None or not mark.same_view:
        raise StateDirHeld(
            f"state_dir {state.root} is held by an agent that cannot be stopped from here: stop "
            "it where it runs"
        )
    mark.signal(signal.SIGTERM)
    if not mark.wait(STOP_SECONDS):
        raise StateDirHeld(f"the agent of pid {mark.pid} does not end: stop it by other means")
    tell(f"stopped      the agent of pid {mark.pid}")


def _uninstall_adapter(standing: Standing, tell: Tell) -> None:
    if standing.opened is None:
        return
    opened = standing.opened
    adapter = load_adapter(opened["adapter"])(opened["settings"], Path(opened["workdir"]))
    try:
        adapter.uninstall()
    finally:
        adapter.close()
    tell(f"uninstalled  what adapter {opened['adapter']} left on the target")


def _remove_files(state: StateDir, tell: Tell) -> None:
    """Remove what `statedir` lists, and the folder if nothing else is in it."""
    for folder in (state.spool, state.target):
        if folder.is_dir():
            shutil.rmtree(folder)
            tell(f"removed      {folder}")
    own = (state.journal, state.watchdog_log, state.agent_lock, state.beat, state.journal_lock,
           state.restore_lock, state.mark)  # fmt: skip
    for name in own:
        for file in (name, *state.root.glob(f"{name.name}.*")):
            if file.is_file():
                file.unlink()
                tell(f"removed      {file}")
    left = sorted(path.name for path in state.root.iterdir())
    if left:
        tell(f"kept         {state.root}: it holds {', '.join(left)}, which is not the agent's")
    else:
        state.root.rmdir()
        tell(f"removed      {state.root}")
