"""Where things lie: the home folder and the knowledge base, by option or environment."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from targets.errors import LontraError

DATABASE_VARIABLE = "LONTRA_DATABASE_URL"
HOME_VARIABLE = "LONTRA_HOME"


class UnusableHome(LontraError):
    """No knowledge base can be kept in that folder."""


@dataclass(frozen=True)
class Home:
    """The home folder (`--home`, $LONTRA_HOME, else the XDG data folder) and database URL.

    `options` names both again in a command that is shown, as far as they came by option.
    """

    path: Path
    database_url: str
    options: str = ""

    @classmethod
    def find(cls, path: Path | None = None, database_url: str | None = None) -> Home:
        """From options, then environment, then the user's data folder.

        Raises:
            UnusableHome: the folder's name cannot be part of a database URL.
        """
        folder = path or _from_environment()
        url = database_url or os.environ.get(DATABASE_VARIABLE) or _in_folder(folder)
        options = f" --home {shlex.quote(str(path))}" if path else ""
        if database_url:
            options += f" --database {_shown(database_url)}"
        return cls(folder, url, options)

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


def _in_folder(folder: Path) -> str:
    file = folder.resolve() / "lontra.db"
    if "?" in str(file):
        raise UnusableHome(
            f"home folder {folder}: a question mark ends the path of a database URL; "
            "choose a folder without one (--home)"
        )
    return f"sqlite:///{file}"


def _shown(url: str) -> str:
    """The URL as it may be shown: one of a server may hold a password."""
    return shlex.quote(url) if url.startswith("sqlite") else "URL"
