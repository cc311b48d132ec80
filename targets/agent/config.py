"""How an agent is configured: one frozen record, however it came about (`config_file` reads TOML
and the environment; `lontra tune` makes one by hand)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from targets.agent.errors import InvalidConfig
from targets.agent.policy import Policy

DEFAULT_STATE_DIR = Path("/var/lib/lontra-agent")


@dataclass(frozen=True, kw_only=True)
class AgentConfig:
    """One agent's configuration. The token is in neither `repr` nor any message.

    Attributes:
        server_url: where the API is, without `/api/v1`.
        token: the secret of an agent's scope, for whoever makes the `ServerClient`.
        ca_file: certificates to trust instead of the system's.
        target: the target's name on the server.
        adapter: which adapter drives it (`lontra targets` lists them).
        settings: the adapter's own settings.
        state_dir: what must outlive the agent is kept here; one per target.
        interval_seconds: how often the knobs are compared with what Lontra set.
        dead_man_seconds: how long the agent may be silent before the watchdog takes over.
        idle_grace_seconds: how long a configuration other than the safe one may stay in force
            without work from the server.
        policy: what the target's owner permits.
        spool_bytes: how much may wait on disk for the server.
        log: the least severe level that is logged.

    Raises:
        InvalidConfig: a value is out of its range.
    """

    server_url: str
    target: str
    adapter: str
    token: str = field(default="", repr=False)
    state_dir: Path = DEFAULT_STATE_DIR
    ca_file: Path | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    interval_seconds: float = 5.0
    dead_man_seconds: float = 5.0
    idle_grace_seconds: float = 5.0
    policy: Policy = field(default_factory=Policy)
    spool_bytes: int = 64 * 1024 * 1024
    log: str = "info"

    def __post_init__(self) -> None:
        for name, low in (
            ("interval_seconds", 0.05),
            ("dead_man_seconds", 0.5),
            ("idle_grace_seconds", 0.0),
            ("spool_bytes", 64 * 1024),
        ):
            value = getattr(self, name)
            if not value >= low:
                raise InvalidConfig(f"{name}={value} is below {low:g}: raise it")
        for name in ("server_url", "target", "adapter"):
            if not getattr(self, name):
                raise InvalidConfig(f"{name} is empty: set it")

    @classmethod
    def load(
        cls, path: Path | None, *, environment: Mapping[str, str] | None = None
    ) -> AgentConfig:
        """Read `agent.toml`, overridden by the environment (by default the process's).

        Raises:
            InvalidConfig: names the file, the key and the rule.
        """
        from targets.agent.config_file import load_config

        return load_config(path, environment=environment)
