"""Made-up systems of mixed knobs with known answers: fronts of several objectives, and limits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from targets.knobs import Configuration, Knob, KnobType, Scale
from targets.metrics import Direction, Objective
from targets.space import KnobSpace
from tuner.recommenders.base import Limit, Problem
from tuner.space import SpaceEncoder

Answer = Mapping[str, float]
Measure = Callable[[Configuration], Answer]
Points = NDArray[np.float64]

STORE = KnobSpace(
    (
        Knob(name="share", type=KnobType.REAL, low=0.0, high=1.0, default=0.5),
        Knob(
            name="buffer", type=KnobType.INTEGER, low=1, high=1 << 20, default=64, scale=Scale.LOG
        ),
        Knob(
            name="policy",
            type=KnobType.CATEGORICAL,
            levels=("lru", "arc", "s3", "fifo"),
            default="lru",
        ),
        Knob(name="sync", type=KnobType.BOOLEAN, default=False),
        Knob(name="threads", type=KnobType.ORDINAL, levels=(1, 2, 4, 8, 16, 32), default=1),
        Knob(name="delay", type=KnobType.REAL, low=0.01, high=100.0, default=1.0, scale=Scale.LOG),
        Knob(name="depth", type=KnobType.INTEGER, low=0, high=63, default=8),
    )
)
POLICIES = {"s3": 0.0, "arc": 0.3, "lru": 0.6, "fifo": 1.0}

SERVER = KnobSpace(
    (
        Knob(name="cache", type=KnobType.INTEGER, low=0, high=20, default=4),
        Knob(name="workers", type=KnobType.ORDINAL, levels=(1, 2, 4, 8, 16), default=1),
        Knob(
            name="codec",
            type=KnobType.CATEGORICAL,
            levels=("none", "fast", "dense"),
            default="none",
        ),
        Knob(name="batch", type=KnobType.ORDINAL, levels=(1, 4, 16, 64), default=1),
        Knob(name="prefetch", type=KnobType.BOOLEAN, default=False),
    )
)
PROCESSOR = {"none": 0.0, "fast": 0.25, "dense": 1.1}
TRANSFER = {"none": 1.0, "fast": 0.6, "dense": 0.35}
TABLES = {"none": 80, "fast": 30, "dense": 0}


@dataclass(frozen=True)
class Place:
    """A store's configuration on unit axes, and how far off its own optimum the rest of it is."""

    share: float
    buffer: float
    delay: float
    threads: float
    depth: float
    policy: float
    unsynced: float

    @classmethod
    def of(cls, configuration: Configuration) -> Place:
        return cls(
            share=float(configuration["share"]),
            buffer=math.log2(configuration["buffer"]) / 20,
            delay=(math.log10(configuration["delay"]) + 2) / 4,
            threads=math.log2(configuration["threads"]) / 5,
            depth=configuration["depth"] / 63,
            policy=POLICIES[configuration["policy"]],
            unsynced=float(not configuration["sync"]),
        )

    @property
    def loss(self) -> float:
        """Of all but `share` and `depth`: 0 at best, about 1 at random."""
        return (
            2 * (self.buffer - 0.7) ** 2
            + 0.5 * self.policy
            + 0.3 * self.unsynced
            + (self.threads - 0.8) ** 2
            + (self.delay - 0.3) ** 2
        )


def convex(configuration: Configuration) -> Answer:
    """ZDT1 (Zitzler, Deb and Thiele, 2000) with mixed knobs in place of its thirty reals."""
    place = Place.of(configuration)
    g = 1 + 3 * (place.loss + 0.5 * (place.depth - 0.5) ** 2)
    return {"latency": 1 + 9 * place.share, "memory": 1 + 9 * g * (1 - math.sqrt(place.share / g))}


def concave(configuration: Configuration) -> Answer:
    """ZDT2 likewise: no weighted sum has its minimum inside this front."""
    place = Place.of(configuration)
    g = 1 + 3 * (place.loss + 0.5 * (place.depth - 0.5) ** 2)
    return {"latency": 1 + 9 * place.share, "memory": 1 + 9 * g * (1 - (place.share / g) ** 2)}


SITES = np.array([[0.2, 0.8, 0.3, 0.6], [0.7, 0.3, 0.6, 0.4]])


def _sites(points: Points, extra: float) -> Points:
    """(n, 2): throughput and p99, each best at a place of its own."""
    off = ((points[:, None, :] - SITES) ** 2).sum(axis=-1)
    return np.stack((1000 * np.exp(-2 * off[:, 0] - extra), 5 * np.exp(2 * off[:, 1] + extra)), 1)


def sites(configuration: Configuration) -> Answer:
    """Two optima in four numeric knobs; three more knobs have one best value for both."""
    place = Place.of(configuration)
    extra = place.policy + 0.5 * place.unsynced + abs(place.threads - 0.8)
    at = np.array([[place.share, place.buffer, place.delay, place.depth]])
    [[throughput, p99]] = _sites(at, extra).tolist()
    return {"throughput": throughput, "p99": p99}


def sphere(configuration: Configuration) -> Answer:
    """DTLZ2 (Deb et al., 2002): the front is an eighth of a sphere."""
    place = Place.of(configuration)
    one, other = place.share * math.pi / 2, place.depth * math.pi / 2
    radius = 1 + 2 * place.loss
    return {
        "latency": 1 + radius * math.cos(one) * math.cos(other),
        "memory": 1 + radius * math.cos(one) * math.sin(other),
        "errors": 1 + radius * math.sin(one),
    }


def server(configuration: Configuration) -> Answer:
    """Throughput, p99 and memory of a made-up server with caches, workers and batches."""
    cache, workers, batch = (configuration[name] for name in ("cache", "workers", "batch"))
    codec, prefetch = configuration["codec"], configuration["prefetch"]
    missed = 0.6 * math.exp(-cache / 6) * (0.8 if prefetch else 1.0)
    service = 0.2 + PROCESSOR[codec] + 4 * missed * TRANSFER[codec] + 0.3 / batch
    crowded = 1 + 0.04 * (workers - 1) ** 1.5
    return {
        "throughput": 1000 * workers / crowded / service / (1.2 if prefetch else 1.0),
        "p99": service * (1 + 0.15 * batch**0.8) * (1 + 0.06 * workers)
        + (0.5 if prefetch and cache < 3 else 0.0),
        "memory": 64
        + 48 * cache
        + 20 * workers * (1 + 0.05 * batch)
        + (30 if prefetch else 0)
        + TABLES[codec],
    }


def saturating(configuration: Configuration) -> Answer:
    """The more load, the more throughput, until p99 goes through the roof."""
    place = Place.of(configuration)
    loss = place.loss + 0.5 * (place.depth - 0.5) ** 2
    load = 0.2 + 0.79 * place.share
    p99 = 2 * (1 + 0.6 * loss) / (1 - min(load * (1 + 0.25 * loss), 0.995))
    return {"throughput": 1000 * load / (1 + 0.3 * loss), "p99": p99}


def frugal(configuration: Configuration) -> Answer:
    """What costs less answers later; most of what is cheap is too slow."""
    place = Place.of(configuration)
    cost = 10 + 60 * place.buffer**2 + 40 * place.threads + 10 * (place.share - 0.4) ** 2
    slow = 2.2 * (1 - place.buffer) + 1.5 * (1 - place.threads) + 1.2 * place.delay
    slow += 0.8 * place.policy + 0.6 * (1 - place.unsynced) + (place.share - 0.6) ** 2
    return {"cost": cost + 8 * place.policy, "p99": 4 * math.exp(slow)}


def problem(
    space: KnobSpace, *objectives: str, limits: Mapping[str, float] | None = None
) -> Problem:
    """Of deterministic objectives, less being better except of throughput; limits from above."""
    return Problem(
        space=space,
        objectives=tuple(
            Objective(
                name=name,
                direction=Direction.MAXIMISE if name == "throughput" else Direction.MINIMISE,
                deterministic=True,
            )
            for name in objectives
        ),
        limits=tuple(
            Limit(name=name, direction=Direction.MINIMISE, bound=bound)
            for name, bound in (limits or {}).items()
        ),
    )


def along(curve: Callable[[Points], Points]) -> Points:
    """(n, 2): a front, from 0 to 1 of its parameter."""
    return curve(np.linspace(0.0, 1.0, 1001))


def listed(asked: Problem, measure: Measure) -> Points:
    """(n, m): the objectives of every configuration of a small space."""
    names = [one.name for one in asked.objectives]
    answers = [measure(one) for one in SpaceEncoder(asked.space).listed]
    return np.array([[answer[name] for name in names] for answer in answers])


def eighth_of_sphere(steps: int = 20) -> Points:
    """(n, 3)."""
    one, other = np.meshgrid(*[np.linspace(0.0, math.pi / 2, steps)] * 2)
    cosines = np.stack((np.cos(other), np.sin(other)), -1) * np.cos(one)[..., None]
    return 1 + np.concatenate((cosines, np.sin(one)[..., None]), -1).reshape(-1, 3)


TWO, THREE = problem(SERVER, "throughput", "memory"), problem(SERVER, "throughput", "p99", "memory")
FRONTS: dict[str, tuple[Problem, Measure, Callable[[], Points]]] = {
    "convex": (
        problem(STORE, "latency", "memory"),
        convex,
        lambda: along(lambda x: np.stack((1 + 9 * x, 1 + 9 * (1 - np.sqrt(x))), 1)),
    ),
    "concave": (
        problem(STORE, "latency", "memory"),
        concave,
        lambda: along(lambda x: np.stack((1 + 9 * x, 1 + 9 * (1 - x**2)), 1)),
    ),
    "sites": (
        problem(STORE, "throughput", "p99"),
        sites,
        lambda: along(lambda x: _sites(SITES[0] + x[:, None] * (SITES[1] - SITES[0]), 0.0)),
    ),
    "server": (TWO, server, lambda: listed(TWO, server)),
    "server-of-three": (THREE, server, lambda: listed(THREE, server)),
    "sphere": (problem(STORE, "latency", "memory", "errors"), sphere, eighth_of_sphere),
}
LIMITS: dict[str, tuple[Problem, Measure]] = {
    "server": (problem(SERVER, "throughput", limits={"p99": 1.5, "memory": 700}), server),
    "saturating": (problem(STORE, "throughput", limits={"p99": 12}), saturating),
    "frugal": (problem(STORE, "cost", limits={"p99": 25}), frugal),
    "sites": (problem(STORE, "throughput", limits={"p99": 9}), sites),
}
BATCHES: dict[str, tuple[Problem, Measure]] = {
    "server": (problem(SERVER, "p99"), server),
    "frugal": (problem(STORE, "cost"), frugal),
    "sites": (problem(STORE, "p99"), sites),
}
