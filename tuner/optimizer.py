"""Ask and tell: a recommender driven from plain Python, with no agent, server or database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from targets.errors import FailureKind
from targets.knobs import Configuration, Value
from targets.metrics import Direction, Objective
from targets.space import KnobSpace
from tuner.estimate import Estimate, front, incumbent
from tuner.params import check_values, number, past_task
from tuner.recommenders.base import Observation, Problem, Suggestion, suggestion_rng
from tuner.registry import load_recommender
from tuner.space import SpaceEncoder

OBJECTIVE = "objective"
"""What the objective is called where nobody named it."""

Values = float | Sequence[float] | Mapping[str, float | Sequence[float]]
"""One value, one a window, or either for each objective by name."""


class Optimizer:
    """Keeps what was asked and told, and passes it to a recommender.

    >>> from tuner import Optimizer, space_from_params
    >>> space = space_from_params([{"name": "x", "type": "int", "low": 0, "high": 9}])
    >>> optimizer = Optimizer(space, direction="min", budget=10)
    >>> for _ in range(10):
    ...     configuration = optimizer.ask()
    ...     optimizer.tell(configuration, 1 + (configuration["x"] - 3) ** 2)
    >>> optimizer.recommend().configuration
    {'x': 3}

    Args:
        space: what is tuned; `space_from_params` makes one from plain data.
        recommender: the name of an installed recommender.
        direction: `min` or `max`; or, for several objectives, each one's by its name.
        seed: 0 or above; the same seed and the same answers give the same suggestions.
        history: what was seen of other tasks: mappings of `task` (a name), `params` (as
            `space_from_params` takes them) and `observations`, pairs of a configuration and its
            value, None for a failure. Spaces that differ are matched knob by knob.
        budget: how many configurations will be asked for, where that is known; 0 where not.
        pins: knobs that every suggestion has at exactly these values.
        deterministic: the same configuration always gives the same value.
        least_fidelity: the shortest window that can be measured, as a share of a full one; 0 for
            any, 1 for full ones only. Few recommenders ask for shorter ones (`hyperband`):
            `last_suggestion.fidelity` says so.
        options: the recommender's own.

    Raises:
        UnknownRecommender, BrokenRecommender, InvalidSetting: as loading and making it do.
        InvalidKnob: a pin or a history's params are not valid.
        ValueError: a direction, a seed, or a history's observation, is not valid.
    """

    def __init__(
        self,
        space: KnobSpace,
        recommender: str = "auto",
        *,
        direction: str | Mapping[str, str] = "min",
        seed: int = 0,
        history: Iterable[Mapping[str, Any]] = (),
        budget: int = 0,
        pins: Mapping[str, Value] | None = None,
        deterministic: bool = False,
        least_fidelity: float = 0.0,
        options: Mapping[str, object] | None = None,
    ) -> None:
        named = direction if isinstance(direction, Mapping) else {OBJECTIVE: direction}
        objectives = tuple(
            Objective(name=name, direction=_direction(way), deterministic=deterministic)
            for name, way in named.items()
        )
        problem = Problem(
            space=space,
            objectives=objectives,
            pins=dict(pins or {}),
            budget=budget,
            history=tuple(past_task(one, objectives[0]) for one in history),
            least_fidelity=least_fidelity,
        )
        self._begin(problem, recommender, options=options, seed=seed)

    @classmethod
    def of(
        cls,
        problem: Problem,
        recommender: str = "auto",
        *,
        options: Mapping[str, object] | None = None,
        seed: int = 0,
    ) -> Self:
        """An optimizer of a whole problem, with limits and a context where it has them."""
        self = cls.__new__(cls)
        self._begin(problem, recommender, options=options, seed=seed)
        return self

    def _begin(
        self, problem: Problem, recommender: str, *, options: Mapping[str, object] | None, seed: int
    ) -> None:
        if not isinstance(seed, int | np.integer) or seed < 0:
            raise ValueError(f"seed={seed!r} is no whole number of 0 or above")
        self.problem = problem
        self.recommender = load_recommender(recommender)(options)
        self.seed = int(seed)
        self.observations: list[Observation] = []
        self.pending: list[Configuration] = []
        self.last_suggestions: tuple[Suggestion, ...] = ()
        self._encoder = SpaceEncoder(problem.space, problem.pins)
        self._fidelity: dict[str, float] = {}
        self._asked = 0
        self._state: dict[str, Any] = {}

    @property
    def last_suggestion(self) -> Suggestion | None:
        """What was asked for last, with its reason; None before anything was."""
        return self.last_suggestions[-1] if self.last_suggestions else None

    def ask(self) -> dict[str, Value]:
        """The next configuration to try; it is in flight until it is told. `last_suggestion` says
        why it was chosen, and in how long a window it is to be measured.

        Raises:
            SpaceExhausted: every configuration of a finite space was tried.
            InfeasibleSpace: no configuration keeps the constraints and the pins.
        """
        return self.ask_many(1)[0]

    def ask_many(self, count: int) -> list[dict[str, Value]]:
        """Up to `count` configurations to try side by side; fewer where there are no more.
        `last_suggestions` says why each was chosen.

        Raises:
            As `ask`.
        """
        suggestions, self._state = self.recommender.suggest(
            self.problem,
            self.observations,
            self.pending,
            self._state,
            suggestion_rng(self.seed, self._asked),
            count=count,
        )
        self._asked += len(suggestions)
        self.last_suggestions = suggestions
        self.pending += [suggestion.configuration for suggestion in suggestions]
        self._fidelity |= {
            self._encoder.key(one.configuration): one.fidelity for one in suggestions
        }
        return [dict(suggestion.configuration) for suggestion in suggestions]

    def tell(
        self,
        configuration: Configuration,
        value: Values | None = None,
        *,
        failure: FailureKind | str | None = None,
        metrics: Mapping[str, float] | None = None,
        fidelity: float | None = None,
    ) -> None:
        """What a configuration gave, asked for or not: its value, or how it failed.

        Args:
            value: one number, or one a window; by objective name where there are several.
            failure: a `FailureKind`, such as `timed-out`; what is not the configuration's own
                fault, `harness-failed` and `cancelled`, is not held against it.
            metrics: internal measurements; a problem's limits are held against them.
            fidelity: the share of a full window's length that was measured; by default what was
                last asked for of that configuration, and 1 if nothing was.

        Raises:
            InvalidKnob: a knob is missing, unknown or out of its domain.
            TypeError: a value is no number.
            ValueError: there is neither a value nor a failure, or both, a value is not finite, the
                kind of failure is none, or a fidelity is not above 0 and at most 1.
        """
        checked = check_values(self.problem.space, configuration)
        values = {} if value is None else _windows(self.problem, value)
        if bool(values) == (failure is not None):
            raise ValueError("tell takes a value, or failure= with the kind of failure; not both")
        told = Observation(
            configuration=checked,
            values=values,
            failure=None if failure is None else _failure(failure),
            metrics=dict(metrics or {}),
            number=len(self.observations),
            fidelity=self._fidelity.get(self._encoder.key(checked), 1.0)
            if fidelity is None
            else fidelity,
        )
        told.refuse_not_finite()
        if checked in self.pending:
            self.pending.remove(checked)
        self.observations.append(told)

    def recommend(self) -> Estimate | None:
        """The configuration to name now, with what it is expected to give; None before any was
        measured in a full window. Of several objectives it is the balanced one on the front."""
        return incumbent(self.problem, self.observations)

    def front(self) -> list[Estimate]:
        """What several objectives leave to choose from, with each one's `values`: configurations
        within the limits of which none is beaten in everything."""
        return front(self.problem, self.observations)


def _direction(way: str) -> Direction:
    ways = {"min": Direction.MINIMISE, "max": Direction.MAXIMISE}
    ways |= {str(direction): direction for direction in Direction}
    if way not in ways:
        raise ValueError(f"direction={way!r} is none of {', '.join(ways)}")
    return ways[way]


def _failure(kind: FailureKind | str) -> FailureKind:
    try:
        return FailureKind(kind)
    except ValueError:
        kinds = ", ".join(FailureKind)
        raise ValueError(f"failure={kind!r} is none of {kinds}") from None


def _windows(problem: Problem, value: Values) -> dict[str, tuple[float, ...]]:
    named = value if isinstance(value, Mapping) else {problem.objective.name: value}
    unknown = named.keys() - {objective.name for objective in problem.objectives}
    if unknown:
        names = ", ".join(objective.name for objective in problem.objectives)
        raise ValueError(f"{', '.join(sorted(unknown))}: no objective, which are {names}")
    return {
        name: tuple(map(number, given))
        if isinstance(given, Sequence | np.ndarray) and not isinstance(given, str)
        else (number(given),)
        for name, given in named.items()
    }
