"""The adapter contract: all that Lontra needs to know and do about one kind of target.

An adapter is made from its settings, describes what it found, and from then on reads, applies,
measures and puts back. It decides nothing. `targets.testing` ships the suite every adapter passes.

Threads: the agent calls an adapter from one thread, except `read` and `healthy`, which a second
thread may call while `measure` runs when `concurrent_read` is true.
Processes: the watchdog makes its own instance, from the same settings and workdir, to `restore`
after the agent died; so everything `restore` needs is in the snapshot or on disk, never in memory.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

import targets.machine
from targets.accounting import check_accounts
from targets.clock import Clock, SystemClock
from targets.errors import Cancelled
from targets.knobs import Configuration, Value
from targets.metrics import Metric, Objective
from targets.settings import Setting, parse_settings
from targets.space import KnobSpace


class Purpose(StrEnum):
    """What a window is for. A target whose workload has a part kept unseen (a trace) searches on
    one part and confirms on the other; most targets measure both alike."""

    SEARCH = "search"
    CONFIRM = "confirm"


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What the target does while measured: a name and the parameters that make it repeatable."""

    name: str
    parameters: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Description:
    """What an adapter found: told to the server at registration and stored as it was then.

    `hardware` is JSON-able and within the container's limits (`targets.machine`).
    `least_fidelity` is the shortest window that `measure` takes, as a share of a full one of
    `window_seconds`: 1 where windows cannot be shortened, else what still measures the same thing.
    Raises ValueError where it is no such share, or an objective's account is none of the counters.
    """

    kind: str
    version: str
    hardware: Mapping[str, Any]
    space: KnobSpace
    metrics: tuple[Metric, ...]
    objectives: tuple[Objective, ...]
    workload: Workload
    window_seconds: float
    settings: Mapping[str, Value] = field(default_factory=dict)
    least_fidelity: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 < self.least_fidelity <= 1.0:
            raise ValueError(
                f"target {self.kind} describes least_fidelity={self.least_fidelity}: it is a share "
                "of a full window, above 0 and at most 1"
            )
        check_accounts(self.objectives, self.metrics)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form; `from_dict` reads it back exactly."""
        return {
            "kind": self.kind,
            "version": self.version,
            "hardware": dict(self.hardware),
            "space": self.space.to_dict(),
            "metrics": [metric.to_dict() for metric in self.metrics],
            "objectives": [objective.to_dict() for objective in self.objectives],
            "workload": {"name": self.workload.name, "parameters": dict(self.workload.parameters)},
            "window_seconds": self.window_seconds,
            "settings": dict(self.settings),
            "least_fidelity": self.least_fidelity,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Description:
        """Read `to_dict`'s form; raises KeyError, TypeError, ValueError or InvalidKnob."""
        return cls(
            kind=data["kind"],
            version=data["version"],
            hardware=dict(data["hardware"]),
            space=KnobSpace.from_dict(data["space"]),
            metrics=tuple(Metric.from_dict(metric) for metric in data["metrics"]),
            objectives=tuple(Objective.from_dict(objective) for objective in data["objectives"]),
            workload=Workload(**data["workload"]),
            window_seconds=float(data["window_seconds"]),
            settings=dict(data.get("settings", {})),
            least_fidelity=float(data.get("least_fidelity", 1.0)),
        )


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What `restore` needs: the configuration in force and anything else, as JSON-able data."""

    configuration: Configuration
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Applied:
    """The configuration in force, read back, which may differ from the one asked for."""

    in_force: Configuration
    restarted: bool = False


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One window: objective values, internal metrics and how long the measuring took.

    `details` is JSON-able evidence (operations done, errors seen) kept with the window.
    """

    objectives: Mapping[str, float]
    seconds: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ReferenceLine:
    """Something to compare with: an expert's choice, a fixed policy. In the objective's unit."""

    name: str
    value: float
    note: str = ""


class CancelToken:
    """Asked between steps of a long measurement; `cancel` may come from another thread."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.reason = ""

    def cancel(self, reason: str) -> None:
        """Ask the measurement to end; the first reason counts."""
        if not self._event.is_set():
            self.reason = reason
            self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether the measurement should end now."""
        return self._event.is_set()

    def check(self) -> None:
        """Raises Cancelled when it should."""
        if self.cancelled:
            raise Cancelled(self.reason)

    def wait(self, seconds: float) -> bool:
        """Wait, but no longer than until cancelled; answers whether it was."""
        return self._event.wait(seconds)


class Adapter(ABC):
    """One kind of target. Subclasses set `kind`, `summary` and `settings_declared`.

    Args:
        settings: the adapter's settings, as declared; missing ones take their defaults.
        workdir: a folder of the adapter's own, kept between runs; it may create files there.
        clock: where time comes from.

    Raises:
        InvalidSetting: a setting is unknown or wrong.
        MissingExtra: an optional dependency is missing.
        TargetDown: the target cannot be reached.
    """

    kind: ClassVar[str]
    summary: ClassVar[str]
    settings_declared: ClassVar[tuple[Setting, ...]] = ()
    concurrent_read: ClassVar[bool] = False
    """Whether `read` and `healthy` may be called from a second thread during `measure`."""
    embedded: ClassVar[bool] = False
    """Whether the target is the adapter's own, made for tuning, so that nobody depends on it and
    `lontra tune` may restart or rebuild it unasked."""

    def __init__(
        self,
        settings: Mapping[str, object],
        workdir: Path,
        *,
        clock: Clock | None = None,
    ) -> None:
        self.settings = parse_settings(
            self.settings_declared, settings, owner=f"target {self.kind}"
        )
        self.workdir = workdir
        self.clock = clock or SystemClock()
        self.machine = targets.machine.Machine.detect()

    @abstractmethod
    def describe(self) -> Description:
        """What was found. Cheap, no side effect, the same during one run.

        The knobs' defaults are the target's own; the first objective is the default one.
        """

    @abstractmethod
    def read(self) -> dict[str, Value]:
        """The configuration in force, asked from the target itself. No side effect."""

    @abstractmethod
    def observe(self) -> dict[str, float]:
        """The metrics as they stand (counters raw). No side effect."""

    @abstractmethod
    def apply(self, configuration: Configuration) -> Applied:
        """Put a complete configuration in force, whole or not at all.

        Everything is validated first (`space.check`), then set, then read back.

        Raises:
            Rejected: the configuration is invalid; nothing was changed.
            ApplyFailed: the target refused it, or did not come up with it.
            TargetDown: the target went away.
            TimedOut: it took too long.
        """

    @abstractmethod
    def measure(
        self,
        purpose: Purpose = Purpose.SEARCH,
        *,
        seed: int = 0,
        cancel: CancelToken | None = None,
        fidelity: float = 1.0,
    ) -> Measurement:
        """Measure one window under the configuration in force.

        Every window starts from the same data. `seed` makes the workload's random choices: two
        windows with one seed do the same work. `fidelity` is the share of a full window's length
        to measure, from the description's `least_fidelity` on; it is given only where it is below
        1, so that an adapter whose windows cannot be shortened need not take it.

        Raises:
            WorkloadFailed: the workload failed or its result is wrong.
            TargetDown, TimedOut, Cancelled, HarnessFailed: as their names say.
        """

    def snapshot(self) -> Snapshot:
        """What `restore` will need to put the present state back."""
        return Snapshot(configuration=self.read())

    def restore(self, snapshot: Snapshot) -> Applied:
        """Put a snapshot back. Idempotent; works on a fresh instance, after any crash.

        Raises:
            ApplyFailed, TargetDown, TimedOut: it could not be put back; safe to try again.
        """
        return self.apply(snapshot.configuration)

    def healthy(self) -> str:
        """Empty when the target answers as it should; else what is wrong, in words."""
        return ""

    def reference_lines(self, purpose: Purpose = Purpose.CONFIRM) -> tuple[ReferenceLine, ...]:
        """Lines to compare the result with. May take as long as a few windows."""
        return ()

    def uninstall(self) -> None:
        """Remove what the adapter left on the target, after a last `restore`.

        The default leaves nothing to remove; the workdir is the agent's to delete.
        """
        return

    def close(self) -> None:
        """Release connections and files. The target keeps its configuration."""
        return
