"""What a suggestion costs: milliseconds and memory, beside Optuna's TPE, from 100 to 10,000 trials.

    python benchmarks/suggestion_cost.py [--sizes 100 1000 10000] [--recommenders auto gp]
        [--peers optuna-tpe-mv] [--repeats 15] [--dimensions 20] [--seed 0] [--clock wall|cpu]
        [--json FILE]

Everybody is told the same N observations of a mixed space (wide logarithmic and narrow linear
integers, reals, categories, switches). Then each is asked for the next configuration and told what
it gives, in turns, the order changing every round, so that whatever else the machine does meets
all alike. A recommender is timed as `tuner.Optimizer.ask`, which hands the whole history over each
time. Printed are the median and the 90th percentile in milliseconds, the ratio to the reference
(the first peer) and the ratio of the largest history's cost to the one before, with 95 % intervals
by the bootstrap over rounds; and, each from a process of its own, how far resident memory peaked
above where it stood, while observations were told and then while five suggestions were made. On a
machine with other work to do, `--clock cpu` counts the processor's time instead of the wall's.

The exit status is 0 when every aim is met: `auto` under 50 ms at 100 observations and under 150 ms
at 1,000, no slower than the reference at either, and at most 12 times as slow at 10,000 as at
1,000. Five minutes on two cores; `--sizes 100 1000` takes one.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import sys
import time
import warnings
from abc import ABC, abstractmethod
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from targets.knobs import Configuration, Knob, KnobType, Scale, Value
from targets.space import KnobSpace
from tuner import Optimizer
from tuner.sampling import sample_rows
from tuner.space import SpaceEncoder

AIMS_MS = {100: 50.0, 1_000: 150.0}
AIM_GROWTH = 12.0
SUBJECT = "auto"
WARM_UPS = 2
MEMORY_ASKS = 5
RESAMPLES = 2_000

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
    """The space, what it costs to stand somewhere, and what is told before the clock runs."""

    def __init__(self, dimensions: int, seed: int) -> None:
        self.space = mixed_space(dimensions)
        self._encoder = SpaceEncoder(self.space)
        self._rng = np.random.default_rng(seed)
        self._weights = 0.8 ** np.arange(dimensions)

    def observed(self, count: int) -> list[tuple[Configuration, float]]:
        """Random configurations with their values."""
        rows = sample_rows(self._encoder, count, self._rng)
        return [(one, self.value(one)) for one in self._encoder.decode_many(rows)]

    def value(self, configuration: Configuration) -> float:
        """A bowl with steps at the categories, and 2 % noise."""
        row = self._encoder.encode(configuration)
        levels = np.maximum(self._encoder.levels, 1)
        loss = float(self._weights @ np.abs(row / levels - 0.4))
        return math.exp(loss + 0.02 * self._rng.standard_normal())


class Contender(ABC):
    """Somebody who can be told and asked."""

    @abstractmethod
    def load(self, observed: list[tuple[Configuration, float]]) -> None:
        """Tell what was seen before."""

    @abstractmethod
    def ask(self) -> Configuration:
        """The next configuration; this is what is timed."""

    @abstractmethod
    def tell(self, configuration: Configuration, value: float) -> None:
        """What it gave."""


class Ours(Contender):
    """One of our recommenders, through the stateless contract."""

    def __init__(self, name: str, space: KnobSpace, seed: int) -> None:
        self._optimizer = Optimizer(space, recommender=name, direction="min", seed=seed)

    def load(self, observed: list[tuple[Configuration, float]]) -> None:
        for configuration, value in observed:
            self._optimizer.tell(configuration, value)

    def ask(self) -> Configuration:
        return self._optimizer.ask()

    def tell(self, configuration: Configuration, value: float) -> None:
        self._optimizer.tell(configuration, value)


class OptunaPeer(Contender):
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

    def load(self, observed: list[tuple[Configuration, float]]) -> None:
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


CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}

PEERS = {"optuna-tpe-mv": True, "optuna-tpe": False}
"""Name -> whether it is the multivariate one."""


def enter(name: str, space: KnobSpace, seed: int) -> Contender:
    """A contender by name."""
    if name in PEERS:
        return OptunaPeer(space, seed, multivariate=PEERS[name])
    return Ours(name, space, seed)


def time_all(names: list[str], size: int, given: argparse.Namespace) -> dict[str, Times]:
    """Milliseconds a suggestion, the same rounds for everybody."""
    task = Task(given.dimensions, given.seed)
    observed = task.observed(size)
    contenders = {name: enter(name, task.space, given.seed) for name in names}
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


def memory_mib(name: str, size: int, dimensions: int, seed: int) -> tuple[float, float]:
    """How far this process's memory peaks above where it stood, while told and then while asked."""
    task = Task(dimensions, seed)
    observed = task.observed(size)
    contender = enter(name, task.space, seed)
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
        return pool.submit(memory_mib, name, size, given.dimensions, given.seed).result()


def ratio(times: Times, others: Times, *, paired: bool) -> tuple[float, float, float]:
    """The ratio of medians with its 95 % interval; `paired`: of the same rounds."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(times), size=(RESAMPLES, len(times)))
    other = drawn if paired else rng.integers(len(others), size=(RESAMPLES, len(others)))
    ratios = np.median(times[drawn], axis=1) / np.median(others[other], axis=1)
    low, high = np.quantile(ratios, (0.025, 0.975))
    return float(np.median(times) / np.median(others)), float(low), float(high)


def shown(figure: tuple[float, float, float]) -> str:
    return f"{figure[0]:.2f} ({figure[1]:.2f}..{figure[2]:.2f})"


def report(given: argparse.Namespace) -> dict[str, Any]:
    """Measure and print size by size; everything that was found."""
    names = [*given.recommenders, *given.peers]
    reference = given.peers[0]
    found: dict[str, Any] = {}
    before: dict[str, Times] = {}
    print(f"{given.dimensions} mixed dimensions, {given.repeats} rounds, {given.clock} time")
    print(f"{'told':>6}  {'who':16}{'median ms':>10}{'90 % ms':>9}  {f'to {reference}':22}"
          f"{'growth':22}{'told MiB':>9}{'asked MiB':>10}")  # fmt: skip
    for size in given.sizes:
        times = time_all(names, size, given)
        for name in names:
            told, asked = memory_apart(name, size, given)
            beside = ratio(times[name], times[reference], paired=True)
            growth = ratio(times[name], before[name], paired=False) if name in before else None
            found.setdefault(name, {})[size] = {
                "median_ms": float(np.median(times[name])),
                "ratio": beside,
                "growth": growth,
                "told_mib": told,
                "asked_mib": asked,
                "times_ms": times[name].tolist(),
            }
            print(f"{size:6}  {name:16}{np.median(times[name]):10.1f}"
                  f"{np.quantile(times[name], 0.9):9.1f}  "
                  f"{shown(beside) if name != reference else '1':22}"
                  f"{shown(growth) if growth else '':22}{told:9.1f}{asked:10.1f}")  # fmt: skip
        before = times
    return found


def missed(found: dict[str, Any]) -> list[str]:
    """The aims that `auto` does not meet, in words."""
    faults = []
    for size, aim in AIMS_MS.items():
        at = found.get(SUBJECT, {}).get(size)
        if at and at["median_ms"] > aim:
            faults.append(f"{at['median_ms']:.0f} ms at {size} observations: the aim is {aim:g}")
        if at and at["ratio"][0] > 1.0:
            faults.append(f"{at['ratio'][0]:.2f} times the reference at {size} observations")
    last = found.get(SUBJECT, {}).get(10_000)
    if last and last["growth"] and last["growth"][0] > AIM_GROWTH:
        faults.append(f"growth of {last['growth'][0]:.1f} times: the aim is {AIM_GROWTH:g}")
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[100, 1_000, 10_000], metavar="N",
        help="observations told beforehand, smallest first; growth is from one to the next",
    )  # fmt: skip
    parser.add_argument(
        "--recommenders", nargs="+", default=[SUBJECT], metavar="NAME",
        help="our own, as `lontra tune --recommender` names them",
    )  # fmt: skip
    parser.add_argument(
        "--peers", nargs="+", default=["optuna-tpe-mv"], choices=sorted(PEERS), metavar="PEER",
        help=f"of {', '.join(PEERS)}; the first is the reference of the ratios",
    )  # fmt: skip
    parser.add_argument("--repeats", type=int, default=15, help="timed rounds at each size")
    parser.add_argument("--dimensions", type=int, default=20, help="knobs of the space")
    parser.add_argument("--seed", type=int, default=0, help="of the observations and of everybody")
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="wall", help="what is counted")
    parser.add_argument("--json", type=Path, help="write every time and figure here")
    given = parser.parse_args()
    found = report(given)
    if given.json:
        given.json.write_text(json.dumps(found), encoding="utf-8")
    faults = missed(found)
    print("missed: " + "; ".join(faults) if faults else "every aim that was measured is met")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
