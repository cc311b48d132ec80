"""The simulated system's internal metrics: many numbers made of a few hidden factors.

As in real systems, several say the same thing twice, some never change, and some are noise. That
is what metric pruning and workload mapping are tested on.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from targets.metrics import Metric, MetricKind

CLIENTS = 8

_COUNTER, _GAUGE, _HISTOGRAM = MetricKind.COUNTER, MetricKind.GAUGE, MetricKind.HISTOGRAM

METRICS = tuple(
    Metric(name=name, kind=kind, unit=unit, help=text)
    for name, kind, unit, text in (
        ("operations_total", _COUNTER, "operations", "Operations done."),
        ("reads_total", _COUNTER, "operations", "Operations that read."),
        ("writes_total", _COUNTER, "operations", "Operations that write."),
        ("lock_waits_total", _COUNTER, "waits", "Times a writer waited; grows with contention."),
        ("busy_milliseconds_total", _COUNTER, "ms", "CPU time; grows with operations."),
        ("hit_ratio", _GAUGE, "", "Share of reads served from memory."),
        ("miss_ratio", _GAUGE, "", "The rest: says the same as hit_ratio."),
        ("hit_percent", _GAUGE, "%", "hit_ratio in percent: the same again."),
        ("queue_depth", _GAUGE, "requests", "Requests waiting; grows with contention."),
        ("dirty_bytes", _GAUGE, "bytes", "Pages waiting to be written."),
        ("page_bytes", _GAUGE, "bytes", "Size of a page; constant."),
        ("clients", _GAUGE, "clients", "Clients connected; constant."),
        ("temperature_celsius", _GAUGE, "degrees C", "Noise: says nothing about anything."),
        ("latency_ms", _HISTOGRAM, "ms", "Time of an operation."),
    )
)


@dataclass(frozen=True, kw_only=True)
class Factors:
    """What is behind the metrics. `memory` and `contention` are knob positions in 0..1."""

    throughput: float
    read_share: float
    memory: float
    contention: float

    def growth(self, seconds: float) -> dict[str, float]:
        """How far the counters go in this time."""
        operations = self.throughput * seconds
        writes = operations * (1 - self.read_share)
        return {
            "operations_total": operations,
            "reads_total": operations * self.read_share,
            "writes_total": writes,
            "lock_waits_total": writes * self.contention / 10,
            "busy_milliseconds_total": operations * 0.4,
        }

    def levels(self, rng: random.Random, *, noise: float) -> dict[str, float]:
        """The gauges and the histogram's quantiles."""
        hit = min(1.0, (0.5 + 0.4 * self.memory + 0.1 * self.read_share) * _near(1, rng, noise))
        latency = 1_000 * CLIENTS / self.throughput
        return {
            "hit_ratio": hit,
            "miss_ratio": 1 - hit,
            "hit_percent": 100 * hit,
            "queue_depth": _near(CLIENTS * self.contention, rng, noise),
            "dirty_bytes": _near(1e7 * self.memory * (1 - self.read_share), rng, noise),
            "page_bytes": 4096.0,
            "clients": float(CLIENTS),
            "temperature_celsius": rng.gauss(50, 5),
            "latency_ms_p50": _near(0.8 * latency, rng, noise),
            "latency_ms_p99": _near(latency * (2 + 8 * self.contention), rng, noise),
        }


def grown(counters: Mapping[str, float], growth: Mapping[str, float]) -> dict[str, float]:
    """The counters after they grew; from 0 where they were never written."""
    return {name: counters.get(name, 0.0) + growth[name] for name in growth}


def _near(value: float, rng: random.Random, noise: float) -> float:
    return value * (1 + rng.gauss(0, noise))
