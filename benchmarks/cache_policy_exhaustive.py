"""Every configuration of the cache-policy target on every generated trace: what is there to find?

    python benchmarks/cache_policy_exhaustive.py [--requests N] [--json FILE] [TRACE ...]

For each trace it prints, as miss ratios over the searched and over the unseen part: fixed LRU and
S3-FIFO, the configuration that is best on the searched part (what a perfect search would find) and
the one that is best on the unseen part (what nobody can know); then how many configurations come
within 2 % of that best, what the best of 30 drawn at random comes to, and the policies that the
catalogue leaves out, with libcachesim's defaults. TRACE is a generator or a trace file.
Deterministic; about 2 minutes a trace on two cores.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import statistics
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from targets.adapter import Purpose
from targets.cache_policy.adapter import CachePolicyAdapter
from targets.cache_policy.generators import GENERATORS
from targets.cache_policy.policies import (
    FIXED_LRU,
    FIXED_S3_FIFO,
    Part,
    admission_part,
    cache_part,
)
from targets.knobs import Value
from targets.space import KnobSpace

LEFT_OUT = (
    "FIFO", "Random", "LFU", "SLRU", "LRUK", "LeCaR", "GDSF", "Hyperbolic", "LHD", "LRUProb",
    "FlashProb", "Clock2QPlus", "ClockPro", "GLCache", "ThreeLCache", "LRB",
)  # fmt: skip
TRIALS = 30
DRAWS = 2_000
MARGIN = 1.02

Ratios = tuple[float, float]
"""Miss ratio over the searched and over the unseen part."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("traces", nargs="*", metavar="TRACE", default=list(GENERATORS))
    arguments.add_argument("--requests", type=int, default=0, help="0: the target's default")
    arguments.add_argument("--json", type=Path, help="write every configuration's ratios here")
    given = arguments.parse_args()
    table = {}
    with tempfile.TemporaryDirectory() as folder:
        for trace in given.traces:
            adapter = CachePolicyAdapter({"trace": trace, "requests": given.requests}, Path(folder))
            table[trace] = report(trace, adapter)
    if given.json:
        given.json.write_text(json.dumps(table), encoding="utf-8")


def report(trace: str, adapter: CachePolicyAdapter) -> list[dict[str, Any]]:
    """Run and print one trace; every configuration with its ratios."""
    space = adapter.describe().space
    capacity = adapter.simulator.capacity
    configurations = list(distinct(space))
    jobs = [(cache_part(c, capacity=capacity), admission_part(c)) for c in configurations]
    jobs += [(Part(cls=name, arguments={}), None) for name in LEFT_OUT]
    with ThreadPoolExecutor(max_workers=2) as pool:
        ratios = list(pool.map(lambda job: run(adapter, *job), jobs))
    names = [shown(space, configuration) for configuration in configurations]
    offered = dict(zip(names, ratios, strict=False))
    found = min(offered, key=lambda name: offered[name][0])
    best = min(offered, key=lambda name: offered[name][1])
    bound = offered[best][1] * MARGIN
    near = sum(unseen <= bound for _, unseen in offered.values())
    print(f"\n{trace}: {len(offered)} configurations, cache of {capacity} pages")
    print("  searched   unseen")
    for title, fixed in (("LRU", FIXED_LRU), ("S3-FIFO", FIXED_S3_FIFO)):
        one = run(adapter, cache_part(fixed, capacity=capacity), admission_part(fixed))
        print(line(f"fixed {title}", one))
    print(line(f"best searched: {found}", offered[found]))
    print(line(f"best unseen: {best}", offered[best]))
    excess = offered[found][1] / offered[best][1] - 1
    print(f"  a perfect search is {excess:.2%} above the best on the unseen part;")
    print(f"  {near} of {len(offered)} configurations are within 2 % of it")
    print(f"  {random_search(list(offered.values()), bound)}")
    left_out = sorted(zip(LEFT_OUT, ratios[len(configurations) :], strict=True), key=unseen_of)
    listed = ", ".join(f"{name} {values[1]:.4f}" for name, values in left_out)
    print(f"  left out, unseen: {listed}", flush=True)
    return [
        {"configuration": configuration, "searched": searched, "unseen": unseen}
        for configuration, (searched, unseen) in zip(configurations, ratios, strict=False)
    ]


def run(adapter: CachePolicyAdapter, cache: Part, admission: Part | None) -> Ratios:
    """Both parts' miss ratios."""
    ratios = []
    for purpose in (Purpose.SEARCH, Purpose.CONFIRM):
        _, counted = adapter.simulator.parts.replayed(purpose)
        ratios.append(adapter.simulator.replay(cache, admission, purpose).misses / counted)
    return ratios[0], ratios[1]


def distinct(space: KnobSpace) -> Iterator[dict[str, Value]]:
    """Every configuration once: knobs that are not active stand at their default."""
    for values in itertools.product(*(knob.levels for knob in space)):
        configuration = {knob.name: value for knob, value in zip(space, values, strict=True)}
        if all(
            space.is_active(knob.name, configuration) or configuration[knob.name] == knob.default
            for knob in space
        ):
            yield configuration


def random_search(ratios: list[Ratios], bound: float) -> str:
    """What 30 configurations drawn at random come to, judged like a session: best searched wins."""
    rng = random.Random(1)
    winners = [min(rng.sample(ratios, min(TRIALS, len(ratios))))[1] for _ in range(DRAWS)]
    share = statistics.fmean(winner <= bound for winner in winners)
    return (
        f"{TRIALS} at random: unseen {statistics.median(winners):.4f} in the median, "
        f"within 2 % of the best {share:.0%} of the time"
    )


def shown(space: KnobSpace, configuration: dict[str, Value]) -> str:
    """What acts in a configuration: `mq, ghost_ratio 4, lifetime 64, admission all`."""
    policy, *rest = [
        (name, value) for name, value in configuration.items()
        if space.is_active(name, configuration)
    ]  # fmt: skip
    return ", ".join([str(policy[1]), *(f"{name} {value}" for name, value in rest)])


def unseen_of(named: tuple[str, Ratios]) -> float:
    return named[1][1]


def line(title: str, ratios: Ratios) -> str:
    return f"  {ratios[0]:8.4f} {ratios[1]:8.4f}  {title}"


if __name__ == "__main__":
    main()
