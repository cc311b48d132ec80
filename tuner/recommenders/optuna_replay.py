"""Optuna's CMA-ES made to take what was told for its own answers.

Only to be imported where Optuna is installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import CmaEsSampler

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial


class ReplayingCmaEsSampler(CmaEsSampler):
    """Answers the first trials with what was told, then goes on by itself.

    Every told configuration passes through the sampler, because it marks each trial with its
    generation and keeps its own state there; trials that are merely added to a study, or enqueued,
    it does not learn from.

    Args:
        names: the coordinates, each in 0..1.
        told: their values for the first trials, in order.
        population: trials in a generation; None leaves it to the number of coordinates.
        seed: of its random generator.
    """

    def __init__(
        self,
        names: list[str],
        told: list[dict[str, float]],
        *,
        population: int | None,
        seed: int,
    ) -> None:
        super().__init__(
            n_startup_trials=0, warn_independent_sampling=False, popsize=population, seed=seed
        )
        self._names = names
        self._told = told

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All coordinates; the first trial has no other to learn them from."""
        return {name: FloatDistribution(0.0, 1.0) for name in self._names}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """What was told of this trial; the strategy's own wish once that is used up."""
        drawn = super().sample_relative(study, trial, search_space)
        return dict(self._told[trial.number]) if trial.number < len(self._told) else drawn
