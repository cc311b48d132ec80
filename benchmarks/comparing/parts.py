"""What the comparison consists of: commands, each with the file that keeps its results."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path

from tuner.benchmark import Table
from tuner.benchmark.contestants import PEER_PREFIX
from tuner.benchmark.tables import Role
from tuner.registry import installed_recommenders

ROOT = Path(__file__).resolve().parents[2]
OURS = ("auto", "gp", "parzen", "forest")
QUICK_PEERS = ("random", "optuna-tpe-mv", "nevergrad-portfolio", "flaml-cfo")
SLOW_PEERS = ("smac", "skopt-gp")
SLOW = ("skopt-gp", "skopt-forest")
"""Recommenders that take a quarter of a second a suggestion: the peers show what they are worth."""

HEBO_TABLES = 4
DATA, HEBO = "DIR", "HEBO"
"""Stand in a command for the folder of tables, and for HEBO's interpreter."""

WIDTH = 96


@dataclass(frozen=True, kw_only=True)
class Part:
    """One command: a replay, or a script of this folder where `script` names one.

    Of a replay's peers those run that can run here. `parallel`: it takes `--jobs`.
    """

    name: str
    arguments: tuple[str, ...]
    script: str = ""
    recommenders: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    parallel: bool = True

    @property
    def file(self) -> str:
        """Where its results are kept, within the comparison's folder."""
        return f"{self.name}.csv"

    @property
    def contestants(self) -> tuple[str, ...]:
        """Those it is to run, as results call them."""
        return (*self.recommenders, *(f"{PEER_PREFIX}{name}" for name in self.peers))

    @property
    def shown(self) -> str:
        """The command as a reader gives it, on lines of a page's width."""
        lines = [f"python benchmarks/{self.script}" if self.script else "lontra"]
        for phrase in _phrases([*self._words(self.peers), self.file]):
            if len(lines[-1]) + len(phrase) + 3 > WIDTH:
                lines[-1] += " \\"
                lines.append(" ")
            lines[-1] += f" {phrase}"
        return "\n".join(lines)

    def command(
        self, folder: Path, *, data: Path | None, hebo: str, peers: Sequence[str]
    ) -> list[str]:
        """The command to run, with these peers."""
        stand_ins = {DATA: str(data), f"hebo={HEBO}": f"hebo={hebo}"}
        words = [stand_ins.get(word, word) for word in self._words(peers)]
        if self.script:
            program = [sys.executable, str(ROOT / "benchmarks" / self.script)]
        else:
            program = [str(Path(sys.executable).with_name("lontra"))]
        return [*program, *words, str(folder / self.file)]

    def _words(self, peers: Sequence[str]) -> list[str]:
        """What follows the program's name, but for the file."""
        if self.script:
            return [*self.arguments, "--csv"]
        who = ["--recommenders", ",".join(self.recommenders), "--peers", ",".join(peers)]
        return ["bench", "replay", *who, *self.arguments, "--out"]


def _phrases(words: Sequence[str]) -> list[str]:
    """Words of a command, each option together with its values."""
    phrases: list[str] = []
    for word in words:
        if word.startswith("--") or not phrases:
            phrases.append(word)
        else:
            phrases[-1] += f" {shlex.quote(word)}"
    return phrases


def parts_of(
    tables: Sequence[Table],
    *,
    own: bool,
    ours: Sequence[str] = OURS,
    seeds: int | None = None,
) -> dict[str, Part]:
    """Every part of the comparison on these tables, by name.

    Args:
        own: they are the tables that come with Lontra.
        ours: recommenders of the cold comparison.
        seeds: at most so many.
    """
    data = () if own else ("--data", DATA)

    def replay(
        name: str,
        who: Iterable[str],
        peers: Iterable[str],
        *more: str,
        runs: tuple[int, int],
        told: tuple[str, ...] = data,
    ) -> Part:
        count, budget = runs
        sizes = ("--seeds", str(_least(count, seeds)), "--budget", str(budget))
        return Part(
            name=name,
            arguments=(*told, *sizes, *more),
            recommenders=tuple(who),
            peers=tuple(peers),
        )

    def script(name: str, file: str, *arguments: str, count: int | None = None) -> Part:
        times = () if count is None else ("--seeds", str(_least(count, seeds)))
        parallel = file == "ablations.py"
        return Part(name=name, script=file, arguments=(*arguments, *times), parallel=parallel)

    few = ",".join(chosen_complete(tables, HEBO_TABLES))
    targets = ",".join(table.name for table in tables if table.role is Role.TARGET)
    every = [one.name for one in installed_recommenders() if one.name not in SLOW]
    made = [
        replay("cold", ours, QUICK_PEERS, runs=(10, 100)),
        replay("slow", (), SLOW_PEERS, runs=(10, 50)),
        replay("every", every, ["random"], runs=(5, 50)),
        replay("noise-05", ["auto"], QUICK_PEERS, "--noise", "0.05", runs=(10, 50)),
        replay("noise-15", ["auto"], QUICK_PEERS, "--noise", "0.15", runs=(10, 50)),
        replay("own", ["auto"], ["random", "optuna-tpe-mv"], runs=(10, 100), told=()),
        script("lanes", "ablations.py", *data, "--part", "lanes", "--budget", "50", count=5),
        script("again", "ablations.py", *data, "--part", "again", "--budget", "50", count=5),
        script("failures", "ablations.py", *data, "--part", "failures", "--budget", "50", count=5),
        script("names", "ablations.py", *data, "--part", "names", "--budget", "25", count=6),
        script("short-windows", "fidelity.py", "--reference", "auto", "--budget", "30", count=20),
        script("cost", "suggestion_cost.py", "--clock", "cpu"),
        script("cost-with-history", "suggestion_cost.py", "--clock", "cpu", "--sizes", "100", "200",
               "--sources", "6", "--told-of-source", "200"),
        script("wide", "wide_spaces.py", "--knobs", "60", "120", "--families", "sparse", "tail",
               "--noise", "0", "--budget", "100", "--who", "auto", "auto-whole", "random",
               "optuna-tpe-mv", count=4),
        script("fronts", "multi_objective.py", "fronts", count=10),
        script("limits", "multi_objective.py", "limits", count=4),
    ]  # fmt: skip
    if few:
        hebo = ("--tasks", few, "--peer-python", f"hebo={HEBO}")
        made.append(replay("hebo", (), ["hebo"], *hebo, runs=(3, 25)))
    if targets:
        told = ("--history", "200")
        made += [
            replay("transfer", ["auto"], ["warm-tpe"], *told, runs=(100, 25)),
            replay("transfer-cold", ["auto"], ["random"], "--tasks", targets, runs=(100, 25)),
            replay("misled", ["auto"], (), *told, "--mislead", "only", runs=(100, 25)),
        ]
    return {part.name: part for part in made}


def chosen_complete(tables: Iterable[Table], count: int) -> list[str]:
    """So many complete tables outside transfer groups, by name, the families by turns."""
    families: dict[str, list[str]] = {}
    for table in sorted(tables, key=lambda table: (table.family, table.name)):
        if table.complete and table.role is None:
            families.setdefault(table.family, []).append(table.name)
    turns = chain.from_iterable(zip_longest(*families.values()))
    return [name for name in turns if name is not None][:count]


def _least(count: int, most: int | None) -> int:
    return count if most is None else min(count, most)
