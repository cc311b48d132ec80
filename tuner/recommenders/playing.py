"""A bandit's two moves, with their reasons: play an arm again, or try one more."""

from __future__ import annotations

import numpy as np

from tuner.history import History, Outcome
from tuner.recommenders.arms import another
from tuner.recommenders.base import Suggestion, SuggestionKind
from tuner.recommenders.belief import THOMPSON, Belief
from tuner.recommenders.sequential import State
from tuner.recommenders.wording import moves


def play_again(
    history: History,
    outcome: Outcome,
    belief: Belief,
    arm: int,
    rng: np.random.Generator,
    *,
    lane: str,
    policy: str,
) -> Suggestion:
    """An arm that was played before, as number `arm` of the belief's."""
    count, windows = len(belief.mean), len(outcome.values)
    chance = belief.chance_best(rng)[arm]
    how = (
        "a draw from what is believed of each (Thompson sampling)"
        if policy == THOMPSON
        else "how good each may well be (upper confidence bound)"
    )
    failed = outcome.failures
    return Suggestion(
        configuration=outcome.configuration,
        kind=SuggestionKind.RE_MEASURE,
        lane=lane,
        reason=f"Played again on purpose, {windows} window{'s' if windows > 1 else ''} so far: the "
        f"best of {count} known configurations by {how}. That it is the best of them is "
        f"{chance:.0%} likely."
        f"{f' It failed {failed} of {len(outcome.numbers)} times.' if failed else ''}",
        expected=belief.expectation(arm, history.scale),
    )


def play_another(
    history: History, state: State, rng: np.random.Generator, *, lane: str, playing: int
) -> tuple[Suggestion, State]:
    """One more arm, where `playing` are played so far.

    Raises:
        SpaceExhausted: there is none left.
    """
    configuration, state = another(history, state, rng)
    why = (
        f"{playing} are played so far, and there are to be about as many as the root of the trials"
        if playing
        else "there is none that is worth playing again"
    )
    suggestion = Suggestion(
        configuration=configuration,
        kind=SuggestionKind.EXPLORE,
        lane=lane,
        reason=f"One more configuration, of an even spread over the space: {why}. "
        f"{moves(history, configuration)}",
    )
    return suggestion, state
