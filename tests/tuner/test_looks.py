"""Looks: the plan of them, and that all together they err as seldom as is said."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tuner.looks import ERROR, Looks

RUNS = 20_000


@pytest.mark.parametrize("most", [12, 14, 16, 30, 60, 200, 1_000])
def test_looks_go_from_the_least_to_the_most_in_whole_steps(most: int) -> None:
    looks = Looks.plan(most, least=12, step=2)
    assert (looks.pairs[0], looks.pairs[-1]) == (12, most)
    assert list(looks.pairs) == sorted(set(looks.pairs))
    assert all(pairs % 2 == 0 for pairs in looks.pairs)


def test_a_single_look_is_an_ordinary_interval() -> None:
    looks = Looks.plan(12, least=12)
    assert looks.quantile(12) == pytest.approx(stats.t.isf(ERROR / 2, 11))


def test_only_whole_looks_count() -> None:
    looks = Looks.plan(60, least=12, step=2)
    assert looks.pairs == (12, 20, 34, 60)
    assert [looks.reached(pairs) for pairs in (0, 11, 12, 19, 33, 60, 70)] == [
        0, 0, 12, 12, 20, 60, 60,
    ]  # fmt: skip
    assert [looks.after(pairs) for pairs in (0, 12, 13, 60)] == [12, 20, 20, None]
    with pytest.raises(ValueError, match="not in tuple"):
        looks.quantile(13)


@pytest.mark.parametrize("most", [16, 60])
def test_looking_at_each_errs_as_seldom_as_is_said(most: int) -> None:
    """Of pairs without effect, by simulation; at ordinary 95 % intervals it is far more."""
    looks = Looks.plan(most, least=12, step=2)
    pairs = np.random.default_rng(1).normal(size=(RUNS, most))
    planned, ordinary = np.zeros(RUNS, bool), np.zeros(RUNS, bool)
    for look in looks.pairs:
        seen = pairs[:, :look]
        scores = np.abs(seen.mean(axis=1)) / (seen.std(axis=1, ddof=1) / math.sqrt(look))
        planned |= scores > looks.quantile(look)
        ordinary |= scores > stats.t.isf(0.025, look - 1)
    three_errors = 3 * math.sqrt(ERROR / RUNS)
    assert abs(planned.mean() - ERROR) < 0.002 + three_errors
    assert ordinary.mean() > (0.10 if most == 60 else 0.06)


def test_no_interval_is_over_one_and_a_half_times_as_wide_as_a_fixed_one() -> None:
    for most in range(12, 61):
        looks = Looks.plan(most, least=12)
        for look in looks.pairs:
            assert looks.quantile(look) < 1.5 * stats.t.isf(0.025, look - 1)


def test_least_beyond_most_is_refused() -> None:
    with pytest.raises(ValueError, match="least=12 pairs of most=10"):
        Looks.plan(10, least=12)
