"""Ask and tell: a recommender driven from plain Python, with no agent, server or database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from targets.errors import FailureKind
from targets.knobs import Configuration
from tuner.estimate import Estimate, incumbent
from tuner.recommenders.base import Observation, Problem, Suggestion, suggestion_rng
from tuner.registry import load_recommender


class Optimizer:
    """Keeps what was asked and told, and passes it to a recommender.

    >>> from targets import Direction, Knob, KnobSpace, KnobType, Objective
    >>> space = KnobSpace((Knob(name="x", type=KnobType.INTEGER, low=0, high=9, default=0),))
    >>> goal = Objective(name="cost", direction=Direction.MINIMISE)
    >>> optimizer = Optimizer(Problem(space=space, objectives=(goal,), budget=10))
    >>> for _ in range(10):
    ...     suggestion = optimizer.ask()
    ...     x = suggestion.configuration["x"]
    ...     optimizer.tell(suggestion.configuration, {"cost": 1 + (x - 3) ** 2})
    >>> optimizer.recommend().configuration
    {'x': 3}

    Args:
        problem: what is to be solved.
        recommender: the name of an installed recommender.
        options: its options.
        seed: the same seed and the same answers give the same suggestions.

    Raises:
        UnknownRecommender, BrokenRecommender, InvalidSetting: as loading and making it do.
    """

    def __init__(
        self,
        problem: Problem,
        recommender: str = "auto",
        *,
        options: Mapping[str, object] | None = None,
        seed: int = 0,
    ) -> None:
        self.problem = problem
        self.recommender = load_recommender(recommender)(options)
        self.seed = seed
        self.observations: list[Observation] = []
        self.pending: list[Configuration] = []
        self._asked = 0
        self._state: dict[str, Any] = {}

    def ask(self) -> Suggestion:
        """The next configuration to try; it is in flight until it is told.

        Raises:
            SpaceExhausted: every configuration of a finite space was tried.
        """
        rng = suggestion_rng(self.seed, self._asked)
        [suggestion], self._state = self.recommender.suggest(
            self.problem, self.observations, self.pending, self._state, rng
        )
        self._asked += 1
        self.pending.append(suggestion.configuration)
        return suggestion

    def tell(
        self,
        configuration: Configuration,
        values: Mapping[str, float | Sequence[float]] | None = None,
        *,
        failure: FailureKind | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """What a configuration gave, asked for or not: values per objective, or how it failed.

        `metrics` are what the problem's limits are held against.
        """
        if configuration in self.pending:
            self.pending.remove(configuration)
        self.observations.append(
            Observation(
                configuration=configuration,
                values={
                    name: (float(value),) if isinstance(value, int | float) else tuple(value)
                    for name, value in (values or {}).items()
                },
                failure=failure,
                metrics=dict(metrics or {}),
                number=len(self.observations),
            )
        )

    def recommend(self) -> Estimate | None:
        """The configuration to name now, by the pessimistic bound; None before any was measured."""
        return incumbent(self.problem, self.observations)
