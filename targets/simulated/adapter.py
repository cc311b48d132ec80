"""The simulated target's adapter: a "system" that is a small file, with a truth that is known."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
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
from targets.catalogue import load_catalogue
from targets.clock import Clock
from targets.errors import TargetDown, WorkloadFailed
from targets.knobs import Configuration, Effect, Knob, KnobType, Risk, Value
from targets.metrics import Direction, Objective, rates
from targets.settings import Setting
from targets.simulated.gauges import CLIENTS, METRICS, Factors, grown
from targets.simulated.landscape import Landscape, position
from targets.space import Constraint, KnobSpace
from targets.statefile import StateFile, replace_text

CANCEL_CHECK_SECONDS = 0.05
"""How long a cancelled window goes on at most."""

_NOISE_DEFAULT = 0.02  # a quiet database: sd of one window of some seconds

_SHORTEST_SECONDS = 0.001

_LEAST_MIB, _MEMORY_FACTOR = 64.0, 16.0


class SimulatedAdapter(Adapter):
    """A target whose best configuration is known: see `landscape` for how well each performs.

    The configuration in force is `state.json` in the workdir, so it outlives the process, another
    process can restore it, and a person can change a knob by editing it. Everything random comes
    from the settings, the configuration and the window's seed: the same three give the same value.
    """

    kind = "simulated"
    embedded = True
    summary = "A system with a known optimum, noise, cliffs, drift and failures, for tests."
    concurrent_read = True
    settings_declared = (
        Setting(name="landscape", default=1, low=0, help="Which system: places the optimum."),
        Setting(name="knobs", default=9, low=1, high=200, help="How many knobs it has."),
        Setting(
            name="types",
            default="mixed",
            choices=("mixed", "real"),
            help="Knobs of every type, or real ones alone.",
        ),
        Setting(
            name="headroom",
            default=3.0,
            low=1.0,
            high=1000.0,
            help="How many times better the optimum is than the defaults; 1 is a flat system.",
        ),
        Setting(
            name="read_share",
            default=0.5,
            low=0.0,
            high=1.0,
            help="The workload: share of reads. Moves the optimum and the metrics.",
        ),
        Setting(
            name="direction",
            default="max",
            choices=("max", "min"),
            help="Which objective comes first: throughput (max) or latency (min).",
        ),
        Setting(
            name="noise",
            default=_NOISE_DEFAULT,
            low=0.0,
            high=2.0,
            help="Standard deviation of the logarithm of one window's throughput.",
        ),
        Setting(
            name="drift",
            default=0.0,
            low=0.0,
            high=0.9,
            help="Amplitude of a slow swing of throughput, relative.",
        ),
        Setting(
            name="drift_period_seconds",
            default=600.0,
            low=0.001,
            unit="s",
            help="Length of one swing.",
        ),
        Setting(
            name="cliff",
            default=0.0,
            low=0.0,
            high=0.99,
            help="Share of throughput lost a little above the best value of the first number.",
        ),
        Setting(
            name="crash_share",
            default=0.0,
            low=0.0,
            high=0.2,
            help="Upper part of the second number's range in which the system dies.",
        ),
        Setting(
            name="failure_rate",
            default=0.0,
            low=0.0,
            high=1.0,
            help="Share of windows whose workload fails.",
        ),
        Setting(
            name="cold",
            default=0.0,
            low=0.0,
            high=0.99,
            help="Share of throughput that large memory costs at a window's very beginning: short "
            "windows mislead by it.",
        ),
        Setting(
            name="window_seconds",
            default=0.01,
            low=_SHORTEST_SECONDS,
            unit="s",
            help="Length of a window.",
        ),
        Setting(name="restart", default=False, help="Add the knob engine, which needs a restart."),
        Setting(
            name="durability", default=False, help="Add the knob sync, which risks durability."
        ),
    )

    def __init__(
        self, settings: Mapping[str, object], workdir: Path, *, clock: Clock | None = None
    ) -> None:
        super().__init__(settings, workdir, clock=clock)
        self.space = self._make_space()
        self.landscape = Landscape(
            space=self.space,
            number=int(self.settings["landscape"]),
            read_share=float(self.settings["read_share"]),
            headroom=float(self.settings["headroom"]),
            cliff=float(self.settings["cliff"]),
            crash_share=float(self.settings["crash_share"]),
        )
        self._state = StateFile(workdir / "state.json", self.space)
        self._counters_file = workdir / "counters.json"

    def describe(self) -> Description:
        window_seconds = float(self.settings["window_seconds"])
        return Description(
            kind=self.kind,
            version="1",
            hardware=self.machine.to_dict(),
            space=self.space,
            metrics=METRICS,
            objectives=self._objectives(),
            workload=Workload(name="mix", parameters={"read_share": self.settings["read_share"]}),
            window_seconds=window_seconds,
            settings=self.settings,
            least_fidelity=_SHORTEST_SECONDS / window_seconds,
        )

    def read(self) -> dict[str, Value]:
        return self._state.read()

    def observe(self) -> dict[str, float]:
        configuration = self.read()
        factors = self._factors(configuration, self.landscape.throughput(configuration))
        levels = factors.levels(self._random("observe", configuration, 0), noise=0.0)
        return {**dict.fromkeys(factors.growth(0.0), 0.0), **self._counters(), **levels}

    def apply(self, configuration: Configuration) -> Applied:
        checked = self.space.check(configuration)
        changed = self.space.differences(self.read(), checked)
        self._state.write(checked)
        restarted = any(self.space[name].effect is Effect.RESTART for name in changed)
        return Applied(in_force=self.read(), restarted=restarted)

    def measure(
        self,
        purpose: Purpose = Purpose.SEARCH,
        *,
        seed: int = 0,
        cancel: CancelToken | None = None,
        fidelity: float = 1.0,
    ) -> Measurement:
        """A shorter window scatters by as much more as its length says, and is misled by `cold`."""
        cancel = cancel or CancelToken()
        configuration = self.read()
        if problem := self.healthy():
            raise TargetDown(problem)
        length = fidelity * float(self.settings["window_seconds"])
        kind = "window" if fidelity == 1.0 else f"window of {fidelity}"
        rng = self._random(kind, configuration, seed)
        started = self.clock.monotonic()
        self._pass_window(length, cancel)
        if rng.random() < float(self.settings["failure_rate"]):
            raise WorkloadFailed(
                f"the simulated workload failed, as failure_rate asks (seed {seed})"
            )
        noise = float(self.settings["noise"]) / math.sqrt(fidelity)
        throughput = (
            self.landscape.throughput(configuration)
            * self._warmth(configuration, fidelity)
            * math.exp(rng.gauss(0, noise))
            * self._swing()
        )
        factors = self._factors(configuration, throughput)
        before = self._counters()
        after = grown(before, factors.growth(length))
        replace_text(self._counters_file, json.dumps(after), synced=False)
        return Measurement(
            objectives={
                "throughput": throughput,
                "latency": 1_000 * CLIENTS / throughput,
                "memory": self._memory(configuration),
            },
            seconds=max(self.clock.monotonic() - started, length),
            metrics=rates(
                METRICS, before, {**after, **factors.levels(rng, noise=noise)}, seconds=length
            ),
            details={"seed": seed, "beyond_cliff": self.landscape.beyond_cliff(configuration)},
        )

    def healthy(self) -> str:
        if self.landscape.crashes(self.read()):
            return "the simulated system died of its configuration, as crash_share asks"
        return ""

    def reference_lines(self, purpose: Purpose = Purpose.CONFIRM) -> tuple[ReferenceLine, ...]:
        best = self.true_value(self.optimum())
        return (ReferenceLine(name="optimum", value=best, note="the truth, without noise"),)

    def optimum(self) -> dict[str, Value]:
        """The best configuration."""
        return dict(self.landscape.optimum)

    def true_value(self, configuration: Configuration, objective: str | None = None) -> float:
        """What windows of a valid configuration scatter around, without drift: their median.

        `objective` is the first one where it is not named.
        """
        throughput = self.landscape.throughput(self.space.check(configuration))
        name = objective or self._objectives()[0].name
        if name == "memory":
            return self._memory(configuration)
        return throughput if name == "throughput" else 1_000 * CLIENTS / throughput

    def _make_space(self) -> KnobSpace:
        """The catalogue's knobs, cut or repeated to the number that the settings ask for."""
        catalogue = load_catalogue(files("targets.simulated") / "knobs.toml", self.machine)
        tunable = [k for k in catalogue if k.effect is Effect.ONLINE and k.risk is Risk.SAFE]
        if self.settings["types"] == "real":
            tunable = [knob for knob in tunable if knob.type is KnobType.REAL]
        knobs: list[Knob] = []
        constraints: list[Constraint] = []
        count, cycle = int(self.settings["knobs"]), 0
        while len(knobs) < count:
            cycle += 1
            suffix = f"_{cycle}" if cycle > 1 else ""
            knobs += [_renamed(knob, suffix) for knob in tunable[: count - len(knobs)]]
            names = {knob.name for knob in knobs}
            if {f"buffer{suffix}", f"cache{suffix}"} <= names:
                constraints += [
                    replace(rule, expression=f"buffer{suffix} + cache{suffix} <= 100")
                    for rule in catalogue.constraints
                ]
        wanted = {"engine": self.settings["restart"], "sync": self.settings["durability"]}
        knobs += [catalogue[name] for name, asked in wanted.items() if asked]
        return KnobSpace(tuple(knobs), tuple(constraints))

    def _objectives(self) -> tuple[Objective, ...]:
        still = self.settings["noise"] == 0 and self.settings["drift"] == 0
        throughput = Objective(
            name="throughput",
            direction=Direction.MAXIMISE,
            unit="operations/s",
            deterministic=still,
            help="Operations done a second.",
            accounted_by="operations_total",
        )
        latency = Objective(
            name="latency",
            direction=Direction.MINIMISE,
            unit="ms",
            deterministic=still,
            help="Mean time of an operation.",
        )
        memory = Objective(
            name="memory",
            direction=Direction.MINIMISE,
            unit="MiB",
            deterministic=True,
            help="Memory held, the more the larger the first knob: at odds with the others.",
        )
        if self.settings["direction"] == "max":
            return throughput, latency, memory
        return latency, throughput, memory

    def _factors(self, configuration: Configuration, throughput: float) -> Factors:
        places = [position(knob, configuration[knob.name]) for knob in self.space]
        return Factors(
            throughput=throughput,
            read_share=float(self.settings["read_share"]),
            memory=places[0],
            contention=places[-1],
        )

    def _random(self, purpose: str, configuration: Configuration, seed: int) -> random.Random:
        text = f"{purpose}/{self.settings['landscape']}/{self.space.key(configuration)}/{seed}"
        return random.Random(text)

    def _swing(self) -> float:
        turns = self.clock.now().timestamp() / float(self.settings["drift_period_seconds"])
        return 1 + float(self.settings["drift"]) * math.sin(2 * math.pi * turns)

    def _memory(self, configuration: Configuration) -> float:
        first = next(iter(self.space))
        return _LEAST_MIB * math.pow(_MEMORY_FACTOR, position(first, configuration[first.name]))

    def _warmth(self, configuration: Configuration, fidelity: float) -> float:
        """The share of throughput that a window of that length has while large memory fills."""
        first = next(iter(self.space))
        memory = position(first, configuration[first.name])
        return 1 - float(self.settings["cold"]) * memory * (1 - fidelity)

    def _pass_window(self, seconds: float, cancel: CancelToken) -> None:
        end = self.clock.monotonic() + seconds
        cancel.check()
        while (left := end - self.clock.monotonic()) > 0:
            self.clock.sleep(min(left, CANCEL_CHECK_SECONDS))
            cancel.check()

    def _counters(self) -> dict[str, float]:
        if not self._counters_file.exists():
            return {}
        counters: dict[str, float] = json.loads(self._counters_file.read_text(encoding="utf-8"))
        return counters


def _renamed(knob: Knob, suffix: str) -> Knob:
    """A copy for a later round; a condition names one knob, of the same round."""
    condition = f"{knob.active_when}{suffix}" if knob.active_when else ""
    return replace(knob, name=f"{knob.name}{suffix}", active_when=condition)
