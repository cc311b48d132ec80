"""The front of a session with several objectives, as its report tells it. JSON-able data."""

from __future__ import annotations

from typing import Any

import numpy as np

from knowledge_base.records import Trial
from tuner.aims import parts_of
from tuner.estimate import Estimate
from tuner.history import History
from tuner.naming import session_front
from tuner.pareto import hypervolume
from tuner.view import SessionView


def front_of(view: SessionView, incumbent: Trial | None) -> dict[str, Any]:
    """The points of the front, the best in the first objective first, and what it is worth.

    `hypervolume` is the volume that the points dominate as far as `reference`, the worst that was
    measured of each objective within the limits; an objective whose values are all positive counts
    by its natural logarithm. Both are None while there is no front.
    """
    points = session_front(view)
    return {
        "points": [_point(view, point, incumbent) for point in points],
        **_worth(view, points),
    }


def _point(view: SessionView, point: Estimate, incumbent: Trial | None) -> dict[str, Any]:
    first = min(point.numbers)
    baseline = view.baseline_trial
    return {
        "trial": first,
        "configuration": dict(point.configuration),
        "values": dict(point.values),
        "windows": point.windows,
        "is_baseline": baseline is not None and baseline.number in point.numbers,
        "is_incumbent": incumbent is not None and incumbent.number in point.numbers,
    }


def _worth(view: SessionView, points: list[Estimate]) -> dict[str, Any]:
    if not points:
        return {"hypervolume": None, "reference": None}
    parts = parts_of(History.of(view.problem, view.observations))
    named = dict(zip([one.name for one in view.objectives], parts, strict=True))
    costs = np.array(
        [[part.scale.cost(point.values[name]) for name, part in named.items()] for point in points]
    )
    seen = np.stack([part.costs[part.acceptable] for part in parts], axis=1)
    reference = np.vstack((costs, seen)).max(axis=0)
    return {
        "hypervolume": hypervolume(costs, reference),
        "reference": {
            name: part.scale.value(float(cost))
            for (name, part), cost in zip(named.items(), reference, strict=True)
        },
    }
