"""Several objectives, limits and batches: what recommenders make of them, on known problems.

    python benchmarks/multi_objective.py fronts [--recommenders random optuna-nsga2 gp forest auto]
        [--problems ...] [--seeds 10] [--trials 50] [--csv FILE]
    python benchmarks/multi_objective.py limits [...] [--seeds 20] [--classifier-only]
    python benchmarks/multi_objective.py batches [...] [--seeds 10] [--batch 4]

`fronts`: the hypervolume of what was measured after 10, 20, 30, 50 and 100 trials, as a share of
the true front's, from a reference point a tenth of the front's range beyond its worst.
`limits`: the regret of the best configuration within the limits after 10, 25 and 50 trials, 0 for
the best there is and 1 for the median feasible one or none at all, and the share of suggestions
that broke a limit, the start left out. With `--classifier-only` limits are learnt as failures are:
by whether they were broken, not by how much.
`batches`: the regret after 24 and 48 trials, one at a time and in batches, and how far apart the
two nearest of a batch lie, relative to as many random ones.

Every figure is a mean over seeds with its 95 % interval (Student's t). Nothing is timed.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
from figures import Measured, as_text, save
from scipy.spatial.distance import pdist
from simulated_systems import BATCHES, FRONTS, LIMITS, Answer, Measure, Points

from targets.knobs import Value
from targets.metrics import Direction
from tuner import Optimizer
from tuner.benchmark.intervals import over_seeds
from tuner.pareto import hypervolume, nondominated, reference_point
from tuner.recommenders.base import Problem
from tuner.sampling import sample
from tuner.space import SpaceEncoder
from tuner.surrogates.constraints import LimitModel

FRONT_MARKS = (10, 20, 30, 50, 100)
BROKEN = "broken"
WHO = {
    "fronts": ("random", "optuna-nsga2", "forest", "gp", "auto"),
    "limits": ("random", "optuna-nsga2", "forest", "gp", "auto"),
    "batches": ("gp", "forest", "auto"),
}


def as_costs(asked: Problem, values: Points) -> Points:
    """(n, m): less is better."""
    return values * [
        -1.0 if one.direction is Direction.MAXIMISE else 1.0 for one in asked.objectives
    ]


def play(
    asked: Problem, measure: Measure, recommender: str, *, seed: int, trials: int, batch: int = 1
) -> list[tuple[dict[str, Value], Answer]]:
    """What was measured, in order."""
    optimizer = Optimizer.of(asked, recommender, seed=seed)
    played: list[tuple[dict[str, Value], Answer]] = []
    while len(played) < trials:
        for configuration in optimizer.ask_many(min(batch, trials - len(played))):
            answer = measure(configuration)
            names = {one.name for one in asked.objectives}
            optimizer.tell(
                configuration,
                {name: answer[name] for name in names},
                metrics={name: value for name, value in answer.items() if name not in names},
            )
            played.append((configuration, answer))
    return played


def shares_of_front(name: str, recommender: str, *, seed: int, marks: Sequence[int]) -> list[float]:
    """The share of the front's hypervolume found after so many trials."""
    asked, measure, front = FRONTS[name]
    true = as_costs(asked, front())
    true = true[nondominated(true)]
    low, extent = true.min(axis=0), np.ptp(true, axis=0)
    reference = reference_point((true - low) / extent)
    played = play(asked, measure, recommender, seed=seed, trials=max(marks))
    names = [one.name for one in asked.objectives]
    found = as_costs(asked, np.array([[answer[name] for name in names] for _, answer in played]))
    whole = hypervolume((true - low) / extent, reference)
    return [hypervolume((found[:mark] - low) / extent, reference) / whole for mark in marks]


@dataclass(frozen=True)
class Yardstick:
    """The best feasible cost (logarithmic), and the median one: of regret 0 and 1."""

    best: float
    median: float

    @classmethod
    def of(cls, asked: Problem, measure: Measure) -> Yardstick:
        """By listing a small space; else by sampling, then climbing from the best."""
        encoder = SpaceEncoder(asked.space)
        rng = np.random.default_rng(0)
        if encoder.listable:
            found = [cost_of(asked, measure(one)) for one in encoder.listed]
            return cls(min(found), float(np.median([one for one in found if one < math.inf])))
        drawn = sample(encoder, 8_000, rng)
        found = [cost_of(asked, measure(one)) for one in drawn]
        row = encoder.encode(drawn[int(np.argmin(found))])
        best = min(found)
        for _ in range(6_000):
            moved = row.copy()
            column = int(rng.integers(encoder.n_columns))
            if encoder.levels[column]:
                moved[column] = rng.integers(encoder.levels[column])
            else:
                step = rng.choice([0.3, 0.05, 0.01]) * rng.standard_normal()
                moved[column] = np.clip(moved[column] + step, 0.0, 1.0)
            cost = cost_of(asked, measure(encoder.decode(moved)))
            if cost < best:
                row, best = moved, cost
        return cls(best, float(np.median([one for one in found if one < math.inf])))

    def regret(self, costs: Sequence[float]) -> float:
        """Of the best of some costs; at most 1."""
        return min(1.0, max(0.0, (min(costs) - self.best) / (self.median - self.best)))


@cache
def ruler_of(what: str, case: str) -> Yardstick:
    """A problem's, found once."""
    return Yardstick.of(*{"limits": LIMITS, "batches": BATCHES}[what][case])


def cost_of(asked: Problem, answer: Answer) -> float:
    """The first objective's cost; infinite where a limit is broken."""
    if any(answer[limit.name] > limit.bound for limit in asked.limits):
        return math.inf
    cost = math.log(answer[asked.objective.name])
    return -cost if asked.objective.direction is Direction.MAXIMISE else cost


def within_limits(name: str, recommender: str, *, seed: int, yardstick: Yardstick) -> list[float]:
    """Regret after 10, 25 and 50 trials, and the share that broke a limit after the start."""
    asked, measure = LIMITS[name]
    costs = [
        cost_of(asked, answer)
        for _, answer in play(asked, measure, recommender, seed=seed, trials=50)
    ]
    broken = float(np.mean([cost == math.inf for cost in costs[6:]]))
    return [*(yardstick.regret(costs[:mark]) for mark in (10, 25, 50)), broken]


def in_batches(
    name: str, recommender: str, *, seed: int, yardstick: Yardstick, batch: int
) -> list[float]:
    """Regret after 24 and 48 trials, one at a time and in batches; and a batch's spread."""
    asked, measure = BATCHES[name]
    encoder = SpaceEncoder(asked.space)
    figures = []
    for size in (1, batch):
        played = play(asked, measure, recommender, seed=seed, trials=48, batch=size)
        costs = [cost_of(asked, answer) for _, answer in played]
        figures += [yardstick.regret(costs[:24]), yardstick.regret(costs)]
    rows = encoder.one_hot(encoder.encode_many([one for one, _ in played]))
    spread = [pdist(rows[at : at + batch]).min() for at in range(2 * batch, 48, batch)]
    rng = np.random.default_rng(seed)
    chance = [
        pdist(encoder.one_hot(encoder.encode_many(sample(encoder, batch, rng)))).min()
        for _ in range(50)
    ]
    return [*figures, float(np.mean(spread) / np.mean(chance))]


def searched(case: str, name: str, given: argparse.Namespace) -> dict[str, Points]:
    """What one recommender comes to on one problem: (n_seeds,) figures by head."""
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    if given.what == "fronts":
        marks = [mark for mark in FRONT_MARKS if mark <= given.trials]
        heads = [f"at {mark}" for mark in marks]
        rows = [shares_of_front(case, name, seed=seed, marks=marks) for seed in seeds]
    elif given.what == "limits":
        heads = ["at 10", "at 25", "at 50", BROKEN]
        ruler = ruler_of(given.what, case)
        rows = [within_limits(case, name, seed=seed, yardstick=ruler) for seed in seeds]
    else:
        heads = ["at 24", "at 48", "at 24, batches", "at 48, batches", "spread"]
        ruler = ruler_of(given.what, case)
        rows = [
            in_batches(case, name, seed=seed, yardstick=ruler, batch=given.batch) for seed in seeds
        ]
    return dict(zip(heads, np.array(rows).T, strict=True))


def main() -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("fronts", "limits", "batches"))
    parser.add_argument("--recommenders", nargs="+")
    parser.add_argument("--problems", nargs="+")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=50, help="of fronts")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--classifier-only", action="store_true")
    parser.add_argument("--csv", type=Path, help="also write the figures here")
    given = parser.parse_args()
    if given.classifier_only:
        # As if nothing were known of what limits bound.
        LimitModel.fit = classmethod(lambda cls, history, place: None)  # type: ignore[assignment]
    known = {"fronts": FRONTS, "limits": LIMITS, "batches": BATCHES}[given.what]
    measured: list[Measured] = []
    for case, name in product(given.problems or known, given.recommenders or WHO[given.what]):
        for head, figures in searched(case, name, given).items():
            form = ".0%" if head == BROKEN else ".2f"
            figure = over_seeds(figures)
            measured.append(Measured(table=case, row=name, column=head, figure=figure, form=form))
        print(f"{case}, {name}", file=sys.stderr)
        if given.csv:
            save(given.csv, measured)
    print(as_text(measured, "recommender"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
