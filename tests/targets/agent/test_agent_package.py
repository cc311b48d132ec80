"""What importing the agent costs, and what it offers."""

from __future__ import annotations

import subprocess
import sys

import targets.agent

HEAVY = ("sqlalchemy", "flask", "numpy", "sklearn", "optuna")


def imported_by(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_the_public_names_are_these() -> None:
    assert targets.agent.__all__ == ["Activity", "Agent", "AgentConfig", "ServerClient"]
    for name in targets.agent.__all__:
        assert getattr(targets.agent, name).__name__ == name


def test_the_agent_needs_no_server_library() -> None:
    modules = imported_by(
        "from targets.agent import Activity, Agent, AgentConfig, ServerClient\n"
        "import targets.agent.cli, targets.agent.checks"
    )
    assert not modules & set(HEAVY)
    assert not {name for name in modules if name.startswith("targets.simulated")}


def test_the_watchdog_needs_the_standard_library_alone() -> None:
    modules = imported_by("import targets.agent.watchdog")
    assert not modules & {*HEAVY, "httpx2", "psutil", "tomllib"}
    ours = {name for name in modules if name.startswith("targets.")}
    assert not {name for name in ours if "adapter" in name or "client" in name}, ours
