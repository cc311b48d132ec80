"""Confirmation: pairs, intervals and verdicts that a reader would act on."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from knowledge_base.records import Window
from targets.metrics import Direction, MetricVector, Objective
from tuner.confirmation import MINIMUM_PAIRS, block_sequence, confirm, pair_ratios
from tuner.looks import Looks

LOOKS = Looks.plan(16, least=MINIMUM_PAIRS)

THROUGHPUT = Objective(name="throughput", direction=Direction.MAXIMISE, unit="1/s")
LATENCY = Objective(name="latency", direction=Direction.MINIMISE, unit="ms")
AT = datetime(2026, 1, 1, tzinfo=UTC)


def window(
    trial: int,
    position: int,
    arm: str,
    value: float,
    *,
    late: bool = False,
    name: str = "throughput",
) -> Window:
    return Window(
        id=trial * 100 + position,
        trial_id=trial,
        epoch=1,
        arm=arm,
        block=0,
        position=position,
        purpose="confirm",
        started_at=AT,
        seconds=1.0,
        objectives={name: value},
        metrics=MetricVector((), ()),
        late=late,
    )


def test_blocks_are_abba_then_baab() -> None:
    assert block_sequence(0) == ("baseline", "candidate", "candidate", "baseline")
    assert block_sequence(1) == ("candidate", "baseline", "baseline", "candidate")


def test_neighbours_make_a_pair_and_drift_cancels() -> None:
    # The machine loses 10 % with every window; the candidate is truly twice as fast.
    arms = block_sequence(0) + block_sequence(1)
    speed = {"baseline": 100.0, "candidate": 200.0}
    windows = [window(1 + i // 4, i % 4, arm, speed[arm] * 0.9**i) for i, arm in enumerate(arms)]
    ratios = pair_ratios(THROUGHPUT, windows)
    assert len(ratios) == 4
    assert math.exp(np.mean(np.log(ratios))) == pytest.approx(2.0)


def test_above_one_means_better_for_what_is_minimised_too() -> None:
    windows = [window(1, 0, "baseline", 10.0, name="latency"),
               window(1, 1, "candidate", 5.0, name="latency")]  # fmt: skip
    assert pair_ratios(LATENCY, windows) == [2.0]


def test_late_windows_and_widows_do_not_count() -> None:
    windows = [
        window(1, 0, "baseline", 1.0),
        window(1, 1, "candidate", 9.0, late=True),
        window(2, 0, "baseline", 1.0),
    ]
    assert pair_ratios(THROUGHPUT, windows) == []


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        ([1.5, 1.6, 1.55, 1.45] * 4, "better"),
        ([0.5, 0.6, 0.55, 0.45] * 4, "worse"),
        ([1.001, 0.999, 1.0, 1.002] * 4, "no gain found"),
        ([2.0, 0.5, 1.9, 0.6] * 4, "undecided"),
    ],
)
def test_verdicts(ratios: list[float], verdict: str) -> None:
    result = confirm(ratios, looks=LOOKS, margin=0.02, pair_seconds=4.0)
    assert result.verdict == verdict
    assert result.pairs == 16
    assert result.low is not None and result.high is not None
    assert result.low <= (result.ratio or 0) <= result.high


def test_undecided_says_what_it_would_cost_to_know() -> None:
    words = confirm([2.0, 0.5, 1.9, 0.6] * 4, looks=LOOKS, margin=0.02, pair_seconds=4.0).words
    assert "about 3348 pairs, 4 h of measuring" in words


def test_what_it_would_cost_to_know_is_more_than_was_spent() -> None:
    rng = np.random.default_rng(5)
    asked = 0
    for _ in range(300):
        ratios = list(np.exp(rng.normal(rng.uniform(-0.03, 0.03), rng.uniform(0.005, 0.1), 16)))
        result = confirm(ratios, looks=LOOKS, margin=0.02)
        if result.verdict == "undecided":
            asked += 1
            assert result.pairs < int(result.words.split("about ")[1].split(" pairs")[0])
    assert asked > 50


def test_a_deterministic_target_has_an_interval_of_no_width() -> None:
    result = confirm([1.25] * 12, looks=LOOKS, margin=0.02)
    assert (result.verdict, result.low, result.high) == ("better", 1.25, 1.25)


def test_without_pairs_nothing_is_claimed() -> None:
    result = confirm([], looks=LOOKS, margin=0.02)
    assert (result.verdict, result.ratio, result.pairs) == ("undecided", None, 0)


def test_fewer_than_twelve_pairs_never_make_a_verdict() -> None:
    few = confirm([1.5, 1.51] * 5, looks=LOOKS, margin=0.02)
    assert (few.verdict, few.pairs) == ("undecided", 10)
    assert few.low is not None and few.low > 1
    assert "12" in few.words
    assert confirm([1.5], looks=LOOKS, margin=0.02).verdict == "undecided"


@pytest.mark.parametrize(("baseline", "candidate"), [(0.0, 5.0), (5.0, 0.0), (-1.0, -2.0)])
def test_values_of_zero_or_below_have_no_ratio_and_say_so(
    baseline: float, candidate: float
) -> None:
    windows = [window(1, 0, "baseline", baseline), window(1, 1, "candidate", candidate)]
    ratios = pair_ratios(THROUGHPUT, windows)
    assert ratios == [None]
    result = confirm([*ratios, *[1.5] * 15], looks=LOOKS, margin=0.02)
    assert (result.verdict, result.ratio) == ("undecided", None)
    assert "1 of 16 pairs" in result.words and "positive" in result.words


def test_equal_values_are_no_gain_even_at_zero() -> None:
    windows = [window(1, 0, "baseline", 0.0), window(1, 1, "candidate", 0.0)]
    assert (
        confirm(pair_ratios(THROUGHPUT, windows) * 12, looks=LOOKS, margin=0.02).verdict
        == "no gain found"
    )


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(2_000):
        ratios = np.exp(rng.normal(math.log(1.1), 0.1, 16))
        result = confirm(list(ratios), looks=LOOKS, margin=0.02)
        held += (result.low or 0) <= 1.1 <= (result.high or 0)
    assert 0.955 <= held / 2_000 <= 0.985, "of both looks: one of them holds it a little oftener"


def test_between_two_looks_nothing_new_is_said() -> None:
    looks = Looks.plan(20, least=12)
    first = confirm([1.1, 1.2] * 6, looks=looks, margin=0.02)
    later = confirm([*[1.1, 1.2] * 6, *[0.01] * 7], looks=looks, margin=0.02)
    assert (later.pairs, later.words) == (12, first.words)
    assert confirm([*[1.1, 1.2] * 6, *[0.01] * 8], looks=looks, margin=0.02).pairs == 20


def test_a_look_asks_for_more_than_an_interval_that_was_never_looked_at() -> None:
    ratios = [1.1, 1.2, 1.15, 1.05, 1.1, 1.18] * 2
    once = confirm(ratios, looks=Looks.plan(12, least=12), margin=0.02)
    first_of_many = confirm(ratios, looks=Looks.plan(60, least=12), margin=0.02)
    assert (first_of_many.low or 0) < (once.low or 0) < (once.high or 0) < (first_of_many.high or 0)


@pytest.mark.parametrize(
    ("effect", "low", "high"), [(0.0, 0.0, 0.05), (0.05, 0.3, 0.5), (0.2, 0.95, 1.0)]
)
def test_the_chance_to_know_is_the_share_of_futures_that_decide(
    effect: float, low: float, high: float
) -> None:
    """12 pairs that say exactly `effect` with 10 % scatter, of 20."""
    seen = np.exp(effect + 0.1 * np.array([-1.0, 1.0] * 6))
    looks = Looks.plan(20, least=12)
    told = confirm(list(seen), looks=looks, margin=0.001)
    deviation = float(np.log(seen).std(ddof=1))
    rng = np.random.default_rng(1)
    decided = 0
    for _ in range(2_000):
        truth = rng.normal(effect, deviation / math.sqrt(12))
        more = np.exp(rng.normal(truth, deviation, 8))
        decided += confirm([*seen, *more], looks=looks, margin=0.001).verdict != "undecided"
    assert told.chance == pytest.approx(decided / 2_000, abs=0.05)
    assert low <= told.chance <= high
