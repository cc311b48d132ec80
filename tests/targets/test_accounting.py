"""Accounting: a window counts only if the target's own counter bears out what it claims."""

from __future__ import annotations

import math

import pytest

from targets.accounting import check_accounts, unaccounted
from targets.metrics import Direction, Metric, MetricKind, Objective

TPS = Objective(name="tps", direction=Direction.MAXIMISE, unit="1/s", accounted_by="commits")
P99 = Objective(name="p99", direction=Direction.MINIMISE, unit="ms")
METRICS = (
    Metric(name="commits", kind=MetricKind.COUNTER),
    Metric(name="dirty", kind=MetricKind.GAUGE),
)


@pytest.mark.parametrize("commits", [798.0, 500.0, 1e6])
def test_what_the_counter_bears_out_is_in_order(commits: float) -> None:
    """Other load only adds to a counter."""
    assert unaccounted((TPS, P99), {"tps": 798.0, "p99": 9.0}, {"commits": commits}) == ""


@pytest.mark.parametrize("commits", [0.0, 3.0, 7_000.0])
def test_a_driver_that_counts_what_the_server_never_saw_is_found_out(commits: float) -> None:
    told = unaccounted((P99, TPS), {"tps": 14_388.0, "p99": 1.0}, {"commits": commits})
    assert told.startswith("objective tps=14388, but the target's own counter commits grew by ")
    assert "under 50% of it" in told


@pytest.mark.parametrize("metrics", [{}, {"commits": math.nan}])
def test_a_counter_that_was_not_read_bears_nothing_out(metrics: dict[str, float]) -> None:
    assert "commits was not read" in unaccounted((TPS,), {"tps": 5.0}, metrics)


@pytest.mark.parametrize(
    ("objective", "says"),
    [
        (Objective(name="a", direction=Direction.MAXIMISE, accounted_by="lost"), "no counter"),
        (Objective(name="a", direction=Direction.MAXIMISE, accounted_by="dirty"), "are: commits"),
        (Objective(name="a", direction=Direction.MINIMISE, accounted_by="commits"), "a second"),
    ],
)
def test_an_account_that_can_bear_nothing_out_is_refused(objective: Objective, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check_accounts((TPS, objective), METRICS)


def test_it_travels_with_the_objective() -> None:
    assert Objective.from_dict(TPS.to_dict()) == TPS
    known = {key: value for key, value in TPS.to_dict().items() if key != "accounted_by"}
    assert Objective.from_dict(known).accounted_by == "", "of an agent that does not know it"
