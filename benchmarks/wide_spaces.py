"""How well wide spaces are searched: 30 to 200 mixed knobs of which a few matter, against Optuna.

    python benchmarks/wide_spaces.py [--knobs 30 60 100 200] [--families sparse tail ...]
        [--who auto gp forest random optuna-tpe-mv] [--noise 0 0.05] [--seeds 10] [--budget 100]
        [--first-seed 0] [--out FILE.csv]
    python benchmarks/wide_spaces.py --cost [--knobs 200] [--who auto gp forest optuna-tpe-mv]

A space has reals, logarithmic integers (some with a special value), switches, categories and
ordinals, some of them conditional, and constraints between them; its truth is drawn with the seed.
Regret is told on the truth: 0 at the best known configuration, 1 at the average random one, the
objective taken on logarithms. Without noise it is of the best configuration tried, under noise of
the one that is named. Printed are means over instances at 25, 50 and 100 trials, the mean
difference from the reference (the last of `--who`), paired by instance, with its 95 % interval,
and processor milliseconds for a suggestion.

`--cost` instead prints processor time for a suggestion, told 100 and 500 random configurations,
as a ratio to the reference asked in turns in the same run, and how far memory peaked.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from targets.knobs import Knob, KnobType, Scale, Special, Value
from targets.space import Constraint, KnobSpace
from tuner import Optimizer
from tuner.recommenders.optuna_study import ask_for, distribution_of, parameters_of, quiet
from tuner.sampling import neighbour_rows, sample_rows
from tuner.space import Rows, SpaceEncoder

CHECKPOINTS = (10, 25, 50, 100)
LEAST_MATTERING, MOST_MATTERING = 4, 12
CLIMBED = 8
ASKS = 50
RESAMPLES = 2_000
TIMED = 6

Configuration = dict[str, Value]
Vector = NDArray[np.float64]


# -- spaces whose truth is known


@dataclass(frozen=True, kw_only=True)
class Family:
    """A kind of truth.

    Attributes:
        mattering: how many knobs matter; None: drawn from 4 to 12.
        rest: how much each other knob can cost, of the strongest one's share.
        tuned: the other knobs are best at their default, and not anywhere.
    """

    mattering: int | None = None
    rest: float = 0.0
    tuned: bool = False


FAMILIES = {
    "sparse": Family(),
    "tail": Family(rest=0.03),
    "tuned": Family(rest=0.06, tuned=True),
    "dense": Family(mattering=0, rest=1.0),
}


class Instance:
    """One space, what it costs to stand somewhere, and what the best known and chance cost."""

    def __init__(self, family: Family, knobs: int, seed: int) -> None:
        rng = np.random.default_rng([knobs, seed])
        self.encoder = SpaceEncoder(wide_space(knobs, rng))
        self._levels = np.maximum(self.encoder.levels, 1)
        order = rng.permutation(knobs)
        count = family.mattering
        if count is None:
            count = int(rng.integers(LEAST_MATTERING, MOST_MATTERING + 1))
        strengths = np.full(knobs, family.rest)
        strengths[order[:count]] = 0.85 ** np.arange(count)
        self._effects = [
            effect(self.encoder, place, rng, tuned=family.tuned and place not in order[:count])
            for place in range(knobs)
        ]
        self._strengths = strengths * (rng.uniform(0.3, 1.0, knobs) if family.rest else 1.0)
        self._pairs = rng.permutation(order[:count])[: 2 * (count // 3)].reshape(-1, 2)
        self._centres = rng.uniform(0.2, 0.8, self._pairs.shape)
        ordered = [place for place in order[:count] if not self.encoder.levels[place]]
        self._edge = np.array(ordered[:2])
        self._corner = rng.uniform(0.5, 0.7, len(self._edge))
        drawn = sample_rows(self.encoder, 4_000, rng)
        costs = self.costs(drawn)
        self.chance = float(costs.mean())
        self.best = min(self._climbed(row) for row in drawn[np.argsort(costs)[:CLIMBED]])

    def costs(self, rows: Rows) -> Vector:
        """(n,): logarithms of the true objective at canonical rows; less is better."""
        columns = [effect(rows[:, place]) for place, effect in enumerate(self._effects)]
        total = np.stack(columns, axis=1) @ self._strengths
        places = rows / self._levels
        for (one, other), (mine, its) in zip(self._pairs, self._centres, strict=True):
            together = (places[:, one] - mine) * (places[:, other] - its)
            total += 1.5 * min(self._strengths[one], self._strengths[other]) * together
        if len(self._edge):
            total += 1.0 * (rows[:, self._edge] > self._corner).all(axis=1)
        return np.asarray(total)

    def regret(self, configuration: Configuration) -> float:
        """0 at the best known configuration, 1 at the average of random ones."""
        [cost] = self.costs(self.encoder.canonical_rows(self.encoder.encode_many([configuration])))
        return max(0.0, (float(cost) - self.best) / (self.chance - self.best))

    def _climbed(self, row: Vector) -> float:
        """The cost at the end of a steepest descent by single knobs."""
        [cost] = self.costs(row[None, :])
        while True:
            near = neighbour_rows(self.encoder, row)
            costs = self.costs(near)
            if costs.min() >= cost - 1e-9:
                return float(cost)
            row, cost = near[costs.argmin()], costs.min()


def wide_space(knobs: int, rng: np.random.Generator) -> KnobSpace:
    """Mixed knobs, one in ten conditional on a switch, and a few constraints."""
    made: list[Knob] = []
    for place in range(knobs):
        switches = [knob.name for knob in made if knob.type is KnobType.BOOLEAN]
        conditional = bool(switches) and rng.random() < 0.1
        under = str(switches[rng.integers(len(switches))]) if conditional else ""
        made.append(knob_of(f"knob_{place}", rng, active_when=under))
    sizes = [knob.name for knob in made if knob.scale is Scale.LOG and not knob.special]
    rules = []
    for one, other in np.reshape(sizes[: 2 * (1 + knobs // 40)], (-1, 2)).tolist():
        rules.append(Constraint(expression=f"{one} <= 64 * {other}"))
        rules.append(Constraint(expression=f"{one} * {other} <= {1 << 32}"))
    return KnobSpace(tuple(made), tuple(rules))


def knob_of(name: str, rng: np.random.Generator, *, active_when: str) -> Knob:
    """A knob of a kind that is drawn, with a default anywhere but at an end."""
    given: dict[str, Any] = {"name": name, "active_when": active_when}
    kind = rng.random()
    if kind < 0.25:
        default = float(rng.uniform(0.2, 0.8))
        return Knob(**given, type=KnobType.REAL, low=0.0, high=1.0, default=default)
    if kind < 0.55:
        special = (Special(value=0, meaning="off"),) if rng.random() < 0.3 else ()
        return Knob(
            **given, type=KnobType.INTEGER, low=1, high=1 << 20, scale=Scale.LOG,
            default=int(2 ** rng.uniform(7, 13)), special=special,
        )  # fmt: skip
    if kind < 0.75:
        return Knob(**given, type=KnobType.BOOLEAN, default=bool(rng.integers(2)))
    levels: tuple[Value, ...] = tuple("abcde"[: rng.integers(3, 6)])
    if kind < 0.9:
        return Knob(**given, type=KnobType.CATEGORICAL, levels=levels, default=levels[0])
    steps: tuple[Value, ...] = tuple(2 ** int(power) for power in range(rng.integers(4, 9)))
    return Knob(**given, type=KnobType.ORDINAL, levels=steps, default=steps[1])


def effect(
    encoder: SpaceEncoder, place: int, rng: np.random.Generator, *, tuned: bool
) -> Callable[[Vector], Vector]:
    """What one column does by itself, from 0 at its best to 1."""
    levels = int(encoder.levels[place])
    [default] = encoder.encode_many([encoder.space.default()])[:, place].tolist()
    if levels:
        table = rng.uniform(0.3, 1.0, levels)
        table[int(default) if tuned else rng.integers(levels)] = 0.0
        return lambda column: table[column.astype(int)] / table.max()
    best, shape = default if tuned else rng.uniform(), rng.integers(4)
    reach = max(best, 1.0 - best)
    if shape == 0 or tuned:
        return lambda column: ((column - best) / reach) ** 2
    if shape == 1:
        return lambda column: np.abs(column - best) / reach
    if shape == 2:
        sign = rng.choice([-1.0, 1.0])
        return lambda column: 0.5 + sign * (column - 0.5)
    threshold = rng.uniform(0.3, 0.7)
    return lambda column: 0.8 * (column < threshold) + 0.2 * (1.0 - column)


# -- who searches


class Contender(Protocol):
    """Somebody who can be asked and told."""

    def ask(self) -> Configuration:
        """The next configuration."""

    def tell(self, configuration: Configuration, value: float) -> None:
        """What it gave."""

    def named(self) -> Configuration:
        """What it would answer now."""


class Ours:
    """One of our recommenders."""

    def __init__(self, name: str, encoder: SpaceEncoder, seed: int, *, noisy: bool) -> None:
        self._optimizer = Optimizer(
            encoder.space, recommender=name, seed=seed, deterministic=not noisy
        )

    def ask(self) -> Configuration:
        return self._optimizer.ask()

    def tell(self, configuration: Configuration, value: float) -> None:
        self._optimizer.tell(configuration, value)

    def named(self) -> Configuration:
        return self._optimizer.recommend().configuration


class TreeParzen:
    """Optuna's multivariate, grouped TPE on our encoding of the knobs: special values and
    conditional knobs are what they are for our own; what breaks a constraint is told as pruned
    and asked again, at no cost."""

    def __init__(self, encoder: SpaceEncoder, seed: int) -> None:
        import optuna

        self._optuna, self._encoder = optuna, encoder
        with quiet(optuna):
            sampler = optuna.samplers.TPESampler(multivariate=True, group=True, seed=seed)
            self._study = optuna.create_study(direction="minimize", sampler=sampler)
        self._trial: Any = None
        self._best: tuple[float, Configuration] = (math.inf, {})
        self._distributions = {one.knob: distribution_of(one) for one in encoder.columns}

    def ask(self) -> Configuration:
        with quiet(self._optuna):
            for _ in range(ASKS):
                self._trial = self._study.ask()
                wanted = ask_for(self._trial, self._encoder)
                if not self._encoder.broken(wanted):
                    return wanted
                self._study.tell(self._trial, state=self._optuna.trial.TrialState.PRUNED)
        raise RuntimeError(f"{ASKS} wishes of the peer broke constraints")

    def tell(self, configuration: Configuration, value: float) -> None:
        if self._trial is None:
            parameters = parameters_of(self._encoder, configuration)
            kept = {name: self._distributions[name] for name in parameters}
            self._study.add_trial(
                self._optuna.create_trial(value=value, params=parameters, distributions=kept)
            )
        else:
            self._study.tell(self._trial, value)
            self._trial = None
        if value < self._best[0]:
            self._best = value, configuration

    def named(self) -> Configuration:
        return self._best[1]


PEER = "optuna-tpe-mv"


def enter(name: str, encoder: SpaceEncoder, seed: int, *, noisy: bool) -> Contender:
    """A contender by name."""
    return TreeParzen(encoder, seed) if name == PEER else Ours(name, encoder, seed, noisy=noisy)


def searched(
    instance: Instance, who: Contender, *, noise: float, budget: int, seed: int
) -> tuple[dict[int, float], float]:
    """Regret at each checkpoint, and processor milliseconds a suggestion."""
    rng = np.random.default_rng(seed)
    regrets: dict[int, float] = {}
    least, spent = math.inf, 0.0
    for number in range(1, budget + 1):
        began = time.process_time()
        asked = who.ask()
        spent += time.process_time() - began
        row = instance.encoder.canonical_rows(instance.encoder.encode_many([asked]))
        value = float(instance.costs(row)[0]) + noise * float(rng.standard_normal())
        who.tell(asked, math.exp(value))
        least = min(least, instance.regret(asked))
        if number in CHECKPOINTS:
            regrets[number] = instance.regret(who.named()) if noise else least
    return regrets, 1e3 * spent / budget


# -- what is printed


def compare(given: argparse.Namespace) -> None:
    """Search every instance with everybody, and print."""
    rows: list[dict[str, Any]] = []
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    for family, knobs, noise, seed in product(given.families, given.knobs, given.noise, seeds):
        instance = Instance(FAMILIES[family], knobs, seed)
        for name in given.who:
            who = enter(name, instance.encoder, seed, noisy=noise > 0)
            regrets, spent = searched(instance, who, noise=noise, budget=given.budget, seed=seed)
            case = {"family": family, "knobs": knobs, "noise": noise, "seed": seed}
            rows.append({**case, "who": name, "milliseconds": spent, **regrets})
            if given.out:
                write(given.out, rows)
    for family, noise in product(given.families, given.noise):
        for knobs in given.knobs:
            print(f"\n{family}, {knobs} knobs, noise {noise:g}")
            chosen = [row for row in rows
                      if (row["family"], row["knobs"], row["noise"])
                      == (family, knobs, noise)]  # fmt: skip
            report(chosen, given.who)
    print("\nall together")
    report(rows, given.who)


def report(rows: list[dict[str, Any]], names: list[str]) -> None:
    """A line a contender."""
    points = [point for point in CHECKPOINTS if point in rows[0]]
    reference = table(rows, names[-1], points)
    for name in names:
        regrets = table(rows, name, points)
        spent = np.mean([row["milliseconds"] for row in rows if row["who"] == name])
        means = " ".join(f"{one:6.3f}" for one in regrets.mean(axis=0))
        apart = " ".join(shown(one) for one in (regrets - reference).T)
        print(f"{name:16}{means}   {apart if name != names[-1] else '':60}{spent:8.0f} ms")


def table(rows: list[dict[str, Any]], name: str, points: list[int]) -> NDArray[np.float64]:
    """(n_instances, n_points): one contender's regrets."""
    return np.array([[row[point] for point in points] for row in rows if row["who"] == name])


def shown(differences: Vector) -> str:
    """A mean with its 95 % interval, by the bootstrap."""
    rng = np.random.default_rng(0)
    drawn = differences[rng.integers(len(differences), size=(RESAMPLES, len(differences)))]
    low, high = np.quantile(drawn.mean(axis=1), (0.025, 0.975))
    return f"{differences.mean():+.3f} ({low:+.3f}..{high:+.3f})"


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """All rows so far as CSV."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def cost(given: argparse.Namespace) -> None:
    """Print what a suggestion costs."""
    for knobs, size in product(given.knobs, (100, 500)):
        instance = Instance(FAMILIES["sparse"], knobs, given.first_seed)
        rows = sample_rows(instance.encoder, size, np.random.default_rng(0))
        observed = list(
            zip(instance.encoder.decode_many(rows), np.exp(instance.costs(rows)), strict=True)
        )
        taken: dict[str, list[float]] = {name: [] for name in given.who}
        everybody = {}
        for name in given.who:
            everybody[name] = enter(name, instance.encoder, given.first_seed, noisy=True)
            for configuration, value in observed:
                everybody[name].tell(configuration, float(value))
        for turn in range(-1, TIMED):
            for name, who in everybody.items():
                began = time.process_time()
                asked = who.ask()
                if turn >= 0:
                    taken[name].append(time.process_time() - began)
                row = instance.encoder.canonical_rows(instance.encoder.encode_many([asked]))
                who.tell(asked, float(np.exp(instance.costs(row)[0])))
        reference = float(np.mean(taken[given.who[-1]]))
        for name, who in everybody.items():
            spent = float(np.mean(taken[name]))
            print(f"{knobs:4} knobs, {size:4} told  {name:16}{1e3 * spent:8.0f} ms"
                  f"{spent / reference:8.2f} of {given.who[-1]}"
                  f"{peak_mib(who):8.1f} MiB")  # fmt: skip


def peak_mib(who: Contender) -> float:
    """How far what Python and numpy allocate peaks during one suggestion."""
    tracemalloc.start()
    who.ask()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 2**20


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--knobs", type=int, nargs="+", default=[30, 60, 100, 200])
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=list(FAMILIES))
    parser.add_argument(
        "--who", nargs="+", default=["auto", "gp", "forest", "random", PEER], metavar="NAME",
        help=f"our recommenders, and {PEER}; the last is the reference",
    )  # fmt: skip
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 0.05])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--budget", type=int, default=100)
    parser.add_argument("--out", type=Path, help="write every regret here")
    parser.add_argument("--cost", action="store_true", help="measure what a suggestion costs")
    given = parser.parse_args()
    with threadpool_limits(1):
        cost(given) if given.cost else compare(given)
    return 0


if __name__ == "__main__":
    sys.exit(main())
