"""Which known workload is this, or none of them?

Every known workload gets a score (`tuner.pipeline.weighing`), and scores become probabilities
(`tuner.pipeline.calibration`); what is left is the probability of none. OtterTune (Van Aken et al.,
SIGMOD 2017, section 6) takes the least Euclidean distance between binned metrics instead, and so
always names some workload.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from targets.metrics import Metric
from tuner.pipeline.calibration import calibrate
from tuner.pipeline.coordinates import Windows
from tuner.pipeline.fingerprint import Fingerprint, Yardstick
from tuner.pipeline.weighing import weigh

CERTAIN = 0.95
"""From this probability on a mapping is told as certain."""

LEAST_SHARED = 3
"""With fewer metrics in common two workloads cannot be told to be the same."""

_FARTHEST = 700.0  # of a load's logarithm, whose exp() is still a float


@dataclass(frozen=True, kw_only=True)
class Match:
    """One known workload and how likely it is the target's.

    `load`: the target's rate as a multiple of that workload's recording. `distance`: the root mean
    square of the differences that load does not explain, in standard deviations.
    """

    workload: str
    probability: float
    score: float
    load: float
    distance: float
    shared_metrics: int

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {
            "workload": self.workload,
            "probability": self.probability,
            "score": self.score,
            "load": self.load,
            "distance": self.distance,
            "shared_metrics": self.shared_metrics,
        }


@dataclass(frozen=True, kw_only=True)
class WorkloadMapping:
    """The answer: known workloads by falling probability, and the probability of none.

    The probabilities and `none_probability` add up to 1.
    """

    matches: tuple[Match, ...]
    none_probability: float
    windows: int

    @property
    def best(self) -> Match | None:
        """The likeliest workload; None when it is likelier that it is none of them."""
        if not self.matches or self.matches[0].probability < self.none_probability:
            return None
        return self.matches[0]

    @property
    def name(self) -> str | None:
        """The best match's workload; None for "none of them"."""
        return self.best.workload if self.best else None

    @property
    def confidence(self) -> float:
        """The probability of the answer, be it a workload or none."""
        return self.best.probability if self.best else self.none_probability

    @property
    def reason(self) -> str:
        """The answer in words."""
        if not self.matches:
            return "no workload is known yet"
        nearest = self.matches[0]
        if max(match.shared_metrics for match in self.matches) < LEAST_SHARED:
            return (
                f"none of the {len(self.matches)} known workloads has {LEAST_SHARED} changing "
                "metrics in common with it: nothing can be told"
            )
        load = f"{nearest.load:.2g}"
        seen = (
            f"{nearest.distance:.1f} standard deviations a metric over {nearest.shared_metrics} "
            f"shared metrics and {self.windows} window{'s' if self.windows != 1 else ''}, "
            f"at {'its load' if load == '1' else f'{load} times its load'}"
        )
        if self.best is None:
            return (
                f"none of the {len(self.matches)} known workloads "
                f"({100 * self.none_probability:.0f} %); the nearest, {nearest.workload}, "
                f"differs by {seen}"
            )
        sure = "" if nearest.probability >= CERTAIN else ", not certain"
        return f"{nearest.workload} ({100 * nearest.probability:.0f} %{sure}): differs by {seen}"

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form, the reason included."""
        return {
            "matches": [match.to_dict() for match in self.matches],
            "none_probability": self.none_probability,
            "windows": self.windows,
            "reason": self.reason,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> WorkloadMapping:
        """Read `to_dict`'s form."""
        return cls(
            matches=tuple(Match(**match) for match in data["matches"]),
            none_probability=data["none_probability"],
            windows=data["windows"],
        )


@dataclass(frozen=True, kw_only=True)
class KnownWorkloads:
    """Everything needed to map, learnt once: a versioned artefact.

    `offset` and `slope` turn a score into log odds.
    """

    yardstick: Yardstick
    fingerprints: Mapping[str, Fingerprint]
    offset: float
    slope: float

    @classmethod
    def learn(
        cls,
        known: Mapping[str, Windows],
        metrics: Iterable[Metric] | None = None,
        *,
        seed: int = 0,
    ) -> KnownWorkloads:
        """From the windows of known workloads, each at the baseline.

        Args:
            known: workload -> windows of metrics; workloads without a window are left out.
            metrics: their kinds, where known: which are counters, which are gauges.
            seed: for which windows are held out.
        """
        known = {name: windows for name, windows in known.items() if len(windows)}
        yardstick = Yardstick.learn(known, metrics)
        offset, slope = calibrate(yardstick, known, np.random.default_rng(seed))
        return cls(
            yardstick=yardstick,
            fingerprints={name: yardstick.fingerprint(windows) for name, windows in known.items()},
            offset=offset,
            slope=slope,
        )

    def fingerprint(self, observations: Windows) -> Fingerprint:
        """What a workload looks like, apart from how much of it there is.

        Raises:
            ValueError: there is no window.
        """
        return self.yardstick.fingerprint(observations)

    def map(self, observations: Windows) -> WorkloadMapping:
        """The target's workload, from one window or more.

        Raises:
            ValueError: there is no window.
        """
        target = self.fingerprint(observations)
        names = list(self.fingerprints)
        yardstick = self.yardstick.seen(observations)
        weighed = weigh(yardstick, target, list(self.fingerprints.values()))
        odds = self.offset + self.slope * weighed.scores
        odds[weighed.shared < LEAST_SHARED] = -np.inf
        logits = np.append(odds, 0.0)
        chances = np.exp(logits - np.logaddexp.reduce(logits))
        matches = [
            Match(
                workload=name,
                probability=float(chances[place]),
                score=float(weighed.scores[place]),
                load=float(np.exp(np.clip(weighed.shifts[place], -_FARTHEST, _FARTHEST))),
                distance=float(weighed.distances[place]),
                shared_metrics=int(weighed.shared[place]),
            )
            for place, name in enumerate(names)
        ]
        matches.sort(key=lambda match: -match.probability)
        return WorkloadMapping(
            matches=tuple(matches),
            none_probability=float(chances[-1]),
            windows=len(observations),
        )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {
            "yardstick": self.yardstick.to_dict(),
            "fingerprints": {name: one.to_dict() for name, one in self.fingerprints.items()},
            "offset": self.offset,
            "slope": self.slope,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> KnownWorkloads:
        """Read `to_dict`'s form."""
        return cls(
            yardstick=Yardstick.from_dict(data["yardstick"]),
            fingerprints={
                name: Fingerprint.from_dict(one) for name, one in data["fingerprints"].items()
            },
            offset=float(data["offset"]),
            slope=float(data["slope"]),
        )


def map_workload(
    observations: Windows,
    known: Mapping[str, Windows],
    metrics: Iterable[Metric] | None = None,
    *,
    seed: int = 0,
) -> WorkloadMapping:
    """Learn from the known workloads and map one target: `KnownWorkloads` in one call.

    >>> shapes = {"shop": (90.0, 10.0, 4.0, 30.0, 1.0), "bank": (5.0, 60.0, 9.0, 2.0, 7.0)}
    >>> names = ("reads", "writes", "locks", "scans", "commits")
    >>> def windows(workload, *rates):
    ...     return [dict(zip(names, (rate * one for one in shapes[workload]))) for rate in rates]
    >>> known = {name: windows(name, 1.0, 1.02, 0.97) for name in shapes}
    >>> mapping = map_workload(windows("shop", 4.0), known)
    >>> mapping.name, f"{mapping.best.load:.1f}"
    ('shop', '4.0')
    >>> shapes["radio"] = (20.0, 1.0, 300.0, 1.0, 40.0)
    >>> print(map_workload(windows("radio", 1.0), known).name)
    None

    Args:
        observations: the target's windows, one mapping of metrics each; one is enough.
        known, metrics, seed: as `KnownWorkloads.learn` takes them.

    Raises:
        ValueError: there is no window.
    """
    return KnownWorkloads.learn(known, metrics, seed=seed).map(observations)
