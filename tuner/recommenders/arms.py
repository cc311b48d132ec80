"""The arms of a bandit: a finite set of configurations that are worth playing again and again.

They are the default, the best of each past task, all of a small space, and what was measured here.
A larger space lends further ones slowly, about the square root of the number of trials: progressive
widening (Wang, Audibert and Munos, NIPS 2008; Couetoux et al., LION 2011).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from targets.knobs import Configuration, Value
from targets.settings import Setting
from targets.space import KnobSpace
from tuner.history import History, Outcome
from tuner.recommenders.base import PastTask, Problem, SuggestionKind
from tuner.recommenders.sequential import State
from tuner.recommenders.sobol import SobolRecommender
from tuner.repair import repair
from tuner.surrogates.transfer import carried

ARMS = Setting(
    name="arms",
    default=16,
    low=2,
    high=200,
    help="configurations that are played in turn; a space of no more is played whole",
)


@dataclass(frozen=True)
class Newcomer:
    """A configuration that is known of, and was not tried here: `origin` says how, in words."""

    configuration: dict[str, Value]
    kind: SuggestionKind
    origin: str


def newcomers(history: History, most: int, *, each: int = 1) -> list[Newcomer]:
    """The arms that were not tried here yet, those with most reason first, each once.

    Args:
        most: how many arms there may be.
        each: so many of the best of each past task.
    """
    found: dict[str, Newcomer] = {}
    for one in _known_of(history, most, each=each):
        key = history.encoder.key(one.configuration)
        if key not in history.seen:
            found.setdefault(key, one)
    return list(found.values())[: max(0, most - len(playable(history, most)))]


def _known_of(history: History, most: int, *, each: int) -> Iterator[Newcomer]:
    encoder = history.encoder
    default = _mended(history, encoder.space.default())
    if default is not None:
        yield Newcomer(default, SuggestionKind.EXPLORE, "the default")
    yield from best_elsewhere(history, each)
    if _is_played_whole(history, most):
        for listed in encoder.listed:
            yield Newcomer(listed, SuggestionKind.EXPLORE, f"one of all {len(encoder.listed)}")


def best_elsewhere(history: History, each: int) -> Iterator[Newcomer]:
    """The best of every past task as this task's, then the second best of every one, and so on."""
    tasks = [(task, as_history(task, history.problem)) for task in history.problem.history]
    for rank in range(each):
        for task, known in tasks:
            if rank >= known.acceptable.sum():
                continue
            past = known.measured[known.ranking[rank]].configuration
            here = _mended(history, translated(past, history.problem.space))
            if here is not None:
                which = "the best" if rank == 0 else f"number {rank + 1} of the best"
                yield Newcomer(here, SuggestionKind.WARM_START, f"{which} in {task.name}")


def translated(configuration: Configuration, space: KnobSpace) -> dict[str, Value]:
    """A configuration of another space as this one's; what it does not tell stands at default."""
    return {knob.name: carried(knob, configuration, knob.default) for knob in space}


def as_history(task: PastTask, problem: Problem) -> History:
    """A past task's observations, held against this problem's objective and limits."""
    like = Problem(space=task.space, objectives=problem.objectives, limits=problem.limits)
    return History.of(like, task.observations)


def playable(history: History, most: int) -> NDArray[np.int_]:
    """(k,): the places in `history.measured` of those that may be played now, the best first.

    Not in flight, suggestible, within every limit, likely to work; and none where repeats do not
    scatter, as far as is known, for there playing an arm again teaches nothing.
    """
    if not history.noise.sd:
        return np.array([], int)
    in_flight = {history.encoder.key(one) for one in history.pending}
    places = [
        place
        for place in history.ranking.tolist()
        if history.repeatable[place]
        and history.measured[place].key not in in_flight
        and _works(history.measured[place])
    ]
    return np.array(places[:most], int)


def _works(outcome: Outcome) -> bool:
    if outcome.over_limit:
        return False
    # Beta(1 + works, 1 + failures) from an even prior, whose mean is at least one half. A failure
    # is transient where the same arm also works; one that never worked is not played again.
    works = min(len(outcome.values), len(outcome.numbers) - outcome.failures)
    return works >= max(1, outcome.failures)


def wants_more(history: History, most: int) -> bool:
    """Whether a larger space is to lend another arm: there are fewer than the root of the trials.

    What is in flight counts as an arm, for it may become one.
    """
    if _is_played_whole(history, most):
        return False
    arms = len(playable(history, most)) + len(history.pending)
    return arms < min(most, math.ceil(math.sqrt(1 + trials(history))))


def trials(history: History) -> int:
    """How many trials there were, those in flight counted."""
    return sum(len(one.numbers) for one in history.outcomes) + len(history.pending)


def another(
    history: History, state: State, rng: np.random.Generator
) -> tuple[Configuration, State]:
    """One more configuration, from an even design over the space; the state keeps its place there.

    Raises:
        SpaceExhausted: there is none left.
    """
    lent, design = SobolRecommender().propose(history, state.get("design", {}), rng)
    return lent.configuration, {**state, "design": design}


def _is_played_whole(history: History, most: int) -> bool:
    return history.encoder.listable and len(history.encoder.listed_rows) <= most


def _mended(history: History, configuration: Configuration) -> dict[str, Value] | None:
    # Always mended alike: one that came out different every time would be new every time.
    return repair(history.encoder, configuration, np.random.default_rng(0))
