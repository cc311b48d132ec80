"""The recommender contract: from what is known to the next configuration, with a reason.

A recommender does no I/O, reads no clock and keeps nothing in memory between calls: what it
wants to remember it returns as `state` (JSON-able), which is stored with the trial. Its random
generator derives from (session seed, number of suggestions so far), so that a session can be
replayed from its record. `tuner.testing` ships the suite every recommender passes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

import numpy as np

from targets.errors import FailureKind
from targets.knobs import Configuration
from targets.metrics import Direction, Objective
from targets.settings import Setting, parse_settings
from targets.space import KnobSpace


class SuggestionKind(StrEnum):
    """Why a configuration is tried. `lengthen`: seen in a shorter window, and promising there."""

    BASELINE = "baseline"
    EXPLORE = "explore"
    EXPLOIT = "exploit"
    RE_MEASURE = "re-measure"
    WARM_START = "warm-start"
    LENGTHEN = "lengthen"


def check_fidelity(owner: str, fidelity: float) -> None:
    """Raises ValueError unless it is a share of a full window's length: above 0, at most 1."""
    if not 0.0 < fidelity <= 1.0:
        raise ValueError(
            f"{owner} has fidelity={fidelity}, which is a share of a full window's length: give a "
            "number above 0, and 1 for a full window"
        )


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A constraint on a metric or a second objective: `name` must stay on the good side of
    `bound` (at most for MINIMISE, at least for MAXIMISE)."""

    name: str
    direction: Direction
    bound: float


@dataclass(frozen=True, kw_only=True)
class PastTask:
    """What is known of another session: its space and what it saw. Names a mapping by name.

    `context` is that session's workload, as `Problem.context` is this one's.
    """

    name: str
    space: KnobSpace
    observations: tuple[Observation, ...]
    context: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is to be solved; the same during a session.

    `pins` are knobs fixed by the owner: every suggestion carries exactly these values.
    `budget` is the number of search trials in all, the baseline not counted; 0 when unknown. A
    trial in a shorter window takes its share of one. `least_fidelity` is the shortest window that
    can be measured, as a share of a full one; 1 where windows cannot be shortened.
    """

    space: KnobSpace
    objectives: tuple[Objective, ...]
    pins: Mapping[str, Any] = field(default_factory=dict)
    limits: tuple[Limit, ...] = ()
    budget: int = 0
    context: Mapping[str, float] = field(default_factory=dict)
    history: tuple[PastTask, ...] = ()
    least_fidelity: float = 1.0

    @property
    def objective(self) -> Objective:
        """The first objective: what single-objective recommenders improve."""
        return self.objectives[0]


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One configuration with its windows' values, or a typed failure.

    `values`: per objective name, one value a window. A configuration tried twice gives two
    observations with equal configurations. `number` is the trial's. `fidelity` is the windows'
    share of a full window's length: what was seen in less is never taken for what a full one shows
    (`History`), but a failure is a failure. Raises ValueError where it is no such share.
    """

    configuration: Configuration
    values: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    failure: FailureKind | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    number: int = -1
    fidelity: float = 1.0

    def __post_init__(self) -> None:
        check_fidelity(f"observation of trial {self.number}", self.fidelity)

    def refuse_not_finite(self) -> None:
        """Raises ValueError when a value is not finite: such a trial is told as a failure."""
        for name, values in self.values.items():
            for value in values:
                if not math.isfinite(value):
                    raise ValueError(
                        f"observation of trial {self.number}: {name}={value} is not finite; "
                        "tell a trial without a value as a failure"
                    )


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What a suggestion is expected to give, in the objective's unit, with a 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """One configuration to try, and why; `reason` is shown to users as it is.

    `fidelity` is the share of a full window's length to measure; else ValueError is raised.
    """

    configuration: Configuration
    kind: SuggestionKind
    lane: str
    reason: str
    expected: Expectation | None = None
    fidelity: float = 1.0

    def __post_init__(self) -> None:
        check_fidelity(f"suggestion of lane {self.lane}", self.fidelity)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {
            "configuration": dict(self.configuration),
            "kind": str(self.kind),
            "lane": self.lane,
            "reason": self.reason,
            "expected": None
            if self.expected is None
            else {
                "value": self.expected.value,
                "low": self.expected.low,
                "high": self.expected.high,
            },
            "fidelity": self.fidelity,
        }


class Recommender(ABC):
    """One algorithm. Subclasses set `name`, `summary`, `source` and `settings_declared`.

    Raises:
        InvalidSetting: an option is unknown or wrong.
        MissingExtra: an optional dependency is missing.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    source: ClassVar[str]
    """The paper or manual the method comes from."""
    settings_declared: ClassVar[tuple[Setting, ...]] = ()
    heeds_every_objective: ClassVar[bool] = False
    """Whether no objective of several is neglected: what the first one's values can move, the
    others' can too. A session with several takes no other recommender."""
    heeds_limits: ClassVar[bool] = False
    """Whether limits move it away from what breaks them. A session with limits takes the others
    too, for what it names keeps them whoever suggests, and says that trials may break them."""

    def __init__(self, options: Mapping[str, object] | None = None) -> None:
        self.options = parse_settings(
            self.settings_declared, options or {}, owner=f"recommender {self.name}"
        )

    @abstractmethod
    def suggest(
        self,
        problem: Problem,
        observations: Sequence[Observation],
        pending: Sequence[Configuration],
        state: Mapping[str, Any],
        rng: np.random.Generator,
        *,
        count: int = 1,
    ) -> tuple[tuple[Suggestion, ...], dict[str, Any]]:
        """The next `count` configurations and the state to keep.

        Every suggestion is in the space, keeps all constraints and pins, and repeats neither an
        observed nor a pending configuration unless its kind is RE_MEASURE; or LENGTHEN, for what
        was measured in shorter windows only and is not pending. No fidelity is below the problem's
        least. There are fewer than `count` only where a finite space has no more. `state` is what
        the last call returned, `{}` at first; a lost state must not end a session.

        Raises:
            SpaceExhausted: every configuration of a finite space was tried.
            InfeasibleSpace: no configuration keeps the constraints and the pins.
            ValueError: an observed value is not finite.
        """

    def describe(self) -> dict[str, Any]:
        """How it is configured: JSON-able, stored with the trial."""
        return {"name": self.name, "options": dict(self.options), "source": self.source}


def suggestion_rng(seed: int, suggestions_so_far: int) -> np.random.Generator:
    """The generator for a session's next suggestion; the same for the same two numbers."""
    return np.random.default_rng([seed, suggestions_so_far])
