"""Metrics: vectors that lose nothing, rates over resets, ratios that always read one way."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.errors import ProtocolError
from targets.metrics import Direction, Metric, MetricKind, MetricVector, Objective, rates


@given(st.dictionaries(st.text(min_size=1, max_size=10), st.floats(), max_size=20))
def test_vector_survives_packing(metrics: dict[str, float]) -> None:
    vector = MetricVector.of(metrics)
    packed = vector.pack()
    assert len(packed) == 8 * len(metrics)
    again = MetricVector.unpack(vector.names, packed)
    assert again.pack() == packed
    assert again.as_dict() == {k: v for k, v in metrics.items() if not math.isnan(v)}


def test_vector_is_little_endian_float64() -> None:
    assert MetricVector(("a",), (1.0,)).pack() == bytes.fromhex("000000000000f03f")


def test_vector_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ProtocolError, match="16 bytes for 1 names"):
        MetricVector.unpack(("a",), bytes(16))


METRICS = (
    Metric(name="reads_total", kind=MetricKind.COUNTER),
    Metric(name="depth", kind=MetricKind.GAUGE),
    Metric(name="latency", kind=MetricKind.HISTOGRAM),
)


def test_rates_divide_counters_and_leave_the_rest() -> None:
    before = {"reads_total": 100.0, "depth": 1.0}
    after = {"reads_total": 150.0, "depth": 3.0, "latency_p99": 9.0}
    assert rates(METRICS, before, after, seconds=2) == {
        "reads_total": 25.0,
        "depth": 3.0,
        "latency_p99": 9.0,
    }


def test_counter_that_was_reset_counts_from_its_reset() -> None:
    assert rates(METRICS, {"reads_total": 100.0}, {"reads_total": 30.0}, seconds=3) == {
        "reads_total": 10.0
    }


def test_ratio_above_one_is_better_in_both_directions() -> None:
    most = Objective(name="throughput", direction=Direction.MAXIMISE)
    least = Objective(name="latency", direction=Direction.MINIMISE)
    assert most.ratio(200, 100) == least.ratio(100, 200) == 2
    assert most.better(2, 1)
    assert least.better(1, 2)
    assert not most.better(1, 1)


@pytest.mark.parametrize("item", [*METRICS, Objective(name="x", direction=Direction.MINIMISE)])
def test_declarations_survive_their_dicts(item: Metric | Objective) -> None:
    assert type(item).from_dict(item.to_dict()) == item
