"""Where an agent keeps what must outlive it, and who may read it: its owner alone.

| name            | what                                                                    |
|-----------------|-------------------------------------------------------------------------|
| `agent.json`    | marks the folder as an agent's; holds the instance's identity           |
| `agent.lock`    | held by the living agent; says which process it is                      |
| `agent.beat`    | when the living agent last showed a sign of life                        |
| `journal.jsonl` | what was done to the target (`targets.agent.journal`)                   |
| `journal.lock`  | held by the one process that may write the journal: the watchdog        |
| `watchdog.log`  | what the watchdog did                                                   |
| `restore.lock`  | held while the safe configuration is put back                           |
| `spool/`        | messages on their way to the server                                     |
| `target/`       | the adapter's own folder                                                |
"""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path

from targets.agent.durable import PRIVATE_FOLDER, replace_file
from targets.agent.errors import NoStateDir

FORMAT = 1


class StateDir:
    """The paths under one agent's state directory, and its making."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root).absolute()
        self.mark = self.root / "agent.json"
        self.agent_lock = self.root / "agent.lock"
        self.beat = self.root / "agent.beat"
        self.journal = self.root / "journal.jsonl"
        self.journal_lock = self.root / "journal.lock"
        self.watchdog_log = self.root / "watchdog.log"
        self.restore_lock = self.root / "restore.lock"
        self.spool = self.root / "spool"
        self.target = self.root / "target"

    def create(self) -> str:
        """Make what is missing, private to the owner; answers the instance's identity.

        Raises:
            NoStateDir: the folder belongs to another user, or holds something else already.
        """
        self.root.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        if self.root.stat().st_uid != os.geteuid():
            raise NoStateDir(
                f"state_dir {self.root} belongs to user {self.root.stat().st_uid}, the agent runs "
                f"as {os.geteuid()}: run it as that user, or name another state_dir"
            )
        if not self.mark.exists():
            # A start that was killed here leaves no more than a half-made mark.
            others = [p for p in self.root.iterdir() if not p.name.startswith(self.mark.name)]
            if others:
                raise NoStateDir(
                    f"state_dir {self.root} is not empty and no agent's: name a folder of its own"
                )
            identity = {"format": FORMAT, "instance": uuid.uuid4().hex}
            replace_file(self.mark, json.dumps(identity).encode())
        for folder in (self.root, self.spool, self.target):
            folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
            folder.chmod(PRIVATE_FOLDER)
        return self.instance()

    def instance(self) -> str:
        """The identity kept here since the folder was made.

        Raises:
            NoStateDir: this is no agent's state directory, or one of another format.
        """
        try:
            data = json.loads(self.mark.read_text())
        except FileNotFoundError:
            raise NoStateDir(
                f"{self.root} is no agent's state directory: it has no {self.mark.name}"
            ) from None
        except ValueError as error:
            raise NoStateDir(f"{self.mark} cannot be read: {error}") from error
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise NoStateDir(f"{self.mark} is not of format {FORMAT}: use the Lontra that made it")
        return str(data["instance"])
