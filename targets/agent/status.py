"""`lontra agent status`: what the agent of a state directory does and did, from its files alone."""

from __future__ import annotations

import json
import sys
from typing import Any

from targets.agent.journal import read_journal
from targets.agent.lock import AgentLock
from targets.agent.recovery import Standing
from targets.agent.statedir import StateDir

RUNNING = 0
NOT_RUNNING = 1


def read_status(state: StateDir) -> dict[str, Any]:
    """What the files say, as JSON-able data; raises NoStateDir."""
    instance = state.instance()
    reading = read_journal(state.journal)
    standing = Standing.of(reading)
    held = AgentLock(state).holder()
    last = reading.records[-1] if reading.records else None
    return {
        "state_dir": str(state.root),
        "instance": instance,
        "running": held is not None,
        "pid": held[0].pid if held and held[0] else None,
        "silent_seconds": round(held[1], 1) if held else None,
        "adapter": (standing.opened or {}).get("adapter"),
        "safe": (standing.snapshot or {}).get("configuration"),
        "safe_in_force": not standing.dirty,
        "trial": standing.working[0] if standing.working else None,
        "last_record": {"kind": last.kind.value, "at": last.at} if last else None,
        "journal_damage": list(reading.damage),
        "spooled": len(list(state.spool.glob("*.json"))),
        "refused": len(list((state.spool / "refused").glob("*.json"))),
    }


def show_status(state: StateDir, *, as_json: bool) -> int:
    """Print it; answers 0 while an agent runs, else 1."""
    status = read_status(state)
    if as_json:
        sys.stdout.write(json.dumps(status, indent=2) + "\n")
    else:
        for name, value in status.items():
            if value not in (None, []):
                sys.stdout.write(f"{name.replace('_', ' '):16} {_plain(value)}\n")
    return RUNNING if status["running"] else NOT_RUNNING


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name}={item}" for name, item in value.items())
    return str(value)
