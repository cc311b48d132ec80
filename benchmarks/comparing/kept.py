"""What a comparison has kept so far, and how a part of the page begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from figures import Measured, load

from comparing.parts import Part
from tuner.benchmark import RECORDED, Run, Table, load_tables, read_runs

Lines = list[str]


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A comparison's results: those in `folder`, as far as they are of these tables."""

    folder: Path
    parts: Mapping[str, Part]
    tables: Sequence[Table]

    def has(self, name: str) -> bool:
        """Whether there is anything of a part; False also where these tables have no such part."""
        return bool(self.runs(name) or self.figures(name))

    def runs(self, name: str) -> list[Run]:
        """A replay's runs; none where it was not run."""
        part = self.parts.get(name)
        if part is None or part.script or not (self.folder / part.file).exists():
            return []
        names = {table.name for table in (self.own_tables if name == "own" else self.tables)}
        return [run for run in read_runs([self.folder / part.file]) if run.task in names]

    def figures(self, name: str) -> list[Measured]:
        """A script's figures; none where it was not run."""
        part = self.parts.get(name)
        if part is None or not part.script or not (self.folder / part.file).exists():
            return []
        return load(self.folder / part.file)

    @cached_property
    def own_tables(self) -> Sequence[Table]:
        """The tables that come with Lontra."""
        return load_tables(RECORDED)

    def command(self, *names: str) -> Lines:
        """The commands that made these parts, and which contestants are missing."""
        lines = ["```", *(self.parts[name].shown for name in names), "```", ""]
        for name in names:
            planned = self.parts[name].contestants
            present = {run.contestant for run in self.runs(name)}
            missing = [f"`{one}`" for one in planned if one not in present]
            if missing:
                why = "for lack of an installation or a run that ended"
                lines += prose(f"Missing, {why}: {', '.join(missing)}.")
        return lines


def prose(text: str) -> Lines:
    """A paragraph, wherever its lines break in the source; the page wraps it anew."""
    return [" ".join(text.split()), ""]
