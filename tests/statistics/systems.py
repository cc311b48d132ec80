"""The systems whose sessions are counted: simulated, so that every true ratio is known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from targets.knobs import Configuration
from targets.simulated.adapter import SimulatedAdapter
from tuner.sampling import sample
from tuner.space import SpaceEncoder

NOISE = 0.1
"""Standard deviation of the logarithm of one window."""

DRIFT = 0.1
"""Amplitude of the slow swing under all of it; a swing is 600 windows long."""

GAIN, GAIN_SHARE = 1.10, 0.05
"""A system with a gain has configurations that are so much better, on that share of its space."""

_DRAWN = 1_000
_HIGHEST = 16.0
_CLOSE = 1e-3


@dataclass(frozen=True)
class System:
    """One simulated system; with `headroom` 1 all its configurations are the same (A/A)."""

    landscape: int
    headroom: float

    @property
    def settings(self) -> dict[str, float]:
        """Of the adapter `simulated`."""
        return {
            "landscape": self.landscape,
            "headroom": self.headroom,
            "noise": NOISE,
            "drift": DRIFT,
            "window_seconds": 1.0,
            "drift_period_seconds": 600.0,
        }

    @cached_property
    def adapter(self) -> SimulatedAdapter:
        """Asked for the truth alone: nothing is applied or measured with it."""
        return SimulatedAdapter(self.settings, Path())

    def true_ratio(self, configuration: Configuration, baseline: Configuration) -> float:
        """How many times as good as the baseline it is."""
        worth = self.adapter.landscape.throughput
        return worth(configuration) / worth(baseline)

    @cached_property
    def share_with_gain(self) -> float:
        """The share of the space that is at least `GAIN` times as good as the defaults."""
        space = self.adapter.space
        drawn = sample(SpaceEncoder(space, {}), _DRAWN, np.random.default_rng(self.landscape))
        default = space.default()
        return float(np.mean([self.true_ratio(one, default) >= GAIN for one in drawn]))


def flat(number: int) -> System:
    """A system on which nothing makes a difference."""
    return System(number, 1.0)


def with_gain(number: int) -> System:
    """The least headroom with which the system has its gain on `GAIN_SHARE` of the space: the
    hardest that counts.

    Raises:
        ValueError: no headroom has.
    """
    low, high = GAIN, _HIGHEST
    if System(number, high).share_with_gain < GAIN_SHARE:
        raise ValueError(f"landscape {number}: no headroom up to {high} is enough")
    while high - low > _CLOSE:
        middle = (low + high) / 2
        enough = System(number, middle).share_with_gain >= GAIN_SHARE
        low, high = (low, middle) if enough else (middle, high)
    return System(number, high)
