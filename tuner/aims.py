"""Several objectives as one: a weighing of them, drawn anew for each suggestion.

ParEGO's way (Knowles, IEEE Trans. Evol. Comp. 10(1), 2006): with weights drawn at random, the
augmented Tchebycheff function of the objectives is one cost, whose least is a point of the front,
and any point of it, on bent-in parts as well, for some weights. What searches for one objective so
searches the whole front, one direction after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from targets.metrics import Direction, Objective
from tuner.history import History
from tuner.pareto import Costs

AUGMENTED = 0.05
"""The share of the plain weighted sum, which tells apart what is equally far in the worst objective
(Knowles' rho)."""


@dataclass(frozen=True, kw_only=True)
class Aim:
    """One weighing: of an objective's cost counts how far it is from the best seen, in the range of
    all that was seen, times its weight.

    `weights`, `best` and `extent` are (m,); the weights add up to 1.
    """

    names: tuple[str, ...]
    weights: NDArray[np.float64]
    best: NDArray[np.float64]
    extent: NDArray[np.float64]

    @classmethod
    def drawn(cls, names: tuple[str, ...], costs: Costs, rng: np.random.Generator) -> Aim:
        """With weights uniform among all there are, for costs (n, m) measured so far."""
        weights = rng.dirichlet(np.ones(len(names)))
        if not len(costs):
            costs = np.zeros((1, len(names)))
        extent = np.ptp(costs, axis=0)
        extent = np.where(extent > 0.0, extent, 1.0)
        return cls(names=names, weights=weights, best=costs.min(axis=0), extent=extent)

    def costs(self, costs: NDArray[np.float64]) -> NDArray[np.float64]:
        """(...,): one cost for each (..., m)."""
        weighed = self.weights * (costs - self.best) / self.extent
        return np.asarray(weighed.max(axis=-1) + AUGMENTED * weighed.sum(axis=-1))

    @property
    def words(self) -> str:
        """The weights in plain language, the heaviest first."""
        order = np.argsort(-self.weights, kind="stable").tolist()
        shares = [f"{self.names[place]} {self.weights[place]:.0%}" for place in order]
        return f"This turn weighs {', '.join(shares[:-1])} and {shares[-1]}."


def parts_of(history: History) -> tuple[History, ...]:
    """A history of each objective alone, of the outcomes measured for all of them."""
    objectives = history.problem.objectives
    if len(objectives) == 1:
        return (history,)
    complete = [all(one.objectives) for one in history.outcomes]
    return tuple(
        replace(
            history,
            problem=replace(history.problem, objectives=(objective,)),
            outcomes=tuple(
                replace(one, values=one.objectives[place] if whole else (), objectives=())
                for one, whole in zip(history.outcomes, complete, strict=True)
            ),
        )
        for place, objective in enumerate(objectives)
    )


def aimed(history: History, rng: np.random.Generator) -> History:
    """The history with one objective: several weighed at random.

    Its costs are the weighed ones. With one objective nothing is drawn or changed.
    """
    objectives = history.problem.objectives
    if len(objectives) == 1:
        return history
    parts = parts_of(history)
    costs = np.stack([part.outcome_costs for part in parts], axis=1)
    measured = ~np.isnan(costs).any(axis=1)
    aim = Aim.drawn(tuple(one.name for one in objectives), costs[measured], rng)
    weighed = Objective(
        name="weighed objectives",
        direction=Direction.MINIMISE,
        deterministic=all(one.deterministic for one in objectives),
    )
    windows = [
        [part.costs_of(one) for part, one in zip(parts, ones, strict=True)]
        for ones in zip(*(part.outcomes for part in parts), strict=True)
    ]
    return replace(
        history,
        problem=replace(history.problem, objectives=(weighed,)),
        outcomes=tuple(
            replace(one, values=tuple(aim.costs(_together(costs)).tolist()), objectives=())
            for one, costs in zip(history.outcomes, windows, strict=True)
        ),
        aim=aim,
    )


def _together(windows: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """(n_windows, m): each objective's windows beside the others'; their means where these are not
    the same windows."""
    if len({len(one) for one in windows}) > 1:
        windows = [one.mean(keepdims=True) for one in windows]
    return np.stack(windows, axis=-1)
