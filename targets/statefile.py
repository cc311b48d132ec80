"""The configuration in force of a target whose only state is a file of its adapter's."""

from __future__ import annotations

import json
import os
from pathlib import Path

from targets.errors import Rejected, TargetDown
from targets.knobs import Configuration, Value
from targets.space import KnobSpace


class StateFile:
    """Keeps one configuration as JSON in `path`, over crashes and power loss.

    While there is no file, the space's defaults are in force. Another process, or a person with
    an editor, may change it at any time.
    """

    def __init__(self, path: Path, space: KnobSpace) -> None:
        self._path = path
        self._space = space

    def read(self) -> dict[str, Value]:
        """The configuration in force.

        Raises:
            TargetDown: the file does not hold a configuration of this space.
        """
        try:
            return self._space.check(json.loads(self._path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return self._space.default()
        except (OSError, ValueError, TypeError, Rejected) as error:
            raise TargetDown(
                f"state file {self._path} does not hold a configuration of this target: {error}; "
                "delete it to go back to the defaults"
            ) from error

    def write(self, configuration: Configuration) -> None:
        """Put a checked configuration in force."""
        replace_text(self._path, json.dumps(dict(configuration), indent=1) + "\n")


def replace_text(path: Path, text: str, *, synced: bool = True) -> None:
    """Put `text` at `path`, whole or not at all; its folder is made where it is missing.

    Not `synced`, a power cut may lose it, which is enough for what can be measured again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    with beside.open("w", encoding="utf-8") as file:
        file.write(text)
        if synced:
            file.flush()
            os.fsync(file.fileno())
    beside.replace(path)
