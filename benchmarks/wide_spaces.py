"""How well wide spaces are searched: 60 to 200 mixed knobs of which a few matter, against Optuna.

    python benchmarks/wide_spaces.py [--knobs 60 120] [--families sparse tail tuned dense]
        [--who auto auto-whole random optuna-tpe-mv] [--noise 0 0.05] [--seeds 10] [--budget 100]
        [--csv FILE]

Regret is told on the truth: 0 at the best known configuration, 1 at the average random one, the
objective taken on logarithms. Without noise it is of the best configuration tried, under noise of
the one that is named. Printed are, for each number of knobs, means over instances at 25, 50 and 100
trials, at the end the difference from the reference (the last of `--who`), paired by instance, all
with 95 % intervals over instances, and processor milliseconds for a suggestion. A name that ends in
`-whole` searches the whole space at once. What suggestions cost in wide spaces, beside TPE, is
`suggestion_cost.py --dimensions`' to say.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import patch

import numpy as np
from figures import Measured, as_text, save
from threadpoolctl import threadpool_limits
from wide_systems import FAMILIES, Configuration, Instance

from tuner import Optimizer
from tuner.benchmark.intervals import Figure, over_tasks
from tuner.recommenders.optuna_study import ask_for, quiet
from tuner.recommenders.subspace import Subspace
from tuner.space import SpaceEncoder

CHECKPOINTS = (25, 50, 100)
ASKS = 50


class Contender(Protocol):
    """Somebody who can be asked and told."""

    def ask(self) -> Configuration: ...

    def tell(self, configuration: Configuration, value: float) -> None: ...

    def named(self) -> Configuration: ...


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
        self._study.tell(self._trial, value)
        if value < self._best[0]:
            self._best = value, configuration

    def named(self) -> Configuration:
        return self._best[1]


PEER = "optuna-tpe-mv"
WHOLE = "-whole"


@contextmanager
def entered(name: str, encoder: SpaceEncoder, seed: int, *, noisy: bool) -> Iterator[Contender]:
    """A contender by name, for as long as it searches."""
    if name == PEER:
        yield TreeParzen(encoder, seed)
        return
    with ExitStack() as stack:
        if name.endswith(WHOLE):
            stack.enter_context(patch.object(Subspace, "of", lambda *_: None))
        yield Ours(name.removesuffix(WHOLE), encoder, seed, noisy=noisy)


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


@dataclass(frozen=True, kw_only=True)
class Search:
    """One contender in one instance: regret at each checkpoint, milliseconds a suggestion."""

    knobs: int
    who: str
    regrets: dict[int, float]
    milliseconds: float


def measured(searches: list[Search], reference: str) -> Iterator[Measured]:
    """A table for each number of knobs; searches stand in the order of their instances."""
    for knobs in dict.fromkeys(one.knobs for one in searches):
        by_name: dict[str, list[Search]] = {}
        for one in searches:
            if one.knobs == knobs:
                by_name.setdefault(one.who, []).append(one)
        last = max(by_name[reference][0].regrets)
        beside = np.array([one.regrets[last] for one in by_name[reference]])
        for name, some in by_name.items():
            place = {"table": f"{knobs} knobs", "row": name}
            for at in some[0].regrets:
                figure = over_tasks(np.array([one.regrets[at] for one in some]))
                yield Measured(**place, column=f"at {at}", figure=figure)
            if name != reference:
                apart = np.array([one.regrets[last] for one in some]) - beside
                column = f"less {reference}'s at {last}"
                yield Measured(**place, column=column, figure=over_tasks(apart), form="+.3f")
            spent = Figure(float(np.mean([one.milliseconds for one in some])))
            yield Measured(**place, column="ms", figure=spent, form=".0f")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--knobs", type=int, nargs="+", default=[60, 120])
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=list(FAMILIES))
    parser.add_argument(
        "--who", nargs="+", default=["auto", "auto-whole", "random", PEER], metavar="NAME",
        help=f"our recommenders, and {PEER}; the last is the reference",
    )  # fmt: skip
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 0.05])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--budget", type=int, default=100)
    parser.add_argument("--csv", type=Path, help="also write the figures here")
    given = parser.parse_args()
    searches = []
    with threadpool_limits(1):
        for seed, knobs, family, noise in product(
            range(given.seeds), given.knobs, given.families, given.noise
        ):
            instance = Instance(FAMILIES[family], knobs, seed)
            for name in given.who:
                with entered(name, instance.encoder, seed, noisy=noise > 0) as who:
                    regrets, spent = searched(
                        instance, who, noise=noise, budget=given.budget, seed=seed
                    )
                searches.append(Search(knobs=knobs, who=name, regrets=regrets, milliseconds=spent))
            found = list(measured(searches, given.who[-1]))
            if given.csv:
                save(given.csv, found)
            print(f"seed {seed}, {knobs} knobs, {family}, noise {noise:g}", file=sys.stderr)
    print(as_text(found, "contestant"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
