"""Is the incumbent really better? Paired windows, a log-ratio interval, and a verdict in words.

Baseline (A) and incumbent (B) are measured in blocks A B B A, B A A B, ...: each half block is
one pair of neighbours in time, so slow drift hits both alike and cancels in the pair's ratio
(on a busy two-core machine adjacent pairs were seen to have 0.34-0.45 of the variance of pairs
far apart). The interval is Student's t on the log ratios, two-sided, 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from scipy import stats

from knowledge_base.records import Window
from targets.metrics import Objective
from targets.protocol import BASELINE_ARM, CANDIDATE_ARM

CONFIDENCE = 0.95
MINIMUM_PAIRS = 12
ABBA = (BASELINE_ARM, CANDIDATE_ARM, CANDIDATE_ARM, BASELINE_ARM)
BAAB = (CANDIDATE_ARM, BASELINE_ARM, BASELINE_ARM, CANDIDATE_ARM)
PAIRS_PER_BLOCK = 2


def block_sequence(block: int) -> tuple[str, ...]:
    """The arms of one block; even blocks start with the baseline, odd ones with the candidate."""
    return ABBA if block % 2 == 0 else BAAB


def pair_ratios(objective: Objective, windows: Iterable[Window]) -> list[float | None]:
    """The ratio (above 1: candidate better) of each pair of neighbouring windows.

    Windows are grouped by trial (one block each) and taken in measuring order; a window that is
    late, or left without its neighbour by a failure, does not count. None stands for a pair of
    which no ratio can be taken: its values differ, and one is zero or below.
    """
    blocks: dict[int, list[Window]] = {}
    for window in windows:
        if not window.late:
            blocks.setdefault(window.trial_id, []).append(window)
    ratios: list[float | None] = []
    for block in blocks.values():
        block.sort(key=lambda window: window.position)
        for first, second in zip(block[::2], block[1::2], strict=False):
            values = {window.arm: window.objectives[objective.name] for window in (first, second)}
            if len(values) == PAIRS_PER_BLOCK:
                ratios.append(_ratio(objective, values[CANDIDATE_ARM], values[BASELINE_ARM]))
    return ratios


def _ratio(objective: Objective, candidate: float, baseline: float) -> float | None:
    if candidate == baseline:
        return 1.0
    return objective.ratio(candidate, baseline) if min(candidate, baseline) > 0 else None


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """What the pairs say. `ratio` is their geometric mean; `low`..`high` its 95 % interval.

    Ratio above 1 always means better. All are None when there are no pairs, or one of which no
    ratio can be taken; the interval is None for a single pair.
    """

    ratio: float | None
    low: float | None
    high: float | None
    pairs: int
    verdict: str
    words: str

    def to_dict(self) -> dict[str, Any]:
        """The report's form."""
        return {
            "ratio": self.ratio,
            "ci95": None if self.low is None else [self.low, self.high],
            "pairs": self.pairs,
            "verdict": self.verdict,
            "words": self.words,
        }


def confirm(
    ratios: Sequence[float | None], *, margin: float, pair_seconds: float = 0.0
) -> Confirmation:
    """The verdict on a set of paired ratios.

    Args:
        ratios: as `pair_ratios` gives them; above 1 means the candidate is better.
        margin: the relative difference the user cares about, e.g. 0.02.
        pair_seconds: what one more pair costs, for saying what it would take to know.

    Returns:
        *no gain found* (interval inside the margin around 1), *better* (interval above 1),
        *worse* (below) or *undecided*, as with fewer than `MINIMUM_PAIRS` pairs whatever they say.
    """
    pairs = len(ratios)
    logs = [math.log(ratio) for ratio in ratios if ratio is not None]
    if not pairs or len(logs) < pairs:
        return _no_ratio(pairs, pairs - len(logs))
    mean = math.fsum(logs) / pairs
    if pairs == 1:
        return Confirmation(
            ratio=math.exp(mean),
            low=None,
            high=None,
            pairs=1,
            verdict="undecided",
            words=f"Undecided: one pair says {_times(math.exp(mean))}, but one pair has no spread. "
            "Keep the baseline until more is known.",
        )
    deviation = math.sqrt(math.fsum((log - mean) ** 2 for log in logs) / (pairs - 1))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, pairs - 1)) * deviation / math.sqrt(pairs)
    low, high = math.exp(mean - half), math.exp(mean + half)
    needed = pairs_to_know(mean, deviation, margin=margin)
    cost = f"about {needed} pairs"
    if pair_seconds > 0:
        cost += f", {_duration(needed * pair_seconds)} of measuring,"
    measured = (
        f"{_times(math.exp(mean))} (95 % interval {low:.3f} to {high:.3f}, {pairs} paired windows)"
    )
    verdict, words = _verdict(low, high, measured, pairs=pairs, margin=margin, cost=cost)
    return Confirmation(
        ratio=math.exp(mean), low=low, high=high, pairs=pairs, verdict=verdict, words=words
    )


def nothing_to_confirm(why: str) -> Confirmation:
    """The verdict of a session that has no candidate to compare with its baseline."""
    return Confirmation(
        ratio=None,
        low=None,
        high=None,
        pairs=0,
        verdict="no gain found",
        words=f"No gain found: {why}. Keep the baseline.",
    )


def _no_ratio(pairs: int, without: int) -> Confirmation:
    why = (
        f"{without} of {pairs} pairs hold a value of zero or below, of which no ratio can be "
        "taken. Tune for an objective that is always positive"
        if pairs
        else "no pair of windows was measured. Keep the baseline"
    )
    return Confirmation(
        ratio=None,
        low=None,
        high=None,
        pairs=pairs,
        verdict="undecided",
        words=f"Undecided: {why}.",
    )


def _verdict(
    low: float, high: float, measured: str, *, pairs: int, margin: float, cost: str
) -> tuple[str, str]:
    if pairs < MINIMUM_PAIRS:
        return (
            "undecided",
            f"Undecided: {measured} rests on fewer than {MINIMUM_PAIRS} pairs, the least for a "
            "verdict. Keep the baseline until then.",
        )
    if 1 / (1 + margin) <= low and high <= 1 + margin:
        return (
            "no gain found",
            f"No gain found: {measured} lies within the {margin:.1%} you care about. "
            "Keep the baseline.",
        )
    if low > 1:
        return "better", f"Better: {measured}."
    if high < 1:
        return "worse", f"Worse than the baseline: {measured}. Keep the baseline."
    return (
        "undecided",
        f"Undecided: {measured} is too wide to tell from no effect. To know, {cost} are needed. "
        "Keep the baseline until then.",
    )


def pairs_to_know(mean: float, deviation: float, *, margin: float) -> int:
    """How many pairs would settle it with 80 % power at the 5 % level, the observed spread given.

    What is to be told is the nearer of the two conclusions: that the effect is not 1, or that it
    lies within the margin. Normal approximation, n = ((z_0.975 + z_0.8) sd / effect)^2.
    """
    effect = max(abs(mean), math.log1p(margin) - abs(mean))
    quantiles = float(stats.norm.ppf(0.975) + stats.norm.ppf(0.8))
    return max(MINIMUM_PAIRS, math.ceil((quantiles * deviation / effect) ** 2))


def _times(ratio: float) -> str:
    return f"{ratio:.3f} times the baseline"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
