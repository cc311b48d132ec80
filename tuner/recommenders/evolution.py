"""Evolution of configurations: the best breed, children differ in few knobs.

A (mu + lambda) strategy that breeds one child at a time. Two parents are picked by tournament,
every knob comes from one of them, and some mutate: a level to any other, an ordered knob by a step
whose size is drawn over several scales. How many mutate is drawn from a power law, so that most
children stay near and a few leap.
"""

from __future__ import annotations

import numpy as np

from targets.knobs import Value
from targets.settings import Setting
from tuner.axes import Axis, ColumnKind
from tuner.history import History, Outcome
from tuner.recommenders.base import Suggestion, SuggestionKind
from tuner.recommenders.lanes import by_chance
from tuner.recommenders.search import UNLIKELY
from tuner.recommenders.sequential import SequentialRecommender, State
from tuner.recommenders.start import propose_start
from tuner.recommenders.wording import moves
from tuner.repair import repair
from tuner.surrogates.acceptability import Acceptability

LEAP = 1.5
"""The power law's exponent: m knobs mutate with a chance that falls as m ** -1.5 (Doerr et al.)."""

STEPS = (0.01, 0.5)
"""A mutation's step along an ordered axis is drawn between these, evenly on logarithms."""

CHILDREN = 40
"""Bred until one is new and likely to work; after that, one of chance."""


class EvolutionRecommender(SequentialRecommender):
    """Tournament, uniform crossover, heavy-tailed mutation, on mixed knobs.

    Only acceptable configurations breed. `lifetime` makes the old die out, whatever they gave
    (regularised evolution): under noise a lucky measurement does not rule for ever.
    """

    name = "evolution"
    summary = "breeding from the best: no model to be wrong, for rugged spaces and 50 to 200 trials"
    source = "Real et al., AAAI 2019; Doerr et al., GECCO 2017; Syswerda, ICGA 1989"
    heeds_limits = True
    settings_declared = (
        Setting(name="population", default=8, low=2, high=1000, help="the best that may breed"),
        Setting(
            name="lifetime",
            default=0,
            low=0,
            high=100_000,
            unit="trials",
            help="after so many further trials a configuration breeds no more; 0: never",
        ),
        Setting(
            name="crossover",
            default=0.5,
            low=0.0,
            high=1.0,
            help="share of children that have two parents",
        ),
    )

    def propose(
        self, history: History, state: State, rng: np.random.Generator
    ) -> tuple[Suggestion, State]:
        return propose_start(history, state, rng) or (self.search(history, rng), state)

    def search(self, history: History, rng: np.random.Generator) -> Suggestion:
        """A child of what is known; a random configuration while nothing is acceptable."""
        population = self.population(history)
        if not population:
            return by_chance(history, rng)
        acceptability = Acceptability.fit(history, seed=int(rng.integers(2**31)))
        for _ in range(CHILDREN):
            one, other = pick(population, rng), pick(population, rng)
            crossed = one is not other and rng.random() < float(self.options["crossover"])
            child = repair(
                history.encoder, self._child(history, one, other if crossed else one, rng), rng
            )
            if child is None or history.encoder.key(child) in history.seen:
                continue
            if acceptability.chance(history.encoder.encode_many([child]))[0] < UNLIKELY:
                continue
            whose = "two of the best" if crossed else "one of the best"
            return Suggestion(
                configuration=child,
                kind=SuggestionKind.EXPLOIT,
                lane=self.name,
                reason=f"Evolution: a child of {whose} {len(population)}. {moves(history, child)}",
            )
        return by_chance(history, rng)

    def population(self, history: History) -> list[Outcome]:
        """Those that may breed, the best first."""
        lifetime = int(self.options["lifetime"])
        young = {one.key for one in history.outcomes[-lifetime:]} if lifetime else None
        able = [
            history.measured[place]
            for place in history.ranking
            if history.acceptable[place] and (young is None or history.measured[place].key in young)
        ]
        return able[: int(self.options["population"])]

    def _child(
        self, history: History, one: Outcome, other: Outcome, rng: np.random.Generator
    ) -> dict[str, Value]:
        """Each knob from either parent, some of them mutated; it may break constraints."""
        axes = history.encoder.axes
        child = history.encoder.nearest(one.configuration)
        another = history.encoder.nearest(other.configuration)
        for name in axes:
            if rng.random() < 0.5:
                child[name] = another[name]
        names = list(axes)
        if names:
            for place in rng.choice(len(names), size=leap(len(names), rng), replace=False):
                child[names[place]] = mutated(axes[names[place]], child[names[place]], rng)
        return child


def pick(population: list[Outcome], rng: np.random.Generator) -> Outcome:
    """The better of two drawn."""
    return population[int(rng.integers(len(population), size=2).min())]


def leap(size: int, rng: np.random.Generator) -> int:
    """How many of so many knobs mutate: at least 1."""
    chances = np.arange(1, size + 1, dtype=float) ** -LEAP
    return 1 + int(rng.choice(size, p=chances / chances.sum()))


def mutated(axis: Axis, value: Value, rng: np.random.Generator) -> Value:
    """Another value of a knob: any other level, or a step along the axis."""
    if axis.kind is ColumnKind.CATEGORICAL:
        others = axis.neighbours(value)
        return others[rng.integers(len(others))]
    low, high = np.log(STEPS)
    size = max(float(np.exp(rng.uniform(low, high))), 1.0 / axis.count)
    place = axis.position(value) + size * rng.choice((-1.0, 1.0))
    # Reflected at the ends, for a clipped step would pile up on them.
    return axis.value(float(1.0 - abs(1.0 - abs(place))))
