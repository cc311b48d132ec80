"""The agent: the program beside a target that collects, applies, measures and puts back.

`AgentConfig` says how, `ServerClient` speaks to the server, `Agent` does the work; its watchdog is
`targets.agent.watchdog`. The names load when first used: the watchdog's process imports this
package too and must stay small.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from targets.agent.activity import Activity
    from targets.agent.agent import Agent
    from targets.agent.client import ServerClient
    from targets.agent.config import AgentConfig

__all__ = ["Activity", "Agent", "AgentConfig", "ServerClient"]

_HOMES = {
    "Activity": "targets.agent.activity",
    "Agent": "targets.agent.agent",
    "AgentConfig": "targets.agent.config",
    "ServerClient": "targets.agent.client",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
