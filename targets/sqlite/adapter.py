"""The adapter of an SQLite database: its pragmas and page size are tuned."""

from __future__ import annotations

import sqlite3
import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from importlib import resources
from pathlib import Path

import psutil

from targets.adapter import (
    Adapter,
    Applied,
    CancelToken,
    Description,
    Measurement,
    Purpose,
    ReferenceLine,
    Workload,
)
from targets.catalogue import load_catalogue
from targets.clock import Clock
from targets.errors import ApplyFailed, HarnessFailed, TargetDown
from targets.knobs import Configuration, Value
from targets.metrics import rates
from targets.settings import Setting
from targets.sqlite.database import Database
from targets.sqlite.dataset import dataset_key
from targets.sqlite.durability import Durability, outside, restrict
from targets.sqlite.metrics import COUNTERS, METRICS, OBJECTIVES
from targets.sqlite.pragmas import Pragmas, encode
from targets.sqlite.window import Outcome, Work, run_window
from targets.sqlite.workload import SETTINGS, SHORTEST_SECONDS, Mix

_REFERENCE_WINDOWS = 3
_REFERENCE_NAMES = {
    "default": "SQLite's defaults",
    "wal": "write-ahead log, else SQLite's defaults",
}
_MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs", "devtmpfs")


class SqliteAdapter(Adapter):
    """Tunes how an application uses SQLite, on a database of its own with generated data.

    The owner's `durability` fixes the class that the search stays inside; `baseline` is the
    configuration in force when the database is made. Each pair of the two, and each data set, has
    a database of its own in the workdir, so that changing a setting never meets the traces of
    another one.
    """

    kind = "sqlite"
    embedded = True
    summary = "SQLite: pragmas and page size of a real database under a transaction workload"
    concurrent_read = True  # windows run on a copy
    settings_declared = (
        Setting(
            name="durability",
            default=str(Durability.DURABLE),
            choices=tuple(map(str, Durability)),
            help="What a power loss may cost: durable: nothing that was committed; consistent: "
            "the last commits; none: the database",
        ),
        Setting(
            name="baseline",
            default="default",
            choices=("default", "wal"),
            help="Configuration the database is made with: SQLite's defaults, or these in "
            "write-ahead mode",
        ),
        *SETTINGS,
    )

    def __init__(
        self, settings: Mapping[str, object], workdir: Path, *, clock: Clock | None = None
    ) -> None:
        super().__init__(settings, workdir, clock=clock)
        self.mix = Mix.of(self.settings)
        self.durability = Durability(str(self.settings["durability"]))
        name = f"{self.durability}-{self.settings['baseline']}-{dataset_key(self.mix):08x}"
        self.folder = workdir / name
        self.database = Database(self.folder, self.mix, self.durability)
        self._space = restrict(
            load_catalogue(resources.files("targets.sqlite") / "catalogue.toml", self.machine),
            self.durability,
            defaults=self.database.library_defaults(),
        )
        self._totals = dict.fromkeys(COUNTERS, 0.0)
        if not self.database.path.exists():
            self._make_database()

    def _make_database(self) -> None:
        try:
            self.database.apply(self._starting_points()[str(self.settings["baseline"])])
        except ApplyFailed as error:
            raise TargetDown(f"the database cannot be made: {error}") from error

    def _starting_points(self) -> dict[str, dict[str, Value]]:
        default = self._space.default()
        return {"default": default, "wal": {**default, "journal_mode": "wal"}}

    def describe(self) -> Description:
        window_seconds = float(self.settings["window_seconds"])
        return Description(
            kind=self.kind,
            version=sqlite3.sqlite_version,
            hardware={**self.machine.to_dict(), "file_system": _file_system(self.folder)},
            space=self._space,
            metrics=METRICS,
            objectives=OBJECTIVES,
            workload=Workload(name="accounts", parameters=asdict(self.mix)),
            window_seconds=window_seconds,
            settings=self.settings,
            least_fidelity=SHORTEST_SECONDS / window_seconds,
        )

    def read(self) -> dict[str, Value]:
        return self.database.read()

    def apply(self, configuration: Configuration) -> Applied:
        """Put a configuration in force: SQLite needs no restart, new connections have it."""
        return Applied(in_force=self.database.apply(self._space.check(configuration)))

    def healthy(self) -> str:
        return self.database.fault()

    def observe(self) -> dict[str, float]:
        """The counters of the windows that this instance measured, and the database's size."""
        try:
            size = self.database.path.stat().st_size
        except OSError as error:
            raise TargetDown(f"no database: {error}") from error
        return {**self._totals, "database_bytes": float(size)}

    def measure(
        self,
        purpose: Purpose = Purpose.SEARCH,
        *,
        seed: int = 0,
        cancel: CancelToken | None = None,
        fidelity: float = 1.0,
    ) -> Measurement:
        """Measure one window on a copy of the database; both purposes alike. A shorter one has a
        shorter warm-up.

        Raises:
            HarnessFailed: among others when the configuration in force, changed by somebody else,
                is outside the durability class.
        """
        in_force = self.read()
        if wrong := outside(in_force, self.durability):
            raise HarnessFailed(f"{wrong}, which is in force: put another one in force")
        outcome = self._window(
            in_force,
            self.database.read_pragmas(),
            self.database.copy,
            seed=seed,
            cancel=cancel or CancelToken(),
            fidelity=fidelity,
        )
        for name, value in outcome.counters.items():
            self._totals[name] += value
        return Measurement(
            objectives=outcome.objectives,
            seconds=outcome.seconds,
            metrics={
                **rates(METRICS, {}, outcome.counters, seconds=outcome.seconds),
                **outcome.gauges,
            },
            details={**outcome.details, **_disk_warning(self.folder)},
        )

    def reference_lines(self, purpose: Purpose = Purpose.CONFIRM) -> tuple[ReferenceLine, ...]:
        """The starting points that `baseline` could have been and is not, measured now."""
        lines = []
        for name, configuration in self._starting_points().items():
            if name == self.settings["baseline"]:
                continue
            windows = [
                self._window(
                    configuration,
                    encode(configuration),
                    partial(self.database.copy_under, configuration),
                    seed=seed,
                    cancel=CancelToken(),
                )
                for seed in range(_REFERENCE_WINDOWS)
            ]
            values = [window.objectives["throughput"] for window in windows]
            lines.append(
                ReferenceLine(
                    name=_REFERENCE_NAMES[name],
                    value=statistics.median(values),
                    note=f"throughput, median of {_REFERENCE_WINDOWS} windows",
                )
            )
        return tuple(lines)

    def _window(
        self,
        configuration: Configuration,
        pragmas: Pragmas,
        copy: Callable[[Path], None],
        *,
        seed: int,
        cancel: CancelToken,
        fidelity: float = 1.0,
    ) -> Outcome:
        window_seconds = fidelity * float(self.settings["window_seconds"])
        work = Work(
            mix=self.mix,
            seed=seed,
            warm_up_seconds=window_seconds * float(self.settings["warm_up_share"]),
            window_seconds=window_seconds,
            pragmas=pragmas,
            configuration=configuration,
        )
        return run_window(work, self.folder, copy=copy, clock=self.clock, cancel=cancel)


def _file_system(folder: Path) -> str:
    """The type of the file system that a folder is on, e.g. ext4; empty when it is not known."""
    mounts = {
        Path(partition.mountpoint): partition.fstype
        for partition in psutil.disk_partitions(all=True)
    }
    path = folder.resolve()
    return next((mounts[parent] for parent in (path, *path.parents) if parent in mounts), "")


def _disk_warning(folder: Path) -> dict[str, str]:
    file_system = _file_system(folder)
    if file_system not in _MEMORY_FILE_SYSTEMS:
        return {}
    return {
        "warning": f"{folder} is on {file_system}, in memory, where a sync costs nothing: put the "
        "workdir on a disk"
    }
