"""Is the incumbent really better? Paired windows, a log-ratio interval, and a verdict in words.

Baseline (A) and incumbent (B) are measured in blocks A B B A, B A A B, ...: each half block is
one pair of neighbours in time, so slow drift hits both alike and cancels in the pair's ratio
(on a busy two-core machine adjacent pairs were seen to have 0.34-0.45 of the variance of pairs
far apart). The interval is Student's t on the log ratios, two-sided, 95 %, and stays true though
the pairs are looked at while they come in (`tuner.looks`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from knowledge_base.records import Window
from targets.metrics import Objective
from targets.protocol import BASELINE_ARM, CANDIDATE_ARM
from tuner.keeping import Check
from tuner.looks import ERROR, Looks

MINIMUM_PAIRS = 12
"""No verdict rests on fewer."""

ABBA = (BASELINE_ARM, CANDIDATE_ARM, CANDIDATE_ARM, BASELINE_ARM)
BAAB = (CANDIDATE_ARM, BASELINE_ARM, BASELINE_ARM, CANDIDATE_ARM)
PAIRS_PER_BLOCK = 2
BETTER = "better"
UNDECIDED = "undecided"


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
    ratio can be taken; the interval is None for a single pair. `finding` is the verdict in a
    sentence, `advice` what follows for who keeps to the baseline, `checks` whether the session's
    limits were kept in the same windows, `chance` how probable it is that the pairs still planned
    decide what these do not.
    """

    ratio: float | None
    low: float | None
    high: float | None
    pairs: int
    verdict: str
    finding: str
    advice: str = ""
    checks: tuple[Check, ...] = ()
    chance: float = 0.0

    @property
    def decided(self) -> bool:
        """Whether more pairs would not change the verdict's kind."""
        return self.verdict != UNDECIDED

    @property
    def mends(self) -> bool:
        """Whether every limit is kept, and one of them is surely broken by the baseline."""
        kept = not any(check.incumbent.broken for check in self.checks)
        return kept and self.pairs >= MINIMUM_PAIRS and any(check.mends for check in self.checks)

    @property
    def recommended(self) -> bool:
        """Whether the candidate is to be run: it is better within the limits, or keeps one that the
        baseline breaks."""
        kept = not any(check.incumbent.broken for check in self.checks)
        return kept and (self.verdict == BETTER or self.mends)

    @property
    def words(self) -> str:
        """All of it in plain language."""
        advice = self.advice
        if self.mends:
            advice = "Run it for the sake of the limits." if self.verdict != BETTER else ""
        elif self.verdict == BETTER and not self.recommended:
            advice = "Keep the baseline."
        return " ".join(filter(None, [self.finding, *(one.words for one in self.checks), advice]))

    def to_dict(self) -> dict[str, Any]:
        """The report's form."""
        return {
            "ratio": self.ratio,
            "ci95": None if self.low is None else [self.low, self.high],
            "pairs": self.pairs,
            "verdict": self.verdict,
            "words": self.words,
            "recommended": self.recommended,
            "limits": [check.to_dict() for check in self.checks],
        }


def confirm(
    ratios: Sequence[float | None],
    *,
    looks: Looks,
    margin: float,
    pair_seconds: float = 0.0,
    checks: tuple[Check, ...] = (),
) -> Confirmation:
    """The verdict on a set of paired ratios: at the last look that they reach.

    Args:
        ratios: as `pair_ratios` gives them, in order; above 1 means the candidate is better. Those
            after the last look wait for the next.
        looks: the plan of them. Before the first there is no verdict.
        margin: the relative difference the user cares about, e.g. 0.02.
        pair_seconds: what one more pair costs, for saying what it would take to know.
        checks: the limits in those windows.

    Returns:
        *no gain found* (interval inside the margin around 1), *better* (interval above 1),
        *worse* (below) or *undecided*, as before the first look whatever the pairs say.
    """
    looked = looks.reached(len(ratios))
    pairs = looked or len(ratios)
    logs = [math.log(ratio) for ratio in ratios[:pairs] if ratio is not None]
    if not pairs or len(logs) < pairs:
        return replace(_no_ratio(pairs, pairs - len(logs)), checks=checks)
    mean = math.fsum(logs) / pairs
    if pairs == 1:
        return Confirmation(
            ratio=math.exp(mean),
            low=None,
            high=None,
            pairs=1,
            verdict=UNDECIDED,
            finding=f"Undecided: one pair says {_times(math.exp(mean))}, but one pair has no "
            "spread.",
            advice="Keep the baseline until more is known.",
            checks=checks,
        )
    deviation = math.sqrt(math.fsum((log - mean) ** 2 for log in logs) / (pairs - 1))
    quantile = looks.quantile(looked) if looked else float(stats.t.isf(ERROR / 2, pairs - 1))
    half = quantile * deviation / math.sqrt(pairs)
    low, high = math.exp(mean - half), math.exp(mean + half)
    needed = pairs_to_know(mean, deviation, margin=margin)
    cost = f"about {needed} pairs"
    if pair_seconds > 0:
        cost += f", {duration(needed * pair_seconds)} of measuring,"
    measured = (
        f"{_times(math.exp(mean))} (95 % interval {low:.3f} to {high:.3f}, {pairs} paired windows)"
    )
    verdict, finding, advice = _verdict(
        low, high, measured, first=None if looked else looks.pairs[0], margin=margin, cost=cost
    )
    return Confirmation(
        ratio=math.exp(mean),
        low=low,
        high=high,
        pairs=pairs,
        verdict=verdict,
        finding=finding,
        advice=advice,
        checks=checks,
        chance=_chance_to_know(mean, deviation, pairs, looks=looks, margin=margin),
    )


def _chance_to_know(
    mean: float, deviation: float, pairs: int, *, looks: Looks, margin: float
) -> float:
    """The probability, by what the pairs say so far, that the last look decides: that its interval
    then lies above 1, below 1 or within the margin (predictive power: Spiegelhalter, Freedman and
    Blackburn, Controlled Clinical Trials 7, 1986)."""
    last = looks.pairs[-1]
    if pairs >= last or deviation == 0.0:
        return 1.0 if deviation == 0.0 else 0.0
    half = looks.quantile(last) * deviation / math.sqrt(last)
    # The last mean, with a flat prior for the effect, is normal around the present one.
    spread = deviation * math.sqrt((last - pairs) / (last * pairs))
    inner = math.log1p(margin) - half
    chance = float(stats.norm.sf(half, mean, spread) + stats.norm.cdf(-half, mean, spread))
    if inner > 0:
        inside = min(inner, half)
        chance += float(np.diff(stats.norm.cdf([-inside, inside], mean, spread))[0])
    return chance


def nothing_to_confirm(why: str, *, advice: str = "Keep the baseline.") -> Confirmation:
    """The verdict of a session that has no candidate to compare with its baseline."""
    return Confirmation(
        ratio=None,
        low=None,
        high=None,
        pairs=0,
        verdict="no gain found",
        finding=f"No gain found: {why}.",
        advice=advice,
    )


def _no_ratio(pairs: int, without: int) -> Confirmation:
    why, advice = "no pair of windows was measured", "Keep the baseline."
    if pairs:
        why = f"{without} of {pairs} pairs hold a value of zero or below, of which no ratio can be "
        why += "taken"
        advice = "Tune for an objective that is always positive."
    return Confirmation(
        ratio=None,
        low=None,
        high=None,
        pairs=pairs,
        verdict=UNDECIDED,
        finding=f"Undecided: {why}.",
        advice=advice,
    )


def _verdict(
    low: float, high: float, measured: str, *, first: int | None, margin: float, cost: str
) -> tuple[str, str, str]:
    """The verdict, the finding and the advice; `first`: the pairs of the first look, while there
    are fewer."""
    until_then = "Keep the baseline until then."
    if first is not None:
        return (
            UNDECIDED,
            f"Undecided: {measured} rests on fewer than {first} pairs, the least for a verdict.",
            until_then,
        )
    if 1 / (1 + margin) <= low and high <= 1 + margin:
        return (
            "no gain found",
            f"No gain found: {measured} lies within the {margin:.1%} you care about.",
            "Keep the baseline.",
        )
    if low > 1:
        return BETTER, f"Better: {measured}.", ""
    if high < 1:
        return "worse", f"Worse than the baseline: {measured}.", "Keep the baseline."
    return (
        UNDECIDED,
        f"Undecided: {measured} is too wide to tell from no effect. To know, {cost} are needed.",
        until_then,
    )


def pairs_to_know(mean: float, deviation: float, *, margin: float) -> int:
    """How many pairs would settle it with 80 % power, the observed spread given.

    What is to be told is the nearer of the two conclusions: that the effect is not 1, or that it
    lies within the margin. Normal approximation, n = ((z + z_0.8) sd / effect)^2, with the z
    that a single look would ask for.
    """
    effect = max(abs(mean), math.log1p(margin) - abs(mean))
    quantiles = float(stats.norm.isf(ERROR / 2) + stats.norm.ppf(0.8))
    return max(MINIMUM_PAIRS, math.ceil((quantiles * deviation / effect) ** 2))


def _times(ratio: float) -> str:
    return f"{ratio:.3f} times the baseline"


def duration(seconds: float) -> str:
    """A measuring time in plain language."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
