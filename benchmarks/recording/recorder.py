"""Records one table: measures every configuration of its grid through the target's own adapter."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from recording.grid import Grid
from recording.tables import Table
from recording.tape import Tape
from targets.adapter import Adapter, Description
from targets.errors import TargetDown, TrialFailure
from targets.knobs import Configuration, Value
from targets.metrics import Objective

Opener = Callable[[Table, Path], Adapter]
"""Opens a table's adapter in a workdir."""

_ABOUT_THE_MACHINE = ("cpus", "architecture", "compiler", "file_system")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a table is: measurements still to do, and what was done so far in this run."""

    task: str
    pass_number: int
    passes: int
    left: int
    done: int
    failed: int


class Recorder:
    """Records a table in a folder of its own, where an interrupted recording goes on.

    Each measurement is the adapter's `apply` and one search window of its `measure`, with the
    pass's number as the seed, so that all configurations of a pass meet the same workload. The
    order is another random one each pass, the same whenever the table is recorded.

    Raises:
        OtherRecording: the folder holds a recording of something else.
        TrialFailure: the target or Lontra itself failed, which says nothing about a configuration.
    """

    def __init__(self, table: Table, folder: Path, *, open_adapter: Opener) -> None:
        self.table = table
        self._folder = folder
        self._open = open_adapter
        self._adapters: dict[str, Adapter] = {}

    @cached_property
    def description(self) -> Description:
        """What the table's adapter says of itself and of this machine."""
        return self._adapter("description").describe()

    @cached_property
    def grid(self) -> Grid:
        """The table's grid on this machine."""
        return Grid.of(self.description.space, self.table.levels)

    @cached_property
    def objective(self) -> Objective:
        """What is recorded; raises KeyError when the adapter has no such objective."""
        return {found.name: found for found in self.description.objectives}[self.table.objective]

    @cached_property
    def reference(self) -> dict[str, Value]:
        """The configuration that is measured again and again, when the table has one."""
        space = self.description.space
        return space.check({**space.default(), **self.table.reference})

    def machine(self) -> dict[str, Any]:
        """What the values depend on and whoever reads them should know; no name of the host."""
        known = {**self.description.hardware, "target_version": self.description.version}
        return {
            name: known[name] for name in (*_ABOUT_THE_MACHINE, "target_version") if name in known
        }

    def tape(self) -> Tape:
        """The table's tape, open for more."""
        table = self.table
        definition = json.dumps(
            [
                table.adapter,
                dict(table.settings),
                table.objective,
                self.reference if table.reference_every else None,
                self.grid.configurations,
            ],
            sort_keys=True,
        )
        header = {
            "task": table.task,
            "definition": hashlib.sha256(definition.encode()).hexdigest()[:16],
            "machine": self.machine(),
        }
        return Tape(self._folder / "tape.jsonl", header)

    def record(self, tape: Tape, passes: int) -> Iterator[Progress]:
        """Measure what is missing on the tape of so many passes; a report a measurement."""
        count = len(self.grid.configurations)
        done = 0
        for pass_number in range(passes):
            order = random.Random(f"{self.table.task}/{pass_number}").sample(range(count), count)
            skipped = tape.done(pass_number) | tape.failures.keys()
            missing = [number for number in order if number not in skipped]
            if missing:
                tape.begin(pass_number)
                self._measure_reference(tape, pass_number)
            for index, number in enumerate(missing, 1):
                self._measure(tape, number, pass_number)
                done += 1
                if index == len(missing) or self._reference_due(index):
                    self._measure_reference(tape, pass_number)
                later = (count - len(tape.failures)) * (passes - pass_number - 1)
                yield Progress(
                    task=self.table.task,
                    pass_number=pass_number,
                    passes=passes,
                    left=len(missing) - index + later,
                    done=done,
                    failed=len(tape.failures),
                )

    def close(self) -> None:
        """Close the adapters that were opened."""
        while self._adapters:
            self._adapters.popitem()[1].close()

    def _reference_due(self, measured: int) -> bool:
        return bool(self.table.reference_every) and measured % self.table.reference_every == 0

    def _measure_reference(self, tape: Tape, pass_number: int) -> None:
        if self.table.reference_every:
            tape.reference(self._window(self.reference, pass_number))

    def _measure(self, tape: Tape, number: int, pass_number: int) -> None:
        try:
            value = self._window(self.grid.configurations[number], pass_number)
        except TrialFailure as failure:
            # Whoever is asked for every configuration in turn cannot tell which one broke a target.
            if isinstance(failure, TargetDown) or not failure.kind.blames_configuration:
                raise
            tape.failed(number, f"{failure.kind}: {failure}")
        else:
            tape.measured(number, value)

    def _window(self, configuration: Configuration, seed: int) -> float:
        place = "-".join(str(configuration[name]) for name in self.table.apart) or "all"
        adapter = self._adapter(place)
        adapter.apply(configuration)
        return adapter.measure(seed=seed).objectives[self.table.objective]

    def _adapter(self, place: str) -> Adapter:
        if place not in self._adapters:
            self._adapters[place] = self._open(self.table, self._folder / place)
        return self._adapters[place]
