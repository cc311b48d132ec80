"""What a target tuned by commands is: the owner's TOML file, as records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from targets.command.files import RenderedFile
from targets.command.placeholders import BooleanWords, Template
from targets.command.reading import OutputFormat, Source
from targets.metrics import Metric, Objective
from targets.space import KnobSpace

PYTHON, SEED, PURPOSE, SECONDS = (
    "lontra.python",
    "lontra.seed",
    "lontra.purpose",
    "lontra.window_seconds",
)
"""Names that placeholders may use beside the knobs': the interpreter that runs Lontra, and for
`[measure]` alone the window's seed, its purpose and how long it is to be."""


@dataclass(frozen=True, kw_only=True)
class CommandTable:
    """One command as the file gives it; `name` is its table's, e.g. `[apply]`."""

    name: str
    argv: tuple[Template, ...]
    env: Mapping[str, Template]
    timeout_seconds: float

    @property
    def names(self) -> set[str]:
        """What its placeholders name."""
        return {name for text in (*self.argv, *self.env.values()) for name in text.names}


@dataclass(frozen=True, kw_only=True)
class ReadTable:
    """`[read]`: the command that prints the configuration in force, and where each knob stands."""

    command: CommandTable
    layout: OutputFormat
    sources: Mapping[str, Source]
    settle_seconds: float


@dataclass(frozen=True, kw_only=True)
class Definition:
    """Everything the file says. Paths are absolute; `environment` is the commands' own."""

    file: Path
    name: str
    version: str
    workload: str
    workdir: Path
    environment: Mapping[str, str]
    words: BooleanWords
    space: KnobSpace
    files: tuple[RenderedFile, ...]
    apply: CommandTable | None
    check: CommandTable | None
    read: ReadTable | None
    measure: CommandTable
    window_seconds: float
    shortest_seconds: float
    observe: CommandTable | None
    restore: CommandTable | None
    version_command: CommandTable | None
    objectives: tuple[tuple[Objective, Source], ...]
    metrics: tuple[tuple[Metric, Source], ...]

    @property
    def commands(self) -> list[CommandTable]:
        """Every command the file gives."""
        given = (self.apply, self.check, self.measure, self.observe, self.restore)
        reading = self.read.command if self.read else None
        return [command for command in (*given, reading, self.version_command) if command]
