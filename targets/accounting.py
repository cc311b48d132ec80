"""Does the target's own account bear out what a window claims?

A workload driver that counts requests which the server never saw reports a splendid throughput: of
recorded MySQL runs 843 "successful" ones claim 14,388 transactions a second, where real ones have
798, while nearly all counters of the server stand still. Who believes the driver alone picks these.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from targets.metrics import Direction, Metric, MetricKind, Objective

LEAST_SHARE = 0.5
"""Of what is claimed must be in the counter. Retries and warm-up may blur it; other load only adds
to it."""


def check_accounts(objectives: Iterable[Objective], metrics: Iterable[Metric]) -> None:
    """Raises ValueError for an objective whose account is no counter of these, or that is itself
    no rate: less of it is better."""
    counters = {metric.name for metric in metrics if metric.kind is MetricKind.COUNTER}
    for objective in objectives:
        if not objective.accounted_by:
            continue
        if objective.accounted_by not in counters:
            raise ValueError(
                f"objective {objective.name} has accounted_by={objective.accounted_by}, which is "
                f"no counter of the target; these are: {', '.join(sorted(counters)) or 'none'}"
            )
        if objective.direction is not Direction.MAXIMISE:
            raise ValueError(
                f"objective {objective.name} has accounted_by={objective.accounted_by}, but less "
                "of it is better: only what is done a second can be counted"
            )


def unaccounted(
    objectives: Iterable[Objective], values: Mapping[str, float], metrics: Mapping[str, float]
) -> str:
    """What a window claims without the target bearing it out; empty where all is in order.

    Args:
        values: the window's objectives.
        metrics: its metrics, counters as rates a second.
    """
    for objective in objectives:
        if not objective.accounted_by:
            continue
        claimed = values[objective.name]
        counted = metrics.get(objective.accounted_by, math.nan)
        if math.isnan(counted):
            return (
                f"objective {objective.name}={claimed:g} cannot be checked: the target's counter "
                f"{objective.accounted_by} was not read in the window"
            )
        if counted < LEAST_SHARE * claimed:
            return (
                f"objective {objective.name}={claimed:g}, but the target's own counter "
                f"{objective.accounted_by} grew by {counted:g} a second, under "
                f"{LEAST_SHARE:.0%} of it: the workload did not do what it says"
            )
    return ""
