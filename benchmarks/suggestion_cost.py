"""What a suggestion costs: milliseconds and memory, beside Optuna's TPE, from 100 to 10,000 trials.

    python benchmarks/suggestion_cost.py [--sizes 100 1000 10000] [--recommenders auto gp]
        [--reference optuna-tpe-mv] [--sources 0] [--told-of-source 200] [--repeats 15]
        [--dimensions 20] [--seed 0] [--clock wall|cpu] [--csv FILE]

Everybody is told the same N observations of a mixed space (wide logarithmic and narrow linear
integers, reals, categories, switches); with `--sources` our recommenders also have as many other
sessions as history, of systems where other knobs weigh more. Then each is asked for the next
configuration and told what it gives, in turns, the order changing every round, so that whatever
else the machine does meets all alike. A recommender is timed as `tuner.Optimizer.ask`, which hands
the whole history over each time. Printed are the median and the 90th percentile in milliseconds,
the ratio to the reference and the ratio of a size's cost to that of the size before, with 95 %
intervals by the bootstrap over rounds; and, each from a process of its own, how far resident memory
peaked above where it stood, while observations were told and then while five suggestions were made.
On a machine with other work to do, `--clock cpu` counts the processor's time instead of the wall's.

Five minutes on two cores; `--sizes 100 1000` takes one.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from comparing.aims import cost_aims
from figures import Measured, as_text, save
from numpy.typing import NDArray

from targets.knobs import Configuration, Knob, KnobType, Scale, Value
from targets.metrics import Direction, Objective
from targets.space import KnobSpace
from tuner import Optimizer
from tuner.benchmark.intervals import Figure
from tuner.recommenders.base import Observation, PastTask, Problem
from tuner.sampling import sample_rows
from tuner.space import SpaceEncoder

WARM_UPS = 2
MEMORY_ASKS = 5
RESAMPLES = 2_000
COST = Objective(name="cost", direction=Direction.MINIMISE)
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
PEERS = {"optuna-tpe-mv": True, "optuna-tpe": False}
"""Name -> whether it is the multivariate one."""

Observed = list[tuple[Configuration, float]]
Times = NDArray[np.float64]
"""(rounds,) milliseconds."""


def mixed_space(dimensions: int) -> KnobSpace:
    """As many knobs of five kinds, by turns."""
    kinds: tuple[dict[str, Any], ...] = (
        {"type": KnobType.INTEGER, "low": 1, "high": 1 << 34, "default": 4096, "scale": Scale.LOG},
        {"type": KnobType.REAL, "low": 0.0, "high": 1.0, "default": 0.5},
        {"type": KnobType.CATEGORICAL, "levels": ("a", "b", "c"), "default": "a"},
        {"type": KnobType.INTEGER, "low": 1, "high": 64, "default": 4},
        {"type": KnobType.BOOLEAN, "default": False},
    )
    return KnobSpace(
        tuple(Knob(name=f"knob_{place}", **kinds[place % 5]) for place in range(dimensions))
    )


class Task:
    """A system: its space, what it costs to stand somewhere, what was seen of others like it."""

    def __init__(self, dimensions: int, seed: int) -> None:
        self.space = mixed_space(dimensions)
        self._encoder = SpaceEncoder(self.space)
        self._rng = np.random.default_rng(seed)
        self._weights = 0.8 ** np.arange(dimensions)

    def observed(self, count: int) -> Observed:
        """Random configurations with their values."""
        rows = sample_rows(self._encoder, count, self._rng)
        return [(one, self.value(one)) for one in self._encoder.decode_many(rows)]

    def past(self, sources: int, told: int) -> tuple[PastTask, ...]:
        """Other sessions: the same space, other weights of its knobs."""
        found = []
        for place in range(sources):
            other = Task(len(self._weights), seed=1 + place)
            other._weights *= np.exp(0.3 * other._rng.standard_normal(len(self._weights)))
            seen = tuple(
                Observation(configuration=one, values={COST.name: (value,)}, number=number)
                for number, (one, value) in enumerate(other.observed(told))
            )
            found.append(PastTask(name=f"session {place}", space=self.space, observations=seen))
        return tuple(found)

    def value(self, configuration: Configuration) -> float:
        """A bowl with steps at the categories, and 2 % noise."""
        row = self._encoder.encode(configuration)
        levels = np.maximum(self._encoder.levels, 1)
        loss = float(self._weights @ np.abs(row / levels - 0.4))
        return math.exp(loss + 0.02 * self._rng.standard_normal())


class Contender(Protocol):
    """Somebody who can be told and asked; asking is what is timed."""

    def load(self, observed: Observed) -> None: ...

    def ask(self) -> Configuration: ...

    def tell(self, configuration: Configuration, value: float) -> None: ...


class Ours:
    """One of our recommenders, through the stateless contract."""

    def __init__(self, name: str, problem: Problem, seed: int) -> None:
        self._optimizer = Optimizer.of(problem, name, seed=seed)
        self.ask = self._optimizer.ask
        self.tell = self._optimizer.tell

    def load(self, observed: Observed) -> None:
        for configuration, value in observed:
            self.tell(configuration, value)


class OptunaPeer:
    """Optuna's TPE as its users run it: an in-memory study, asked and told."""

    def __init__(self, space: KnobSpace, seed: int, *, multivariate: bool) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(
                multivariate=multivariate, group=multivariate, seed=seed
            )
        self._optuna = optuna
        self._study = optuna.create_study(direction="minimize", sampler=sampler)
        self._distributions = {knob.name: self._distribution(knob) for knob in space}
        self._trial: Any = None

    def _distribution(self, knob: Knob) -> Any:
        kinds = self._optuna.distributions
        if knob.levels:
            return kinds.CategoricalDistribution(knob.levels)
        log = knob.scale is Scale.LOG
        if knob.type is KnobType.INTEGER:
            return kinds.IntDistribution(int(knob.low or 0), int(knob.high or 0), log=log)
        return kinds.FloatDistribution(float(knob.low or 0), float(knob.high or 0), log=log)

    def load(self, observed: Observed) -> None:
        self._study.add_trials(
            [
                self._optuna.trial.create_trial(
                    params=dict(configuration), distributions=self._distributions, value=value
                )
                for configuration, value in observed
            ]
        )

    def ask(self) -> Configuration:
        self._trial = self._study.ask(self._distributions)
        params: dict[str, Value] = self._trial.params
        return params

    def tell(self, configuration: Configuration, value: float) -> None:
        self._study.tell(self._trial, value)


def enter(name: str, task: Task, given: argparse.Namespace) -> Contender:
    """A contender by name."""
    if name in PEERS:
        return OptunaPeer(task.space, given.seed, multivariate=PEERS[name])
    past = task.past(given.sources, given.told_of_source)
    return Ours(name, Problem(space=task.space, objectives=(COST,), history=past), given.seed)


def time_all(names: list[str], size: int, given: argparse.Namespace) -> dict[str, Times]:
    """Milliseconds a suggestion, the same rounds for everybody."""
    task = Task(given.dimensions, given.seed)
    observed = task.observed(size)
    contenders = {name: enter(name, task, given) for name in names}
    for contender in contenders.values():
        contender.load(observed)
    clock = CLOCKS[given.clock]
    spent: dict[str, list[float]] = {name: [] for name in names}
    for round_ in range(-WARM_UPS, given.repeats):
        turn = round_ % len(names)
        for name in names[turn:] + names[:turn]:
            began = clock()
            configuration = contenders[name].ask()
            taken = 1e3 * (clock() - began)
            contenders[name].tell(configuration, task.value(configuration))
            if round_ >= 0:
                spent[name].append(taken)
    return {name: np.array(taken) for name, taken in spent.items()}


def memory_mib(name: str, size: int, given: argparse.Namespace) -> tuple[float, float]:
    """How far this process's memory peaks above where it stood, while told and then while asked."""
    task = Task(given.dimensions, given.seed)
    observed = task.observed(size)
    contender = enter(name, task, given)
    contender.load(observed[:10])
    contender.tell(one := contender.ask(), task.value(one))  # what is imported late is in
    began = begin_peak()
    contender.load(observed[10:])
    told = resident_mib("VmHWM") - began
    began = begin_peak()
    for _ in range(MEMORY_ASKS):
        contender.tell(one := contender.ask(), task.value(one))
    return told, resident_mib("VmHWM") - began


def begin_peak() -> float:
    """Let the kernel forget this process's peak; where its memory stands, MiB. See proc(5)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return resident_mib("VmRSS")


def resident_mib(field: str) -> float:
    """A line of /proc/self/status: VmRSS, resident memory, or VmHWM, its peak."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    [found] = [line for line in lines if line.startswith(f"{field}:")]
    return int(found.split()[1]) / 1024


def memory_apart(name: str, size: int, given: argparse.Namespace) -> tuple[float, float]:
    """`memory_mib` in a fresh process, whose peak nobody else raised."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(memory_mib, name, size, given).result()


def ratio(times: Times, others: Times, *, paired: bool) -> Figure:
    """The ratio of medians; `paired`: of the same rounds."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(times), size=(RESAMPLES, len(times)))
    other = drawn if paired else rng.integers(len(others), size=(RESAMPLES, len(others)))
    ratios = np.median(times[drawn], axis=1) / np.median(others[other], axis=1)
    low, high = np.quantile(ratios, (0.025, 0.975))
    return Figure(float(np.median(times) / np.median(others)), float(low), float(high))


def measure(given: argparse.Namespace) -> Iterator[Measured]:
    """A table for each contender, a row a size."""
    names: Sequence[str] = [*given.recommenders, given.reference]
    before: dict[str, Times] = {}
    for size in given.sizes:
        times = time_all([*names], size, given)
        for name, mine in times.items():
            place = {"table": name, "row": str(size)}
            for column, share in (("ms", 0.5), ("90 % under", 0.9)):
                spent = Figure(float(np.quantile(mine, share)))
                yield Measured(**place, column=column, figure=spent, form=".1f")
            if name != given.reference:
                beside = ratio(mine, times[given.reference], paired=True)
                yield Measured(**place, column="to TPE's", figure=beside, form=".2f")
            if name in before:
                growth = ratio(mine, before[name], paired=False)
                yield Measured(**place, column="growth", figure=growth, form=".1f")
            peaks = memory_apart(name, size, given)
            for column, peak in zip(("told, MiB", "asked, MiB"), peaks, strict=True):
                yield Measured(**place, column=column, figure=Figure(peak), form=".0f")
        before = times


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[100, 1_000, 10_000], metavar="N",
        help="observations told beforehand, smallest first; growth is from one to the next",
    )  # fmt: skip
    parser.add_argument(
        "--recommenders", nargs="+", default=["auto"], metavar="NAME",
        help="our own, as `lontra tune --recommender` names them",
    )  # fmt: skip
    parser.add_argument("--reference", default="optuna-tpe-mv", choices=list(PEERS))
    parser.add_argument("--sources", type=int, default=0, help="other sessions as history")
    parser.add_argument("--told-of-source", type=int, default=200, help="observations of each")
    parser.add_argument("--repeats", type=int, default=15, help="timed rounds at each size")
    parser.add_argument("--dimensions", type=int, default=20, help="knobs of the space")
    parser.add_argument("--seed", type=int, default=0, help="of the observations and of everybody")
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="wall", help="what is counted")
    parser.add_argument("--csv", type=Path, help="also write the figures here")
    given = parser.parse_args()
    print(f"{given.dimensions} mixed dimensions, {given.repeats} rounds, {given.clock} time")
    found = list(measure(given))
    if given.csv:
        save(given.csv, found)
    print(as_text(found, "told"))
    rules = f" and {given.sources} past sessions" if given.sources else ""
    missed = [aim for aim in cost_aims(found, rules) if not aim.met]
    print(*("missed: " + ", ".join(aim.cells[:3]) for aim in missed), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
