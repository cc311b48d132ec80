"""Does the pipeline find what is true? On simulated families, of which the truth is known.

    python benchmarks/pipeline_truth.py [--families 8] [--seeds 0 1] [--part mapping|knobs]

Each line is a kind of family, drawn anew for every count of it and every seed: so many of knobs,
twice as many of workloads, which cost less, and the first line of a table has three times as many.
Seeds are pooled; of the first line each is told by itself too. In brackets 95 % intervals:
Wilson's, of as many independent answers as the scatter between families leaves, at least one a
family. CPU seconds are those of one thread of this machine.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from threadpoolctl import threadpool_limits

from targets.metrics import MetricKind
from tuner.pipeline import Effects, KnownWorkloads, Verdict, explanation_of, ranking_of
from tuner.pipeline.simulated_knobs import KnobFamily, KnobTraits
from tuner.pipeline.simulated_workloads import (
    STRANGER,
    Loads,
    Strange,
    Window,
    WorkloadFamily,
    WorkloadTraits,
)

Generator = np.random.Generator

Counts = dict[str, tuple[int, int]]
"""What one family showed: measure -> how often it was so, out of how many."""

WORKLOADS: dict[str, Callable[[WorkloadTraits], WorkloadTraits]] = {
    "any": lambda traits: traits,
    "two factors": lambda traits: replace(traits, factors=2),
    "20 metrics": lambda traits: replace(traits, metrics=20),
    "amounts, many below 0": lambda traits: replace(traits, linear=1.0),
    "20 % noise": lambda traits: replace(traits, noise=0.2),
    "60 % of metrics nonlinear in load": lambda traits: replace(traits, nonlinear=0.6),
    "known at varying loads": lambda traits: replace(traits, loads=Loads.VARYING),
    "known from one window": lambda traits: replace(traits, windows=1),
    "stranger: a mixture": lambda traits: replace(traits, strange=Strange.MIXTURE),
    "stranger: other loadings": lambda traits: replace(traits, strange=Strange.LOADINGS),
}

MAPPING = {
    "right, 5 windows": "right",
    "none for the stranger": "none",
    "right, kinds not told": "bare right",
    "none, kinds not told": "bare none",
    "right, 1 window": "right of 1",
    "none, 1 window": "none of 1",
    "same answer, counters scaled to x0.25 to x10": "still",
}

KNOBS: dict[str, Callable[[KnobTraits], KnobTraits]] = {
    "any": lambda traits: traits,
    "15 to 30 trials, 10 knobs": lambda traits: replace(
        traits, trials=15 + traits.trials % 16, knobs=10, decisive=3
    ),
    "40 knobs, 40 trials": lambda traits: replace(traits, knobs=40, decisive=4, trials=40),
    "cliff and interaction": lambda traits: replace(traits, cliff=True, interaction=True),
    "objective below 0": lambda traits: replace(traits, signed=True),
    "trials of a tuner": lambda traits: replace(traits, steered=True),
    "no knob matters": lambda traits: replace(traits, strength=(0.0, 1e-9)),
}

RANKING = {
    "decisive above inert": "above",
    "true share in interval, decisive": "covered",
    "the same, inert": "inert covered",
    "decisive said to matter": "found",
    "inert said to matter": "blamed",
    "true gain in interval": "contained",
    "causes named": "named",
    "named causes that are inert or of the wrong sign": "wrong",
}

DECISIVE_GAIN = 0.1
"""A contribution of 10 % or more is one that an explanation should name."""

TOLERANCE = 0.005
"""The true shares are themselves averages over drawn configurations."""

NOTHING = 1e-6
"""Of an objective's logarithm: what does no more is no effect."""

FIRST = 3
"""How many times as many families the first line has."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--families", type=int, default=8)
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    arguments.add_argument("--part", choices=["mapping", "knobs"])
    given = arguments.parse_args()
    with threadpool_limits(1):
        if given.part != "knobs":
            table(MAPPING, WORKLOADS, mapped, 2 * given.families, given.seeds)
        if given.part != "mapping":
            table(RANKING, KNOBS, explained, given.families, given.seeds)


def table(
    measures: Mapping[str, str],
    kinds: Mapping[str, Callable[..., object]],
    judge: Callable[..., Counts],
    families: int,
    seeds: Sequence[int],
) -> None:
    """A Markdown table: a line for each kind of family, a column for each measure."""
    print(f"| families | n | {' | '.join(measures)} | CPU s each |")
    print("|---" * (len(measures) + 3) + "|", flush=True)
    for place, (kind, change) in enumerate(kinds.items()):
        count = families * FIRST if place == 0 else families
        pooled: list[Counts] = []
        started = time.process_time()
        for seed in seeds:
            rng = np.random.default_rng([seed, place])
            seen = [judge(change, rng) for _ in range(count)]
            pooled += seen
            if place == 0 and len(seeds) > 1:
                line(f"{kind}, seed {seed}", seen, measures, "")
        seconds = (time.process_time() - started) / len(pooled)
        line(kind, pooled, measures, f"{seconds:.1f}")


def line(kind: str, seen: Sequence[Counts], measures: Mapping[str, str], seconds: str) -> None:
    """One line of the table: a kind of family, and how often each measure was so."""
    cells = [share([one.get(name, (0, 0)) for one in seen]) for name in measures.values()]
    print(f"| {kind} | {len(seen)} | {' | '.join(cells)} | {seconds} |", flush=True)


def mapped(change: Callable[[WorkloadTraits], WorkloadTraits], rng: Generator) -> Counts:
    """One family of workloads: one of the known ones and the stranger are mapped."""
    family = WorkloadFamily.drawn(change(WorkloadTraits.drawn(rng)), rng)
    known = family.known(rng)
    learnt, bare = KnownWorkloads.learn(known, family.metrics), KnownWorkloads.learn(known)
    counts: Counts = {}
    for truth in (str(rng.choice(list(known))), STRANGER):
        wanted = None if truth == STRANGER else truth
        word = "none" if truth == STRANGER else "right"
        load, rate = np.exp(rng.uniform(math.log(0.25), math.log(10.0), size=2)).tolist()
        windows = family.observe(truth, [load] * 5, rng)
        answer = learnt.map(windows).name
        faster = learnt.map([scaled(family, window, rate / load) for window in windows]).name
        counts[word] = (int(answer == wanted), 1)
        counts[f"bare {word}"] = (int(bare.map(windows).name == wanted), 1)
        counts[f"{word} of 1"] = (int(learnt.map(windows[:1]).name == wanted), 1)
        before = counts.get("still", (0, 0))
        counts["still"] = (before[0] + (answer == faster), before[1] + 1)
    return counts


def scaled(family: WorkloadFamily, window: Window, rate: float) -> Window:
    """The window at another common rate of all its counters."""
    grow = {one.name for one in family.metrics if one.kind is MetricKind.COUNTER}
    return {name: value * (rate if name in grow else 1.0) for name, value in window.items()}


def explained(change: Callable[[KnobTraits], KnobTraits], rng: Generator) -> Counts:
    """One family of knobs is ranked, and the best of 200 configurations explained."""
    family = KnobFamily.drawn(change(KnobTraits.drawn(rng)), rng)
    trials, truth = family.trials(rng), family.shares(rng)
    rows = family.draw(200, rng)
    chosen = family.encoder.decode(rows[int((family.truth(rows) * family.sign).argmax())])
    baseline = family.problem.space.default()
    gains = family.gains(baseline, chosen)
    effects = Effects.fit(family.problem, trials)
    ranking = ranking_of(effects)
    explanation = explanation_of(effects, ranking, chosen, baseline)
    decisive = [ranking[knob] for knob in family.shapes]
    inert = [ranking[knob] for knob in family.inert]
    covered = {
        one.knob: one.share.low - TOLERANCE <= truth[one.knob] <= one.share.high + TOLERANCE
        for one in ranking.knobs
    }
    parts = explanation.contributions
    held = [
        part.gain.low - TOLERANCE <= gains.get(part.knob, 0.0) <= part.gain.high + TOLERANCE
        for part in parts
    ]
    large = [part for part in parts if abs(gains.get(part.knob, 0.0)) >= DECISIVE_GAIN]
    causes = [part for part in parts if part.is_cause]
    wrong = [part for part in causes if part.gain.value * gains.get(part.knob, 0.0) <= 0.0]
    # Where no knob does anything, places mean nothing.
    telling = decisive if family.traits.strength[1] > NOTHING else []
    above = sum(one.place < other.place for one in telling for other in inert)
    return {
        "above": (above, len(telling) * len(inert)),
        "covered": (sum(covered[one.knob] for one in decisive), len(decisive)),
        "inert covered": (sum(covered[one.knob] for one in inert), len(inert)),
        "found": (sum(one.verdict is Verdict.MATTERS for one in decisive), len(decisive)),
        "blamed": (sum(one.verdict is Verdict.MATTERS for one in inert), len(inert)),
        "contained": (sum(held), len(parts)),
        "named": (sum(part.is_cause for part in large), len(large)),
        "wrong": (len(wrong), len(causes)),
    }


def share(counts: Sequence[tuple[int, int]]) -> str:
    """A percentage of all families' counts, with its 95 % interval."""
    hits, totals = np.array(counts, float).T
    total = totals.sum()
    if not total:
        return "-"
    p, families = hits.sum() / total, len(counts)
    variance = ((hits - p * totals) ** 2).sum() / total**2
    number = families if variance == 0.0 else np.clip(p * (1 - p) / variance, families, total)
    z = 1.96
    middle = (p + z * z / (2 * number)) / (1 + z * z / number)
    half = z * math.sqrt(p * (1 - p) / number + (z / (2 * number)) ** 2) / (1 + z * z / number)
    low, high = 100 * max(middle - half, 0.0), 100 * (middle + half)
    # Rounded to whole per cents an interval near 100 would leave its own value out.
    digits = 0 if round(low) <= 100 * p <= round(high) else 1
    return f"{100 * p:.1f} ({low:.{digits}f} to {high:.{digits}f})"


if __name__ == "__main__":
    main()
