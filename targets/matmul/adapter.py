"""The adapter of a compute kernel: a matrix multiplication whose schedule is tuned."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
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
from targets.catalogue import load_catalogue
from targets.child import Finished, run_child
from targets.clock import Clock
from targets.errors import ApplyFailed, HarnessFailed, LontraError, MissingExtra, WorkloadFailed
from targets.knobs import Configuration, Knob, Value
from targets.matmul.compiler import Compiler, Kernel
from targets.matmul.metrics import COUNTERS, GAUGES, OBJECTIVES, counts, gauges, objectives
from targets.matmul.source import ITEM_BYTES, NAIVE, Problem, Schedule, generate
from targets.matmul.worker import WRONG_STATUS, Answer, Request
from targets.metrics import rates
from targets.settings import Setting
from targets.space import KnobSpace
from targets.statefile import StateFile

VERSION = "1"

SHORTEST_SECONDS = 0.01
"""The shortest window: time for one repetition of the default problem."""

LARGEST_SIZE = 4096
"""Checking against numpy in double precision then takes about 10 s a window on two cores."""

_BLAS_THREADS = (
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


class MatmulAdapter(Adapter):
    """Tunes the schedule of c = a b, generated as C, compiled by gcc, checked in every window.

    The default configuration is the naive triple loop at -O3 -march=native. What is in force is a
    file in the workdir; the kernel runs only while a window is measured, in a child process.

    The objective is the fastest repetition of a window: whatever else the machine does can only
    add to a repetition's time, so the least is the steadiest estimate of the kernel's own (the
    median stays among the metrics). The naive loop has fewer repetitions a window and so a
    slightly less lucky minimum; at least `repetitions` keep that below its noise.
    """

    kind = "matmul"
    embedded = True
    summary = "matrix multiplication: the schedule of a generated C kernel"
    settings_declared = (
        Setting(name="m", default=512, help="rows of a and c", low=1, high=LARGEST_SIZE),
        Setting(name="n", default=512, help="columns of b and c", low=1, high=LARGEST_SIZE),
        Setting(name="k", default=512, help="columns of a, rows of b", low=1, high=LARGEST_SIZE),
        Setting(
            name="dtype",
            default="float32",
            help="type of the elements",
            choices=tuple(ITEM_BYTES),
        ),
        Setting(name="seed", default=1, help="seed of the matrices' elements", low=0),
        Setting(
            name="window_seconds",
            default=0.3,
            help="length of a window at the least",
            unit="s",
            low=SHORTEST_SECONDS,
            high=60,
        ),
        Setting(
            name="repetitions",
            default=5,
            help="multiplications in a window at the least",
            low=1,
            high=10_000,
        ),
        Setting(
            name="max_threads",
            default=0,
            help="most threads a kernel may have; 0: as many as the machine has CPUs",
            low=0,
        ),
        Setting(
            name="limit_seconds",
            default=60.0,
            help="a window that takes longer is ended and its trial fails",
            unit="s",
            low=1,
        ),
    )

    def __init__(
        self, settings: Mapping[str, object], workdir: Path, *, clock: Clock | None = None
    ) -> None:
        super().__init__(settings, workdir, clock=clock)
        if importlib.util.find_spec("numpy") is None:
            raise MissingExtra("target matmul", "numpy", "matmul")
        self.problem = Problem(
            m=int(self.settings["m"]),
            n=int(self.settings["n"]),
            k=int(self.settings["k"]),
            dtype=str(self.settings["dtype"]),
        )
        self.window_seconds = float(self.settings["window_seconds"])
        self._compiler = Compiler(workdir / "kernels", clock=self.clock)
        self._space = self._fit(
            load_catalogue(resources.files("targets.matmul") / "knobs.toml", self.machine)
        )
        # A schedule belongs to one problem: other sizes in the same workdir have their own.
        self._state = StateFile(workdir / f"in-force-{self.problem.name}.json", self._space)
        self._counters = dict.fromkeys((metric.name for metric in COUNTERS), 0.0)

    def _fit(self, space: KnobSpace) -> KnobSpace:
        """The space for this problem and this many threads."""
        sizes = {"tile_m": self.problem.m, "tile_n": self.problem.n, "tile_k": self.problem.k}
        knobs = {knob.name: knob for knob in space}
        for name, size in sizes.items():
            knobs[name] = _fit_tile(knobs[name], size)
        if most := int(self.settings["max_threads"]):
            threads = knobs["threads"]
            knobs["threads"] = replace(threads, high=min(threads.high or 1, most))
        return KnobSpace(tuple(knobs.values()), space.constraints)

    def describe(self) -> Description:
        problem = self.problem
        return Description(
            kind=self.kind,
            version=VERSION,
            hardware={**self.machine.to_dict(), "compiler": self._compiler.version},
            space=self._space,
            metrics=(*COUNTERS, *GAUGES),
            objectives=OBJECTIVES,
            workload=Workload(
                name=problem.name,
                parameters={**asdict(problem), "seed": self.settings["seed"]},
            ),
            window_seconds=self.window_seconds,
            settings=self.settings,
            least_fidelity=SHORTEST_SECONDS / self.window_seconds,
        )

    def read(self) -> dict[str, Value]:
        return self._state.read()

    def observe(self) -> dict[str, float]:
        return dict(self._counters)

    def apply(self, configuration: Configuration) -> Applied:
        """Compile the schedule; it is in force once gcc has taken it."""
        checked = self._space.check(configuration)
        self._compile(checked)
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
        """Run the kernel in force on matrices made from `seed`; the purpose makes no difference.

        A shorter window has fewer repetitions, and so a less lucky fastest one.
        """
        if cancel is not None:
            cancel.check()
        configuration = self.read()
        kernel = self._compile(configuration)
        answer = self._work(str(kernel.library), seed=seed, cancel=cancel, fidelity=fidelity)
        before = self.observe()
        for name, count in counts(answer).items():
            self._counters[name] += count
        return Measurement(
            objectives=objectives(self.problem, answer),
            seconds=answer.seconds,
            metrics={
                **rates(COUNTERS, before, self.observe(), seconds=answer.seconds),
                **gauges(answer, kernel),
            },
            details={"repetitions": len(answer.milliseconds), "kernel": kernel.library.stem},
        )

    def healthy(self) -> str:
        try:
            self.read()
        except LontraError as error:
            return str(error)
        return ""

    def reference_lines(self, purpose: Purpose = Purpose.CONFIRM) -> tuple[ReferenceLine, ...]:
        """numpy's BLAS with as many threads as a kernel may have, and the naive loop."""
        threads = int(self._space["threads"].high or 1)
        blas = self._work("", seed=0, environment=dict.fromkeys(_BLAS_THREADS, str(threads)))
        naive = self._compile(self._space.default())
        loop = self._work(str(naive.library), seed=0)
        return (
            ReferenceLine(
                name="BLAS",
                value=min(blas.milliseconds),
                note=f"{blas.blas} through numpy, {threads} threads",
            ),
            ReferenceLine(
                name="naive loop",
                value=min(loop.milliseconds),
                note=f"{NAIVE} schedule, -O3 -march=native, 1 thread",
            ),
        )

    def _source(self, configuration: Configuration) -> str:
        return generate(self.problem, Schedule.of(configuration))

    def _compile(self, configuration: Configuration) -> Kernel:
        flags = [str(configuration["optimisation"])]
        if configuration["fast_math"]:
            flags.append("-ffast-math")
        if configuration["loop_order"] != NAIVE and configuration["threads"] != 1:
            flags.append("-fopenmp")
        return self._compiler.compile(self._source(configuration), tuple(flags))

    def _work(
        self,
        library: str,
        *,
        seed: int,
        environment: Mapping[str, str] | None = None,
        cancel: CancelToken | None = None,
        fidelity: float = 1.0,
    ) -> Answer:
        """Have a child process check and time a kernel, or numpy's product when it is empty."""
        limit_seconds = float(self.settings["limit_seconds"])
        request = Request(
            library=library,
            **asdict(self.problem),
            seed=(int(self.settings["seed"]), seed),
            window_seconds=fidelity * self.window_seconds,
            repetitions=math.ceil(fidelity * int(self.settings["repetitions"])),
            cpu_seconds=limit_seconds * max(1.0, self.machine.cpus),
        )
        finished = run_child(
            [sys.executable, "-m", "targets.matmul.worker"],
            what="the window",
            limit_seconds=limit_seconds,
            clock=self.clock,
            text=json.dumps(asdict(request)),
            environment=environment,
            cancel=cancel,
        )
        return _answer(finished)


def _fit_tile(knob: Knob, size: int) -> Knob:
    """A tile knob without the levels that act like a smaller one: both hold the whole axis."""
    levels = [level for level in knob.levels if isinstance(level, int)]
    enough = min((level for level in levels if level >= size), default=levels[-1])
    return replace(
        knob,
        levels=tuple(level for level in levels if level <= enough),
        default=min(int(knob.default), enough),
    )


def _answer(finished: Finished) -> Answer:
    """The worker's answer; how it failed as a typed failure."""
    if finished.returncode < 0:
        raise WorkloadFailed(f"the kernel crashed its process: {finished.how}")
    if finished.returncode not in (0, WRONG_STATUS):
        raise HarnessFailed(f"the kernel's worker failed: {finished.how}")
    answer = json.loads(finished.output)
    if finished.returncode == WRONG_STATUS:
        raise WorkloadFailed(f"the kernel computes a wrong result: {answer['wrong']}")
    return Answer(**answer)
