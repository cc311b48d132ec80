"""What the bandits lose while they learn, beside even play, on simulated workloads.

Three kinds of workload, each with a level and costs of its own for every one of some plans, and
metrics that scatter around its middle. Printed is the mean regret of a whole session, the sum over
its trials in logarithms of the objective (0.01 is 1 %), with 95 % intervals over worlds: in a first
session, and in one that knows two earlier sessions of each kind, in which every plan was tried
twice. The same worlds and sessions for everybody.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from targets.knobs import Knob, KnobType
from targets.metrics import Direction, Objective
from targets.space import KnobSpace
from tuner.recommenders.bandit import BanditRecommender
from tuner.recommenders.base import Observation, PastTask, Problem, Recommender, suggestion_rng
from tuner.recommenders.contextual_bandit import ContextualBanditRecommender

KINDS, EARLIER, REPEATS = 3, 2, 2
"""Kinds of workload; earlier sessions of each; how often every plan was tried in them."""

NOISE_SD, OWN_SD, ARM_SD, CONTEXT_SD = 0.08, 0.03, 0.15, 0.2
"""Of one window; of a plan from session to session; between plans; of a session's metrics around
their workload's."""

OBJECTIVE = Objective(name="throughput", direction=Direction.MAXIMISE)

Player = Callable[[Problem, Sequence[Observation], int, int], int]
"""From a problem, what was observed, a seed and a turn to the plan to play."""


@dataclass(frozen=True)
class World:
    """Costs (KINDS, n_plans), levels (KINDS,) and the metrics' middles (KINDS, n_metrics)."""

    costs: NDArray[np.float64]
    levels: NDArray[np.float64]
    middles: NDArray[np.float64]

    @classmethod
    def drawn(cls, plans: int, metrics: int, rng: np.random.Generator) -> World:
        """Any such world."""
        return cls(
            rng.normal(0.0, ARM_SD, (KINDS, plans)),
            rng.normal(0.0, 1.0, KINDS),
            rng.normal(0.0, 1.0, (KINDS, metrics)),
        )

    def session(self, kind: int, rng: np.random.Generator) -> Session:
        """Another session of a kind of workload."""
        plans, metrics = self.costs.shape[1], self.middles.shape[1]
        logs = self.middles[kind] + CONTEXT_SD * rng.standard_normal(metrics)
        return Session(
            costs=self.costs[kind] + OWN_SD * rng.standard_normal(plans),
            level=float(self.levels[kind] + 0.3 * rng.standard_normal()),
            context={f"m{place}": math.exp(value) for place, value in enumerate(logs.tolist())},
        )


@dataclass(frozen=True)
class Session:
    """The costs of each plan (n_plans,), the level of all, and what is seen of the workload."""

    costs: NDArray[np.float64]
    level: float
    context: dict[str, float]

    def tried(self, plan: int, rng: np.random.Generator) -> Observation:
        """One window of a plan."""
        cost = self.level + self.costs[plan] + NOISE_SD * rng.standard_normal()
        return Observation(
            configuration={"plan": plan}, values={OBJECTIVE.name: (math.exp(-cost),)}
        )

    def as_past(self, name: str, rng: np.random.Generator) -> PastTask:
        """What later sessions know of it."""
        plans = [*range(len(self.costs))] * REPEATS
        return PastTask(
            name=name,
            space=space_of(len(self.costs)),
            observations=tuple(self.tried(plan, rng) for plan in plans),
            context=self.context,
        )

    def regret(
        self, player: Player, past: Sequence[PastTask], trials: int, rng: np.random.Generator,
        *, with_context: bool,
    ) -> float:  # fmt: skip
        """What a player loses against the best plan, over all trials."""
        problem = Problem(
            space=space_of(len(self.costs)),
            objectives=(OBJECTIVE,),
            context=self.context if with_context else {},
            history=tuple(past if with_context else [replace(one, context={}) for one in past]),
        )
        observations: list[Observation] = []
        lost, seed = 0.0, int(rng.integers(2**31))
        for turn in range(trials):
            plan = player(problem, observations, seed, turn)
            observations.append(self.tried(plan, rng))
            lost += float(self.costs[plan] - self.costs.min())
        return lost


def space_of(plans: int) -> KnobSpace:
    """One knob with so many levels."""
    return KnobSpace(
        (Knob(name="plan", type=KnobType.CATEGORICAL, levels=tuple(range(plans)), default=0),)
    )


def evenly(problem: Problem, observations: Sequence[Observation], seed: int, turn: int) -> int:
    """Any plan."""
    return int(suggestion_rng(seed, turn).integers(len(problem.space["plan"].levels)))


def by(recommender: Recommender) -> Player:
    """What a recommender plays."""

    def player(problem: Problem, observations: Sequence[Observation], seed: int, turn: int) -> int:
        [one], _ = recommender.suggest(problem, observations, (), {}, suggestion_rng(seed, turn))
        return int(one.configuration["plan"])

    return player


PLAYERS: dict[str, tuple[Player, bool]] = {
    "evenly": (evenly, False),
    "bandit, thompson": (by(BanditRecommender()), False),
    "bandit, ucb": (by(BanditRecommender({"policy": "ucb"})), False),
    "contextual, without contexts": (by(ContextualBanditRecommender()), False),
    "contextual, ucb": (by(ContextualBanditRecommender()), True),
    "contextual, thompson": (by(ContextualBanditRecommender({"policy": "thompson"})), True),
}


def regrets(name: str, given: argparse.Namespace) -> NDArray[np.float64]:
    """(n_seeds, 2): of a first session, and of one with earlier ones."""
    player, with_context = PLAYERS[name]
    found = []
    for seed in range(given.seeds):
        rng = np.random.default_rng(seed)
        world = World.drawn(given.plans, given.metrics, rng)
        kinds = [*range(KINDS)] * EARLIER
        past = [
            world.session(kind, rng).as_past(f"session {number}", rng)
            for number, kind in enumerate(kinds)
        ]
        session = world.session(seed % KINDS, rng)
        first, later = (
            session.regret(
                player, known, given.trials, np.random.default_rng([seed, 1]),
                with_context=with_context,
            )
            for known in ([], past)
        )  # fmt: skip
        found.append((first, later))
    return np.array(found)


def shown(values: NDArray[np.float64]) -> str:
    """Mean and 95 % interval."""
    return f"{values.mean():6.2f} +- {1.96 * values.std(ddof=1) / math.sqrt(len(values)):.2f}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10, help="worlds")
    parser.add_argument("--plans", type=int, default=12, help="arms there are")
    parser.add_argument("--metrics", type=int, default=10, help="features of a context")
    parser.add_argument("--trials", type=int, default=20, help="in a session")
    given = parser.parse_args()
    print(f"{given.seeds} worlds, {given.plans} plans, {given.trials} trials a session")
    print(f"{'who':30}{'first session':>18}{f'after {KINDS * EARLIER}':>18}")
    for name in PLAYERS:
        found = regrets(name, given)
        print(f"{name:30}{shown(found[:, 0]):>18}{shown(found[:, 1]):>18}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
