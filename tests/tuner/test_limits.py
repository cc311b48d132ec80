"""Limits as people write them, and what windows say of them."""

from __future__ import annotations

import json

import pytest

from targets.adapter import Description
from targets.metrics import Direction, Metric, MetricKind
from tests.tuner.scripted import describe
from tuner.confirmation import MINIMUM_PAIRS, confirm
from tuner.errors import InvalidSession
from tuner.keeping import Check, Reading
from tuner.limits import SessionLimit, parse_limits
from tuner.looks import Looks

LOOKS = Looks.plan(16, least=MINIMUM_PAIRS)

METRICS = (
    Metric(name="latency_ms", kind=MetricKind.HISTOGRAM, unit="ms"),
    Metric(name="hit_ratio", kind=MetricKind.GAUGE),
    Metric(name="reads", kind=MetricKind.COUNTER, unit="reads"),
)
TARGET = Description.from_dict(describe(direction=Direction.MAXIMISE, metrics=METRICS))
P99 = SessionLimit(name="p99", direction=Direction.MINIMISE, bound=20.0, unit="ms")


@pytest.mark.parametrize(
    ("text", "direction", "bound", "factor", "unit"),
    [
        ("latency_ms_p99<=20", Direction.MINIMISE, 20.0, None, "ms"),
        (" hit_ratio >= 0.5 ", Direction.MAXIMISE, 0.5, None, ""),
        ("speed>=0.9x", Direction.MAXIMISE, None, 0.9, "1/s"),
        ("reads<=1e3", Direction.MINIMISE, 1000.0, None, "reads/s"),
    ],
)
def test_a_limit_is_read(
    text: str, direction: Direction, bound: float | None, factor: float | None, unit: str
) -> None:
    [limit] = parse_limits([text], TARGET)
    assert (limit.direction, limit.bound, limit.factor, limit.unit) == (
        direction, bound, factor, unit,
    )  # fmt: skip
    assert SessionLimit.from_dict(json.loads(json.dumps(limit.to_dict()))) == limit


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["hit_ratio=0.5"], "'hit_ratio=0.5' is not NAME<=NUMBER"),
        (["hit_ratio<=much"], "'hit_ratio<=much' is not NAME<=NUMBER"),
        (["hit_ratio<=nan"], "has the bound nan: give a finite number"),
        (["hit_ratio<=inf"], "has the bound inf"),
        (["hit_ratio<=-2x"], "-2 times the baseline's"),
        (["joy>=1"], "measures: speed, hit_ratio, reads, latency_ms_pNN"),
        (["latency_ms<=20"], "bounds latency_ms, which this target does not measure"),
        (["reads<=5", "reads<=6"], "give the tighter of them alone"),
        (["reads>=7", "reads<=6"], "leave no value between"),
        (["reads>=1.1x", "reads<=0.9x"], "leave no value between"),
    ],
)
def test_what_is_no_limit_is_refused_with_the_remedy(texts: list[str], said: str) -> None:
    with pytest.raises(InvalidSession) as error:
        parse_limits(texts, TARGET)
    assert said in str(error.value)


def test_both_sides_of_one_metric_may_be_bounded() -> None:
    assert len(parse_limits(["reads>=5", "reads<=6"], TARGET)) == 2


def test_a_relative_bound_is_worked_out_once_and_told() -> None:
    [limit] = parse_limits(["latency_ms_p99<=1.2x"], TARGET)
    assert limit.problems == () and limit.text == "latency_ms_p99<=1.2x"
    known = limit.resolved(15.0)
    assert known.bound == 18.0 and known.text == "latency_ms_p99<=1.2x (18 ms)"
    assert known.problems[0].bound == 18.0
    with pytest.raises(InvalidSession, match="absolute bound, latency_ms_p99<=NUMBER"):
        limit.resolved(-1.0)
    with pytest.raises(InvalidSession, match="was not measured"):
        limit.resolved(None)


def test_a_reading_is_sure_when_its_whole_interval_is_on_one_side() -> None:
    def read(*values: float) -> Reading:
        reading = Reading.of(P99, values)
        assert reading is not None
        return reading

    near, far = read(19.0, 20.5, 19.5, 20.2), read(30.0, 31.0, 29.5, 30.5)
    assert not near.broken and not near.sure
    assert far.broken and far.sure and "95 % interval" in far.words
    assert not read(30.0).sure and read(30.0).broken
    assert Reading.of(P99, ()) is None


def checked(now: float, before: float) -> Check:
    return Check(
        incumbent=Reading.of(P99, [now, now + 0.1] * 8),
        baseline=Reading.of(P99, [before, before + 0.1] * 8),
    )


def test_what_breaks_a_limit_is_not_recommended_however_much_better() -> None:
    said = confirm([1.5, 1.51] * 8, looks=LOOKS, margin=0.02, checks=(checked(25.0, 15.0),))
    assert said.verdict == "better" and not said.recommended
    assert "Breaks p99<=20 ms: 25.05 ms" in said.words and "Keep the baseline" in said.words
    assert said.to_dict()["limits"][0]["incumbent"]["kept"] is False


def test_what_keeps_a_limit_that_the_baseline_breaks_is_recommended_though_slower() -> None:
    said = confirm([0.95, 0.951] * 8, looks=LOOKS, margin=0.02, checks=(checked(15.0, 25.0),))
    assert said.verdict == "worse" and said.recommended
    assert "the baseline breaks it with 25.05 ms" in said.words
    assert "Keep the baseline" not in said.words and "for the sake of the limits" in said.words
    # Not on a handful of pairs, nor where it is not sure that the baseline breaks it.
    few = confirm([0.95, 0.951] * 2, looks=LOOKS, margin=0.02, checks=(checked(15.0, 25.0),))
    assert not few.recommended
    unsure = Check(
        incumbent=Reading.of(P99, [15.0, 15.1] * 8), baseline=Reading.of(P99, [10.0, 31.0] * 8)
    )
    assert not confirm([0.95, 0.951] * 8, looks=LOOKS, margin=0.02, checks=(unsure,)).recommended
