"""From a configuration to a cache of libcachesim's: which class, with which parameters.

Offered is what decides by itself, knows nothing of the future, and does what its name says in
libcachesim 0.3.5. Left out (`benchmarks/cache_policy_exhaustive.py` prints how they do):

- LRB and ThreeLCache: LRU under another name until they have trained, which depends on the trace's
  length; nothing tells which of the two one has. GLCache likewise: by default it trains once a day
  of the trace's time.
- ClockPro: fills no more than half of the cache, and does worse than FIFO.
- Clock2QPlus: ignores every admission filter, and is ahead of S3-FIFO, which it refines, by 1 % at
  most.
- Belady, BeladySize: know the future.
- FIFO, Random, LFU, SLRU, LRUK, LeCaR, Hyperbolic, LHD, LRUProb, FlashProb, GDSF and Size: on every
  generated trace behind policies that are offered; each more of them is one more trial to spend.

MQ's number of queues and S3-FIFO's threshold stay at libcachesim's defaults (8, as MQ's paper has
it, and 2): no other value was more than 0.3 % ahead of them on any generated trace.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from targets.knobs import Configuration, Value


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A policy knob's level: libcachesim's class, and which of its parameters which knob gives.

    `cache_sizes` are parameters given as a number of requests, for which the knob counts in
    capacities of the cache.
    """

    cls: str
    parameters: dict[str, str] = field(default_factory=dict)
    cache_sizes: dict[str, str] = field(default_factory=dict)


POLICIES: dict[str, Policy] = {
    "lru": Policy(cls="LRU"),
    "clock": Policy(cls="Clock"),
    "sieve": Policy(cls="Sieve"),
    "s3-fifo": Policy(
        cls="S3FIFO",
        parameters={"small_size_ratio": "newcomer_share", "ghost_size_ratio": "ghost_ratio"},
    ),
    "2q": Policy(
        cls="TwoQ",
        parameters={"a_in_size_ratio": "newcomer_share", "a_out_size_ratio": "ghost_ratio"},
    ),
    "arc": Policy(cls="ARC"),
    "lirs": Policy(cls="LIRS"),
    "mq": Policy(
        cls="MQ",
        parameters={"qout_size_ratio": "ghost_ratio"},
        cache_sizes={"lifetime": "lifetime"},
    ),
    "lfu-da": Policy(cls="LFUDA"),
    "w-tinylfu": Policy(cls="WTinyLFU", parameters={"window_size": "newcomer_share"}),
    "cacheus": Policy(cls="Cacheus"),
}

ADMISSIONS: dict[str, Policy | None] = {
    "all": None,
    "second-request": Policy(cls="BloomFilterAdmissioner"),
    "coin": Policy(cls="ProbAdmissioner", parameters={"prob": "admission_probability"}),
}

FIXED_LRU: dict[str, Value] = {"policy": "lru", "admission": "all"}
"""The baseline and a reference line."""

FIXED_S3_FIFO: dict[str, Value] = {
    "policy": "s3-fifo",
    "admission": "all",
    "newcomer_share": 0.1,
    "ghost_ratio": 0.9,
}
"""S3-FIFO as its authors fix it (Yang et al., SOSP 2023): the reference line to beat."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """An object to make: libcachesim's class and its keyword arguments."""

    cls: str
    arguments: dict[str, Value]


def cache_part(configuration: Configuration, *, capacity: int) -> Part:
    """The cache that a configuration asks for; `capacity` is its size in objects or bytes."""
    policy = POLICIES[str(configuration["policy"])]
    arguments = {name: configuration[knob] for name, knob in policy.parameters.items()}
    for name, knob in policy.cache_sizes.items():
        arguments[name] = max(1, round(float(configuration[knob]) * capacity))
    return Part(cls=policy.cls, arguments=arguments)


def admission_part(configuration: Configuration) -> Part | None:
    """The admission filter that a configuration asks for; None lets everything in."""
    filter_ = ADMISSIONS[str(configuration["admission"])]
    if filter_ is None:
        return None
    return Part(
        cls=filter_.cls,
        arguments={name: configuration[knob] for name, knob in filter_.parameters.items()},
    )
