"""A handful of the sessions that `make test-statistics` counts, and the counting itself."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # as the campaign does

from campaign import Criterion, criteria
from counting import Outcome, count
from systems import GAIN_SHARE, flat, with_gain

TRUE = Outcome(
    system=flat(1),
    seed=1,
    state="finished",
    verdict="undecided",
    truth=1.0,
    pairs=20,
    ratio=1.0,
    low=0.95,
    high=1.05,
    fixed_low=0.96,
    fixed_high=1.04,
)


def test_sessions_with_and_without_a_gain_end_as_they_should() -> None:
    outcomes = count(flat(3), range(2)) + count(with_gain(4), range(3))
    assert [one.state for one in outcomes] == ["finished"] * 5
    assert all(one.truth == 1.0 for one in outcomes[:2])
    assert not any(one.claims_gain for one in outcomes[:2])
    assert any(one.claims_gain and one.truth > 1.03 for one in outcomes[2:])
    assert all(one.covers and one.width and one.width <= 1.5 for one in outcomes)


def test_a_system_with_a_gain_has_it_and_hardly_more() -> None:
    system = with_gain(4)
    assert GAIN_SHARE <= system.share_with_gain < 2 * GAIN_SHARE
    best = system.true_ratio(system.adapter.optimum(), system.adapter.space.default())
    assert best == pytest.approx(system.headroom)


def found(outcomes: list[Outcome], what: str) -> Criterion:
    return next(one for one in criteria(outcomes) if what in one.what)


def test_false_gains_are_counted() -> None:
    false = replace(TRUE, verdict="better", ratio=1.06, low=1.02, high=1.10)
    assert found([TRUE] * 97 + [false] * 3, "report one").met
    assert not found([TRUE] * 96 + [false] * 4, "report one").met
    assert not found([TRUE] * 93 + [false] * 7, "hold the true ratio").met
    assert not found([TRUE] * 9 + [false], "above the truth").met


def test_gains_that_are_missed_are_counted() -> None:
    gain = replace(
        TRUE,
        system=replace(TRUE.system, headroom=1.1),
        truth=1.1,
        verdict="better",
        ratio=1.1,
        low=1.05,
        high=1.15,
    )
    missed = replace(gain, verdict="undecided", low=0.99)
    assert found([gain] * 17 + [missed] * 3, "find and confirm").met
    assert not found([gain] * 16 + [missed] * 4, "find and confirm").met
    lucky = replace(gain, truth=0.9)
    assert not found([gain] * 16 + [lucky] * 4, "find and confirm").met


def test_wide_intervals_and_sessions_that_fail_are_counted() -> None:
    wide = replace(TRUE, low=0.93, high=1.07)
    assert not found([TRUE, wide], "width").met
    assert not found([TRUE, replace(TRUE, state="failed")], "came to their end").met
