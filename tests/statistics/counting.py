"""Sessions round the real ring on a clock that only windows move, and what came of each."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import stdev
from typing import Any

from scipy import stats
from systems import System

from lontra.home import Home
from lontra.ring import local_ring
from targets.agent.policy import Policy
from targets.clock import ManualClock
from tuner.service import SessionRequest

TRIALS, PAIRS = 40, 60
TARGET = "counted"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One session: its verdict beside the truth. Ratios are to the baseline; `truth` is 1 where
    nothing but the baseline was named. `fixed_low` and `fixed_high` are what Student's t says of
    the same pairs, had their number been fixed beforehand."""

    system: System
    seed: int
    state: str
    verdict: str
    truth: float
    pairs: int
    ratio: float | None
    low: float | None
    high: float | None
    fixed_low: float | None
    fixed_high: float | None

    @property
    def claims_gain(self) -> bool:
        return self.verdict == "better"

    @property
    def covers(self) -> bool | None:
        """Whether the stated interval holds the truth; None without an interval."""
        if self.low is None or self.high is None:
            return None
        return self.low <= self.truth <= self.high

    @property
    def width(self) -> float | None:
        """The stated interval's width by that of the fixed one, as logarithms."""
        if None in (self.low, self.high, self.fixed_low, self.fixed_high):
            return None
        assert self.low and self.high and self.fixed_low and self.fixed_high
        return math.log(self.high / self.low) / math.log(self.fixed_high / self.fixed_low)


def count(system: System, seeds: Sequence[int]) -> list[Outcome]:
    """Run one session for each seed, one after another, against one agent and server."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder), f"sqlite:///{folder}/lontra.db")
        with local_ring(
            home,
            adapter="simulated",
            settings=system.settings,
            target=TARGET,
            policy=Policy(),
            clock=ManualClock(),
            learning=False,  # half the time, and no verdict depends on it
        ) as ring:
            outcomes = []
            for seed in seeds:
                request = SessionRequest(
                    target=TARGET,
                    trials=TRIALS,
                    confirm_pairs=PAIRS,
                    seed=seed,
                    use_history=False,
                    actor="statistics",
                )
                session = ring.run(ring.service.start(request).id, on_trial=lambda _: None)
                outcomes.append(_outcome(system, seed, ring.service.report(session.id)))
            return outcomes


def _outcome(system: System, seed: int, report: dict[str, Any]) -> Outcome:
    said = report["confirmation"] or {}
    low, high = said.get("ci95") or (None, None)
    named = report["incumbent"] or report["baseline"]
    fixed = _fixed(_log_ratios(report)) if low is not None else (None, None)
    return Outcome(
        system=system,
        seed=seed,
        state=report["state"],
        verdict=said.get("verdict", "none"),
        truth=system.true_ratio(named["configuration"], report["baseline"]["configuration"]),
        pairs=said.get("pairs", 0),
        ratio=said.get("ratio"),
        low=low,
        high=high,
        fixed_low=fixed[0],
        fixed_high=fixed[1],
    )


def _log_ratios(report: dict[str, Any]) -> list[float]:
    """The pairs' log ratios, worked out from the windows that the report lists."""
    sign = 1.0 if report["objective"]["direction"] == "max" else -1.0
    result = []
    for block in report["confirmation_blocks"]:
        if block["state"] != "completed":
            continue
        windows = block["windows"]
        for first, second in zip(windows[::2], windows[1::2], strict=True):
            of = {one["arm"]: one["value"] for one in (first, second)}
            result.append(sign * math.log(of["candidate"] / of["baseline"]))
    return result


def _fixed(logs: Sequence[float]) -> tuple[float, float]:
    mean = math.fsum(logs) / len(logs)
    reach = float(stats.t.isf(0.025, len(logs) - 1)) * stdev(logs) / math.sqrt(len(logs))
    return math.exp(mean - reach), math.exp(mean + reach)
