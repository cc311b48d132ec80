"""How a confirmation is measured: planned by a noise study, ended early, blocks done again."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from knowledge_base.records import SessionState
from tests.tuner.scripted import Scripted, request

Measure = Callable[[dict[str, Any], int], float]


def noisy(scatter: float, *, gain: float = 0.0) -> Measure:
    """`fast` is better than all else by exp(`gain`); windows scatter."""
    rng = np.random.default_rng(11)

    def measure(configuration: dict[str, Any], _: int) -> float:
        return 100 * math.exp(rng.normal(gain * (configuration["mode"] == "fast"), scatter))

    return measure


def told(ring: Scripted, measure: Measure, **changes: Any) -> dict[str, Any]:
    """The report of a whole session."""
    session = ring.run(ring.service.start(request(**changes)), measure)
    assert session.state is SessionState.FINISHED
    return ring.service.report(session.id)


def test_the_noise_study_plans_the_confirmation_and_is_told(ring: Scripted) -> None:
    ring.target()
    session = ring.service.start(request())
    while ring.store.sessions.get(session.id).phase == "baseline":
        ring.worker.step()
        ring.answer(noisy(0.03))
    study = ring.service.report(session.id)["measurement"]
    assert study["windows"] == 6 and 0.01 < study["scatter"] < 0.1
    assert study["looks"][0] == 12 and 12 <= study["looks"][-1] <= 60
    reason = ring.store.sessions.get(session.id).reason
    assert study["words"] in reason
    assert f"Up to {study['looks'][-1]} pairs are planned" in reason


def test_before_the_baseline_there_is_no_study(ring: Scripted) -> None:
    ring.target()
    session = ring.service.start(request())
    assert ring.service.report(session.id)["measurement"] is None


def test_a_clear_gain_is_known_early(ring: Scripted) -> None:
    ring.target()
    report = told(ring, noisy(0.1, gain=0.7), confirm_pairs=60)
    assert (report["confirmation"]["verdict"], report["confirmation"]["pairs"]) == ("better", 12)
    assert "known after 12 of 60 planned pairs" in report["confirmation"]["words"]
    assert len(report["confirmation_blocks"]) == 6


def swinging(gain: float) -> Measure:
    """`fast` is better by exp(`gain`), and windows swing in fours so that pairs scatter by exactly
    10 % around that."""
    seen: Counter[int] = Counter()

    def measure(configuration: dict[str, Any], number: int) -> float:
        place = seen[number] % 4
        seen[number] += 1
        swing = (0.0, 0.1, -0.1, 0.0)[place]
        return 100 * math.exp(swing + gain * (configuration["mode"] == "fast"))

    return measure


def test_pairs_that_would_not_decide_are_spared(ring: Scripted) -> None:
    ring.target()
    said = told(ring, swinging(0.001), confirm_pairs=60)["confirmation"]
    assert said["verdict"] == "undecided" and said["pairs"] < 60
    assert "would decide it with a probability of" in said["words"]


def test_pairs_that_may_decide_are_measured_to_the_last(ring: Scripted) -> None:
    ring.target()
    said = told(ring, swinging(0.054), confirm_pairs=16)["confirmation"]
    assert (said["verdict"], said["pairs"]) == ("undecided", 16)
    assert "spared" not in said["words"] and "known after" not in said["words"]


class Neighbour:
    """Another process, which takes three cores while the trials in `busy` are measured."""

    def __init__(self, ring: Scripted, measure: Measure, *, busy: Callable[[int], bool]) -> None:
        self._measure, self._busy, self._now = measure, busy, False
        ring.host = lambda: {"foreign_cpu": 3.0 if self._now else 0.1}

    def __call__(self, configuration: dict[str, Any], number: int) -> float:
        """`fast` suffers from it more than all else."""
        self._now = self._busy(number)
        slowed = self._now and configuration["mode"] == "fast"
        return self._measure(configuration, number) / (10.0 if slowed else 1.0)


def test_a_disturbed_block_is_measured_again_and_does_not_count(ring: Scripted) -> None:
    ring.target()
    # 13 trials search; the third block of the confirmation is disturbed.
    measure = Neighbour(ring, noisy(0.02, gain=0.7), busy=lambda number: number == 15)
    report = told(ring, measure, confirm_pairs=16)
    [again] = [block["again"] for block in report["confirmation_blocks"] if block["again"]]
    assert again == "other processes took 75% of the processor, usually 2%"
    assert len(report["confirmation_blocks"]) == 7
    assert report["confirmation"]["ratio"] == pytest.approx(math.exp(0.7), rel=0.05)
    assert f"One block was measured again ({again})." in report["confirmation"]["words"]


def test_a_load_that_comes_to_stay_is_measured_through(ring: Scripted) -> None:
    ring.target()
    measure = Neighbour(ring, noisy(0.02), busy=lambda number: number >= 15)
    report = told(ring, measure, confirm_pairs=16)
    again = [block for block in report["confirmation_blocks"] if block["again"]]
    assert len(again) == 2, "a quarter of 8 blocks"
    assert report["confirmation"]["pairs"] >= 12
