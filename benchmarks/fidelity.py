"""What short windows are worth: `hyperband` beside searches in full windows, for equal time.

    python benchmarks/fidelity.py [--recommenders random auto hyperband] [--seeds 20]
        [--budget 30] [--systems noisy cold contrary] [--noise 0.05] [--csv FILE]

Every seed is another simulated system (`targets.simulated`) whose optimum is ten times better than
its defaults. All recommenders measure it for the same time, which is told in full windows; a window
of a third of the length costs a third of one. Windows scatter by `--noise`, short ones more.

- noisy: short windows are nothing but noisier.
- cold: in short windows large memory looks worse than it is, as caches are still cold.
- contrary: short windows rank everything the wrong way round.

Printed are the regret of the configuration that each *names* at the end, by its true value:
ln(best / named), 0.1 is about 10 % left on the table; with 95 % intervals by the bootstrap over
seeds, and the differences from `--reference` (the first one) seed by seed. Every named one was
measured in a full window. On one quiet core the default takes about five minutes.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from figures import Measured, as_text, save
from threadpoolctl import threadpool_limits

from targets.adapter import CancelToken, Measurement, Purpose
from targets.clock import ManualClock
from targets.simulated.adapter import SimulatedAdapter
from targets.simulated.landscape import PEAK
from tuner import Optimizer
from tuner.benchmark.intervals import Figure, over_tasks
from tuner.recommenders.base import Problem

HEADROOM = 10.0
COLD = 0.6
SYSTEMS = ("noisy", "cold", "contrary")


class Contrary(SimulatedAdapter):
    """A system whose short windows show the inverse of what full ones do."""

    def measure(
        self,
        purpose: Purpose = Purpose.SEARCH,
        *,
        seed: int = 0,
        cancel: CancelToken | None = None,
        fidelity: float = 1.0,
    ) -> Measurement:
        window = super().measure(purpose, seed=seed, cancel=cancel, fidelity=fidelity)
        if fidelity == 1.0:
            return window
        turned = {name: PEAK**2 / HEADROOM / value for name, value in window.objectives.items()}
        return replace(window, objectives=turned)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One recommender on one system: the regret of what it named, and what it measured how often in
    windows of which length."""

    system: str
    recommender: str
    seed: int
    regret: float
    trials: dict[float, int]


def run(system: str, recommender: str, *, seed: int, budget: int, noise: float) -> Run:
    """Search until the budget is spent, then ask for the answer."""
    settings = {"landscape": seed, "headroom": HEADROOM, "noise": noise, "window_seconds": 1.0}
    if system == "cold":
        settings["cold"] = COLD
    kind = Contrary if system == "contrary" else SimulatedAdapter
    trials: Counter[float] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        clock = ManualClock()
        adapter = kind(settings, Path(folder), clock=clock)
        described = adapter.describe()
        problem = Problem(
            space=described.space,
            objectives=described.objectives[:1],
            budget=budget,
            least_fidelity=described.least_fidelity,
        )
        optimizer = Optimizer.of(problem, recommender, seed=seed)
        seconds = 0.0
        while seconds < budget * described.window_seconds - 1e-9:
            configuration = optimizer.ask()
            [suggestion] = optimizer.last_suggestions
            adapter.apply(configuration)
            place = 1_000 * seed + trials.total()
            window = adapter.measure(seed=place, fidelity=suggestion.fidelity)
            optimizer.tell(configuration, window.objectives["throughput"])
            seconds += window.seconds
            trials[round(suggestion.fidelity, 3)] += 1
        named = optimizer.recommend()
        if named is None:
            raise RuntimeError(f"{recommender} measured nothing in a full window")
        best = adapter.true_value(adapter.optimum())
        regret = math.log(best / adapter.true_value(named.configuration))
    return Run(
        system=system,
        recommender=recommender,
        seed=seed,
        regret=regret,
        trials=dict(trials),
    )


def measured(runs: Sequence[Run], reference: str) -> Iterator[Measured]:
    """A table for each kind of short windows: regrets, how far from the reference's, and trials."""
    for system in dict.fromkeys(one.system for one in runs):
        here = [one for one in runs if one.system == system]
        base = np.array([one.regret for one in here if one.recommender == reference])
        for name in dict.fromkeys(one.recommender for one in here):
            mine = [one for one in here if one.recommender == name]
            regrets = np.array([one.regret for one in mine])
            place = {"table": system, "row": name}
            yield Measured(**place, column="regret", figure=over_tasks(regrets))
            if name != reference:
                apart, column = over_tasks(regrets - base), f"less {reference}'s"
                yield Measured(**place, column=column, figure=apart, form="+.3f")
            lengths = sum((Counter(one.trials) for one in mine), Counter[float]())
            for length, count in sorted(lengths.items(), reverse=True):
                trials, column = Figure(count / len(mine)), f"windows of {length:.2g}"
                yield Measured(**place, column=column, figure=trials, form=".1f")


def main() -> int:
    """Run and print; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recommenders", nargs="+", default=["random", "auto", "hyperband"])
    parser.add_argument("--reference", default="")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--budget", type=int, default=30)
    parser.add_argument("--noise", type=float, default=0.05)
    parser.add_argument("--csv", type=Path, help="also write the figures here")
    given = parser.parse_args()
    runs: list[Run] = []
    with threadpool_limits(1):
        for system in given.systems:
            for seed in range(given.seeds):
                runs += [
                    run(system, name, seed=seed, budget=given.budget, noise=given.noise)
                    for name in given.recommenders
                ]
    found = list(measured(runs, given.reference or given.recommenders[0]))
    if given.csv:
        save(given.csv, found)
    print(as_text(found, "recommender"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
