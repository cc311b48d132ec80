"""The frame most recommenders share: one configuration at a time, from a grouped history.

A subclass answers `propose`: one new configuration from everything known. Several at once are
proposed one after the other, each counting as in flight for the next. What is proposed passes the
last gate here, so that nothing infeasible, and no accidental repeat, can leave.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from targets.knobs import Configuration
from tuner.errors import SpaceExhausted
from tuner.history import History, HistoryMemo
from tuner.recommenders.base import Observation, Problem, Recommender, Suggestion, SuggestionKind
from tuner.sampling import checked

State = dict[str, Any]
"""What a recommender remembers between calls; JSON-able."""


class SequentialRecommender(Recommender):
    """Suggests by proposing one configuration after the other.

    What grouping a history cost is kept for the next call, which mostly has one trial more; it
    changes no answer.
    """

    def __init__(self, options: Mapping[str, object] | None = None) -> None:
        super().__init__(options)
        self._memo = HistoryMemo()

    def suggest(
        self,
        problem: Problem,
        observations: Sequence[Observation],
        pending: Sequence[Configuration],
        state: Mapping[str, Any],
        rng: np.random.Generator,
        *,
        count: int = 1,
    ) -> tuple[tuple[Suggestion, ...], State]:
        """As `Recommender.suggest`.

        Raises:
            SpaceExhausted: every configuration of a finite space was tried.
            InfeasibleSpace: no configuration keeps the constraints and the pins.
            ValueError: an observed value is not finite.
        """
        # At these sizes several BLAS threads were 2 to 6 times slower than one.
        with threadpool_limits(1):
            history = History.of(problem, observations, pending, memo=self._memo)
            return self._suggest(history, dict(state), rng, count=count)

    def _suggest(
        self, history: History, state: State, rng: np.random.Generator, *, count: int
    ) -> tuple[tuple[Suggestion, ...], State]:
        suggestions: list[Suggestion] = []
        while len(suggestions) < count:
            try:
                proposed, state = self.propose(history, state, rng)
            except SpaceExhausted:
                if not suggestions:
                    raise
                break
            suggestion = replace(
                proposed, configuration=checked(history.encoder, proposed.configuration)
            )
            if not _intended(history, suggestion):
                raise RuntimeError(f"recommender {self.name} proposed again: {suggestion}")
            suggestions.append(suggestion)
            history = history.with_pending(suggestion.configuration)
        return tuple(suggestions), state

    @abstractmethod
    def propose(
        self, history: History, state: State, rng: np.random.Generator
    ) -> tuple[Suggestion, State]:
        """One configuration that `history.seen` does not hold, and the state to keep.

        Raises:
            SpaceExhausted: there is none left.
        """


def _intended(history: History, suggestion: Suggestion) -> bool:
    """Whether it is new, or says itself why it is not."""
    key = history.encoder.key(suggestion.configuration)
    if suggestion.kind is SuggestionKind.RE_MEASURE or key not in history.seen:
        return True
    if suggestion.kind is not SuggestionKind.LENGTHEN or key in history.in_flight:
        return False
    known = next(one for one in history.outcomes if one.key == key)
    return 0.0 < known.fidelity < suggestion.fidelity
