"""The noise study: what a row of windows says of scatter, drift, and the pairs it takes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from targets.metrics import Direction, Objective
from tuner.noise_study import MOST_PAIRS, NoiseStudy

THROUGHPUT = Objective(name="throughput", direction=Direction.MAXIMISE, unit="1/s")


def study(values: list[float], *, seconds: float = 5.0) -> NoiseStudy:
    found = NoiseStudy.of(THROUGHPUT, values, window_seconds=seconds)
    assert found is not None
    return found


def noisy(scatter: float, *, windows: int = 200, slope: float = 0.0) -> list[float]:
    rng = np.random.default_rng(3)
    return [100 * math.exp(slope * place + rng.normal(0.0, scatter)) for place in range(windows)]


def test_scatter_and_that_of_pairs_are_those_of_the_windows() -> None:
    found = study(noisy(0.08))
    assert found.scatter == pytest.approx(0.08, rel=0.15)
    assert found.pair_scatter == pytest.approx(0.08 * math.sqrt(2), rel=0.15)
    assert found.moved is None


def test_drift_widens_the_scatter_and_not_that_of_pairs() -> None:
    still, drifting = study(noisy(0.02)), study(noisy(0.02, slope=0.002))
    assert drifting.scatter > 4 * still.scatter
    assert drifting.pair_scatter == pytest.approx(still.pair_scatter, rel=0.05)
    assert drifting.moved == pytest.approx(math.expm1(0.002 * 199), rel=0.1)
    assert "the level moved by +50%" in drifting.words()


def test_few_windows_lean_on_what_is_usual() -> None:
    lucky = study([100.0, 100.01, 99.99])
    assert 0.05 < lucky.scatter < 0.1


def test_the_pairs_it_says_tell_the_difference_four_times_in_five() -> None:
    """By simulation, with the interval of that many pairs looked at once."""
    from scipy import stats

    from tuner.looks import ERROR

    found = study(noisy(0.1))
    pairs = found.pairs_for(0.10)
    rng = np.random.default_rng(4)
    drawn = rng.normal(math.log(1.1), found.pair_scatter, size=(4_000, pairs))
    scores = drawn.mean(axis=1) / (drawn.std(axis=1, ddof=1) / math.sqrt(pairs))
    assert (scores > stats.t.isf(ERROR / 2, pairs - 1)).mean() == pytest.approx(0.8, abs=0.06)


def test_pairs_come_in_whole_blocks_from_the_least_to_a_bound() -> None:
    assert study([5.0] * 3).planned_pairs() == 12
    assert study(noisy(0.5)).planned_pairs() == MOST_PAIRS
    assert study(noisy(0.05)).pairs_for(0.05) % 2 == 0


def test_the_words_say_what_it_means() -> None:
    told = study(noisy(0.08, windows=6)).words()
    assert told.startswith("6 windows of 5 s scatter by ")
    assert "A difference of 5% takes about" in told and "min of measuring" in told
    assert "agree to the last digit" in study([7.0, 7.0]).words()


@pytest.mark.parametrize("values", [[], [3.0], [3.0, 0.0], [3.0, -1.0]])
def test_what_says_nothing_is_no_study(values: list[float]) -> None:
    assert NoiseStudy.of(THROUGHPUT, values, window_seconds=1.0) is None
