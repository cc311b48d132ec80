"""Workloads whose truth is known: metrics driven by hidden factors, at any load.

Every workload is a point in a space of a few hidden factors, and every metric answers to them
through loadings of its own: by factors of its size, or by amounts, which may go below 0. Counters
grow with the load, gauges do not, and a share of the metrics answers to load in a way of its own:
slower, faster, or saturating. Others never change, only scatter, or are another metric in another
unit. One more workload, the stranger, is never among the known ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from targets.metrics import Metric, MetricKind
from tuner.pipeline.arrays import Array, Mask, Places

Window = dict[str, float]
"""One window's metrics by name."""

STRANGER = "stranger"

WILD = 0.7
"""Scatter of the logarithm of a metric that tells nothing."""


class Loads(StrEnum):
    """At which loads the known workloads were recorded."""

    ONE = "one for all"
    OWN = "one for each"
    VARYING = "another in each window"


class Strange(StrEnum):
    """How the stranger differs from the known workloads."""

    POINT = "a point of its own"
    MIXTURE = "half of one known workload and half of another"
    LOADINGS = "its metrics answer to the factors in another way"


@dataclass(frozen=True, kw_only=True)
class WorkloadTraits:
    """What a family of workloads is like.

    `noise` is the relative scatter of one window in each metric by itself, `jitter` the scatter of
    the workload's own factors from window to window, which moves all metrics together. `linear`,
    `gauges`, `nonlinear`, `wild` and `copies` are shares of the metrics: that answer to the factors
    by amounts, that do not grow with the load, that do so in a way of their own, that only scatter,
    that are another one's copy. Each known workload lacks a share `missing` of the metrics.
    """

    factors: int = 4
    metrics: int = 60
    workloads: int = 8
    windows: int = 6
    noise: float = 0.07
    jitter: float = 0.0
    linear: float = 0.0
    gauges: float = 0.3
    nonlinear: float = 0.0
    wild: float = 0.0
    copies: float = 0.0
    constants: int = 3
    missing: float = 0.0
    loads: Loads = Loads.ONE
    strange: Strange = Strange.POINT

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> WorkloadTraits:
        """Any family of the kind: 20 to 300 metrics, 3 to 30 workloads, 1 to 10 windows each."""
        return cls(
            factors=int(rng.integers(2, 9)),
            metrics=_between(20, 300, rng),
            workloads=_between(3, 30, rng),
            windows=int(rng.integers(1, 11)),
            noise=float(rng.uniform(0.0, 0.2)),
            jitter=float(rng.choice([0.0, 0.0, 0.05, 0.1])),
            linear=float(rng.choice([0.0, 0.5, 1.0])),
            gauges=float(rng.uniform(0.1, 0.5)),
            nonlinear=float(rng.choice([0.0, 0.0, 0.15, 0.3])),
            wild=float(rng.uniform(0.0, 0.2)),
            copies=float(rng.uniform(0.0, 0.2)),
            constants=int(rng.integers(0, 5)),
            missing=float(rng.choice([0.0, 0.0, 0.2])),
            loads=list(Loads)[rng.integers(3)],
            strange=list(Strange)[rng.integers(3)],
        )


@dataclass(frozen=True, kw_only=True)
class WorkloadFamily:
    """Several known workloads and a stranger; arrays are (n_metrics,) where nothing else is said.

    Attributes:
        loadings: (n_metrics, n_factors).
        points: workload -> (n_factors,) where it stands.
        base: a metric's logarithm where no factor moves it, or its amount if it is linear.
        exponents: how each metric grows with load: as its power.
        ceilings: what a metric saturates at; infinite for most.
        shows: the place of the metric that each one shows: its own for most.
        units: what amounts are multiplied by.
    """

    traits: WorkloadTraits
    metrics: tuple[Metric, ...]
    loadings: Array
    points: dict[str, Array]
    base: Array
    linear: Mask
    wild: Mask
    constant: Mask
    exponents: Array
    ceilings: Array
    shows: Places
    units: Array

    @classmethod
    def drawn(cls, traits: WorkloadTraits, rng: np.random.Generator) -> WorkloadFamily:
        """A family with these traits."""
        count = traits.metrics
        loadings = rng.normal(size=(count, traits.factors)) / np.sqrt(traits.factors)
        # Metrics answer to some factors only.
        loadings *= rng.random(loadings.shape) < max(0.5, 1.5 / traits.factors)
        constant = np.arange(count) >= count - traits.constants
        gauge = (rng.random(count) < traits.gauges) | constant
        linear = rng.random(count) < traits.linear
        exponents = np.where(gauge, 0.0, 1.0)
        odd = (rng.random(count) < traits.nonlinear) & ~constant
        exponents[odd] = rng.uniform(0.3, 1.8, size=int(odd.sum()))
        names = [f"w{place}" for place in range(traits.workloads)]
        points = {name: rng.normal(size=traits.factors) for name in [*names, STRANGER]}
        if traits.strange is Strange.MIXTURE and len(names) > 1:
            one, other = rng.permutation(names)[:2]
            points[STRANGER] = 0.5 * (points[one] + points[other])
        base = np.where(linear, rng.uniform(0.0, 3.0, count), rng.normal(0.0, 1.0, count))
        saturating = odd & (rng.random(count) < 0.3) & ~linear
        top = np.exp(base + np.max([loadings @ point for point in points.values()], axis=0))
        copied = rng.random(count) < traits.copies
        shows = np.where(copied, rng.integers(count, size=count), np.arange(count))
        return cls(
            traits=traits,
            metrics=tuple(
                Metric(name=f"m{place}", kind=MetricKind.GAUGE if flat else MetricKind.COUNTER)
                for place, flat in enumerate(gauge[shows].tolist())
            ),
            loadings=loadings,
            points=points,
            base=base,
            linear=linear,
            wild=rng.random(count) < traits.wild,
            constant=constant,
            exponents=exponents,
            ceilings=np.where(saturating, 1.2 * top, np.inf),
            shows=shows,
            units=10.0 ** rng.uniform(-3.0, 6.0, count),
        )

    def observe(
        self, workload: str, loads: Sequence[float], rng: np.random.Generator
    ) -> list[Window]:
        """One window at each load."""
        traits = self.traits
        count = len(self.metrics)
        loadings = self.loadings
        if workload == STRANGER and traits.strange is Strange.LOADINGS:
            loadings = np.roll(loadings, 1, axis=0)
        result = []
        for load in loads:
            point = self.points[workload] + traits.jitter * rng.normal(size=traits.factors)
            driven = self.base + loadings @ point
            value = np.where(self.linear, driven, np.exp(np.where(self.linear, 0.0, driven)))
            value = np.where(self.wild, np.exp(WILD * rng.normal(size=count)), value)
            value = _saturated(value * load**self.exponents, self.ceilings)
            value = value * (1.0 + traits.noise * rng.normal(size=count))
            value = np.where(self.constant, self.base, value)[self.shows] * self.units
            result.append({m.name: float(v) for m, v in zip(self.metrics, value, strict=True)})
        return result

    def known(self, rng: np.random.Generator) -> dict[str, list[Window]]:
        """Every known workload's windows, at the loads that the traits say."""
        result = {}
        for name in self.points:
            if name != STRANGER:
                lacking = rng.random(len(self.metrics)) < self.traits.missing
                kept = [
                    one.name for one, gone in zip(self.metrics, lacking, strict=True) if not gone
                ]
                windows = self.observe(name, self._loads(rng).tolist(), rng)
                result[name] = [{key: window[key] for key in kept} for window in windows]
        return result

    def _loads(self, rng: np.random.Generator) -> Array:
        windows = self.traits.windows
        different = {Loads.ONE: 0, Loads.OWN: 1, Loads.VARYING: windows}[self.traits.loads]
        drawn = np.exp(rng.uniform(math.log(0.25), math.log(4.0), size=different))
        return np.ones(windows) * (drawn if different else 1.0)


def _between(low: int, high: int, rng: np.random.Generator) -> int:
    """Any whole number between, small ones as often as large ones."""
    return round(math.exp(rng.uniform(math.log(low), math.log(high))))


def _saturated(value: Array, ceiling: Array) -> Array:
    limited = np.isfinite(ceiling)
    result = value.copy()
    result[limited] = ceiling[limited] * -np.expm1(-value[limited] / ceiling[limited])
    return result
