"""Where things lie: the home folder and the knowledge base, by option or environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

DATABASE_VARIABLE = "LONTRA_DATABASE_URL"
HOME_VARIABLE = "LONTRA_HOME"


@dataclass(frozen=True)
class Home:
    """The home folder (`--home`, $LONTRA_HOME, else the XDG data folder) and database URL."""

    path: Path
    database_url: str
    named_by_option: bool = False

    @classmethod
    def find(cls, path: Path | None = None, database_url: str | None = None) -> Home:
        """From options, then environment, then the user's data folder."""
        folder = path or _from_environment()
        url = database_url or os.environ.get(DATABASE_VARIABLE)
        return cls(
            folder,
            url or f"sqlite:///{(folder / 'lontra.db').resolve()}",
            named_by_option=path is not None,
        )

    def prepare(self) -> Home:
        """Make the folder, readable by its owner alone."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self

    @property
    def agents(self) -> Path:
        """Where the agents of one-machine sessions keep their state."""
        return self.path / "agents"


def _from_environment() -> Path:
    if HOME_VARIABLE in os.environ:
        return Path(os.environ[HOME_VARIABLE]).expanduser()
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "lontra"
