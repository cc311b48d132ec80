"""The adapter of a cache's policy, evaluated on a trace of accesses by libcachesim."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

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
from targets.cache_policy.generators import GENERATORS
from targets.cache_policy.policies import FIXED_LRU, FIXED_S3_FIFO, admission_part, cache_part
from targets.cache_policy.simulator import Simulator
from targets.cache_policy.traces import FORMATS, GENERATED_REQUESTS, trace_of
from targets.cache_policy.worker import Outcome
from targets.catalogue import load_catalogue
from targets.clock import Clock
from targets.errors import ApplyFailed, LontraError, MissingExtra
from targets.knobs import Configuration, Value
from targets.metrics import Direction, Metric, MetricKind, Objective
from targets.settings import Setting
from targets.statefile import StateFile

VERSION = "1"

LEAST_FIDELITY = 0.1
"""A cache that saw less of a generated trace is still too cold to tell policies apart."""


class CachePolicyAdapter(Adapter):
    """Tunes replacement policy, its parameters and admission for one trace and cache size.

    The search sees the first part of the trace only; windows to confirm count over the later part
    (`traces.Parts`). A window replays the trace in a child process: the same configuration
    always gives the same value, and a policy that crashes takes nothing with it. What is in force
    is a file in the workdir. The baseline is LRU that lets everything in.
    """

    kind = "cache-policy"
    embedded = True
    summary = "cache replacement and admission for an access trace, by simulation"
    settings_declared = (
        Setting(
            name="trace",
            default="mix",
            help=f"a trace file, or a generator: {', '.join(GENERATORS)}",
        ),
        Setting(
            name="trace_format",
            default="auto",
            help="format of the trace file; auto: by its name",
            choices=("auto", *FORMATS),
        ),
        Setting(
            name="requests",
            default=0,
            help="requests to generate, or to use of a file at most; "
            f"0: {GENERATED_REQUESTS}, or all",
            low=0,
        ),
        Setting(name="seed", default=1, help="seed of a generated trace", low=0),
        Setting(
            name="cache_size",
            default=0.1,
            help="below 1: share of the objects in the searched part; from 1: objects, or bytes "
            "with object_sizes",
            low=1e-6,
        ),
        Setting(
            name="unseen_share",
            default=0.4,
            help="the last part of the trace, kept from the search for the confirmation",
            low=0.05,
            high=0.9,
        ),
        Setting(
            name="object_sizes",
            default=False,
            help="use a trace file's object sizes; else every object is one page",
        ),
        Setting(name="csv_delimiter", default=",", help="what separates the fields of a CSV trace"),
        Setting(name="csv_header", default=True, help="whether a CSV trace begins with a header"),
        Setting(
            name="csv_numeric",
            default=True,
            help="whether a CSV trace's objects are numbers; else any text",
        ),
        Setting(
            name="csv_time_field",
            default=1,
            help="which field of a CSV trace is the time in seconds; 0: none",
            low=0,
        ),
        Setting(
            name="csv_object_field",
            default=2,
            help="which field of a CSV trace is the object",
            low=1,
        ),
        Setting(
            name="csv_size_field",
            default=0,
            help="which field of a CSV trace is the object's size; 0: none",
            low=0,
        ),
        Setting(
            name="limit_seconds",
            default=120.0,
            help="a replay that takes longer is ended and its trial fails",
            unit="s",
            low=1,
        ),
    )

    def __init__(
        self, settings: Mapping[str, object], workdir: Path, *, clock: Clock | None = None
    ) -> None:
        super().__init__(settings, workdir, clock=clock)
        for module in ("libcachesim", "numpy"):
            if importlib.util.find_spec(module) is None:
                raise MissingExtra("target cache-policy", module, "cache-policy")
        self.simulator = Simulator(
            trace_of(self.settings, workdir),
            cache_size=float(self.settings["cache_size"]),
            unseen_share=float(self.settings["unseen_share"]),
            limit_seconds=float(self.settings["limit_seconds"]),
            clock=self.clock,
        )
        self._space = load_catalogue(
            resources.files("targets.cache_policy") / "knobs.toml", self.machine
        )
        self._state = StateFile(workdir / "in-force.json", self._space)
        self._windows = 0

    def describe(self) -> Description:
        trace = self.simulator.trace
        name = trace.generator or Path(trace.path).name
        return Description(
            kind=self.kind,
            version=VERSION,
            hardware=self.machine.to_dict(),
            space=self._space,
            metrics=_METRICS,
            objectives=_OBJECTIVES,
            workload=Workload(
                name=f"{name} at {self.settings['cache_size']:g}",
                parameters={
                    name: self.settings[name]
                    for name in ("trace", "requests", "seed", "cache_size", "unseen_share")
                },
            ),
            window_seconds=1.0,
            settings=self.settings,
            least_fidelity=LEAST_FIDELITY,
        )

    def read(self) -> dict[str, Value]:
        return self._state.read()

    def observe(self) -> dict[str, float]:
        return {"windows": float(self._windows)}

    def apply(self, configuration: Configuration) -> Applied:
        checked = self._space.check(configuration)
        self._state.write(checked)
        in_force = self.read()
        if in_force != checked:
            raise ApplyFailed(f"{in_force} is in force after setting {checked}")
        return Applied(in_force=in_force)

    def measure(
        self,
        purpose: Purpose = Purpose.SEARCH,
        *,
        seed: int = 0,
        cancel: CancelToken | None = None,
        fidelity: float = 1.0,
    ) -> Measurement:
        """Replay the purpose's part of the trace; the seed makes no difference, the trace is one.

        A shorter window replays the part's beginning, with as much less to fill the cache.

        Raises:
            WorkloadFailed: the simulator crashed over this configuration.
            TargetDown: the trace cannot be read.
        """
        if cancel is not None:
            cancel.check()
        outcome = self._replay(self.read(), purpose, cancel, fidelity=fidelity)
        self._windows += 1
        warm, counted = self.simulator.parts.replayed(purpose, fidelity)
        return Measurement(
            objectives=_objectives(outcome, counted),
            seconds=outcome.seconds,
            metrics={
                "requests": float(counted),
                "misses": float(outcome.misses),
                "objects": float(self.simulator.inspection.objects),
                "capacity": float(self.simulator.capacity),
                "cached_objects": float(outcome.cached_objects),
                "occupied": float(outcome.occupied),
                "replay_rate": (warm + counted) / outcome.seconds,
            },
            details={"purpose": str(purpose)},
        )

    def healthy(self) -> str:
        try:
            self.read()
        except LontraError as error:
            return str(error)
        trace = self.simulator.trace
        if not trace.generator and not Path(trace.path).is_file():
            return f"trace {trace.path} is gone"
        return ""

    def reference_lines(self, purpose: Purpose = Purpose.CONFIRM) -> tuple[ReferenceLine, ...]:
        """LRU and S3-FIFO as their authors fix them, on the purpose's part of the trace."""
        _, counted = self.simulator.parts.replayed(purpose)
        lines = (
            ("LRU", FIXED_LRU, "lets everything in"),
            ("S3-FIFO", FIXED_S3_FIFO, "small queue 10 %, ghost queue 90 % of the cache"),
        )
        return tuple(
            ReferenceLine(
                name=name,
                value=_objectives(self._replay(configuration, purpose), counted)["miss_ratio"],
                note=note,
            )
            for name, configuration, note in lines
        )

    def _replay(
        self,
        configuration: Configuration,
        purpose: Purpose,
        cancel: CancelToken | None = None,
        *,
        fidelity: float = 1.0,
    ) -> Outcome:
        return self.simulator.replay(
            cache_part(configuration, capacity=self.simulator.capacity),
            admission_part(configuration),
            purpose,
            cancel=cancel,
            fidelity=fidelity,
        )


def _objectives(outcome: Outcome, requests: int) -> dict[str, float]:
    """The window's objectives; below one miss they are half a miss, so that a ratio exists."""
    least = 0.5 / requests
    return {
        "miss_ratio": max(outcome.misses / requests, least),
        "byte_miss_ratio": max(outcome.byte_miss_ratio, least),
    }


_OBJECTIVES = (
    Objective(
        name="miss_ratio",
        direction=Direction.MINIMISE,
        unit="misses per request",
        deterministic=True,
        help="share of the counted requests that missed",
    ),
    Objective(
        name="byte_miss_ratio",
        direction=Direction.MINIMISE,
        unit="bytes missed per byte",
        deterministic=True,
        help="share of the requested bytes that missed; the same without object_sizes",
    ),
)

_METRICS = (
    Metric(name="windows", kind=MetricKind.COUNTER, help="windows since the adapter was opened"),
    *(
        Metric(name=name, kind=MetricKind.GAUGE, unit=unit, help=text)
        for name, unit, text in (
            ("requests", "", "requests counted"),
            ("misses", "", "of them, those that missed"),
            ("objects", "", "distinct objects in the searched part"),
            ("capacity", "", "size of the cache in objects, or bytes with object_sizes"),
            ("cached_objects", "", "objects in the cache at the end"),
            ("occupied", "", "of the capacity, what they take"),
            ("replay_rate", "requests/s", "how fast the policy was simulated"),
        )
    ),
)
