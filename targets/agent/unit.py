"""The systemd unit, filled in for one installation."""

from __future__ import annotations

import shutil
import sys
from importlib.resources import files
from pathlib import Path

MARK = "# Made by `lontra agent print-unit`."
INSTALLED = Path("/etc/systemd/system/lontra-agent.service")


def unit_text(*, config: Path, state_dir: Path) -> str:
    """The text of `lontra-agent.service` for this configuration and this installation."""
    template = (files("targets.agent") / "lontra-agent.service").read_text()
    values = {"CONFIG": str(config), "STATE_DIR": str(state_dir), "COMMAND": _command()}
    for name, value in values.items():
        template = template.replace(f"@{name}@", value)
    return template


def _command() -> str:
    """How this very installation's agent is started."""
    beside = Path(sys.executable).with_name("lontra")
    found = str(beside) if beside.exists() else shutil.which("lontra")
    return f"{found} agent" if found else f"{sys.executable} -P -m targets.agent"
