"""What the knowledge base hands out and takes in: frozen records, no SQL objects.

Identifiers are integers given by the store. Times are UTC-aware. Mappings are JSON-able.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

from targets.metrics import MetricVector

T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some of the things asked for, and how many there are in all."""

    items: tuple[T, ...]
    total: int


class SessionState(StrEnum):
    """Where a session stands. `stood-down`: somebody else changed a knob, Lontra let go."""

    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    CANCELLED = "cancelled"
    STOOD_DOWN = "stood-down"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether nothing more will be tried."""
        return self not in (SessionState.RUNNING, SessionState.PAUSED)


class SessionPhase(StrEnum):
    """What a running session does now."""

    BASELINE = "baseline"
    SEARCH = "search"
    CONFIRM = "confirm"
    REFERENCES = "references"
    PROMOTE = "promote"
    DONE = "done"


class TrialState(StrEnum):
    """suggested -> leased -> applying -> measuring -> completed | failed."""

    SUGGESTED = "suggested"
    LEASED = "leased"
    APPLYING = "applying"
    MEASURING = "measuring"
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether a result is in."""
        return self in (TrialState.COMPLETED, TrialState.FAILED)

    @property
    def held(self) -> bool:
        """Whether an agent holds the trial's lease."""
        return self in (TrialState.LEASED, TrialState.APPLYING, TrialState.MEASURING)


class Scope(StrEnum):
    """What a token may do."""

    AGENT = "agent"
    OPERATOR = "operator"
    VIEWER = "viewer"


@dataclass(frozen=True, kw_only=True)
class Target:
    """A system that can be tuned, as last described. `description`: `Description.to_dict()`."""

    id: int
    name: str
    kind: str
    version: str
    space_id: int | None
    description: Mapping[str, Any]
    created_at: datetime
    described_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Agent:
    """One agent installation (its `instance` survives restarts, its `incarnation` does not)."""

    id: int
    target_id: int
    instance: str
    incarnation: str
    version: str
    protocol: int
    host: str
    registered_at: datetime
    last_seen_at: datetime
    in_force: Mapping[str, Any] | None = None
    host_metrics: Mapping[str, float | None] = field(default_factory=dict)
    spooled: int = 0
    dropped: int = 0


@dataclass(frozen=True, kw_only=True)
class NewSession:
    """What is fixed when a session begins. `objective`: `Objective.to_dict()`, the first of
    `objectives`, which are this one alone where they are not given; `limits`: what else is to be
    kept, as `tuner.limits.SessionLimit.to_dict()` has it; `budget`: trials, wall_seconds,
    gain_floor, confirm_pairs, margin, ...; `workload`: `{"name": ..., "parameters": {...}}`."""

    target_id: int
    objective: Mapping[str, Any]
    workload: Mapping[str, Any]
    recommender: str
    seed: int
    budget: Mapping[str, Any]
    baseline: Mapping[str, Any]
    recommender_options: Mapping[str, Any] = field(default_factory=dict)
    pins: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    actor: str = ""
    mode: str = "offline"
    objectives: tuple[Mapping[str, Any], ...] = ()
    limits: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        if not self.objectives:
            object.__setattr__(self, "objectives", (self.objective,))


@dataclass(frozen=True, kw_only=True)
class Session(NewSession):
    """A session as stored. `revision` grows with each change: writers that plan on an old one
    are refused (`Conflict`)."""

    id: int
    space_id: int
    workload_id: int
    state: SessionState
    phase: SessionPhase
    reason: str
    incumbent_trial_id: int | None
    verdict: Mapping[str, Any]
    revision: int
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class NewTrial:
    """A trial to store. `task`, `sequence`, `block` as in `targets.protocol.Assignment`;
    `suggestion` is the recommender's `Suggestion.to_dict()` with its reason; `based_on` lists
    the numbers of the trials whose results it had seen."""

    session_id: int
    number: int
    task: str
    configuration: Mapping[str, Any]
    sequence: tuple[str, ...]
    seed: int
    block: int = 0
    suggestion: Mapping[str, Any] = field(default_factory=dict)
    based_on: tuple[int, ...] = ()
    recommender_state: Mapping[str, Any] = field(default_factory=dict)
    recommender: Mapping[str, Any] = field(default_factory=dict)
    timeout_seconds: float = 600.0

    @property
    def fidelity(self) -> float:
        """How long its windows are, as a share of full ones."""
        return float(self.suggestion.get("fidelity", 1.0))


@dataclass(frozen=True, kw_only=True)
class Trial(NewTrial):
    """A trial as stored. `epoch` grows at every lease."""

    id: int
    state: TrialState
    epoch: int
    in_force: Mapping[str, Any] | None
    failure: str | None
    message: str
    seconds: float
    restarted: bool
    lines: tuple[Mapping[str, Any], ...]
    created_at: datetime
    leased_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True)
class Finished:
    """What became of a trial's result. `late`: its epoch was old, so that its windows are kept
    but do not count. `duplicate`: it had been stored before, so that nothing was."""

    trial: Trial
    late: bool = False
    duplicate: bool = False


@dataclass(frozen=True, kw_only=True)
class NewWindow:
    """One measurement to store."""

    trial_id: int
    epoch: int
    arm: str
    block: int
    position: int
    purpose: str
    started_at: datetime
    seconds: float
    objectives: Mapping[str, float]
    metrics: MetricVector
    contamination: Mapping[str, float | None] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    late: bool = False


@dataclass(frozen=True, kw_only=True)
class Window(NewWindow):
    """A window as stored. `rolled_up`: its metric vector was given up by retention; `metrics` is
    the mean over the trial's windows of the same arm."""

    id: int
    rolled_up: bool = False


@dataclass(frozen=True, kw_only=True)
class NewEvent:
    """Something for the audit log: who, what, when, about what, why."""

    actor: str
    kind: str
    message: str
    occurred_at: datetime
    target_id: int | None = None
    session_id: int | None = None
    trial_id: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Event(NewEvent):
    """An event as stored; the log is append-only. `recorded_at` is the server's time, whatever
    clock `occurred_at` was read from."""

    id: int
    recorded_at: datetime


@dataclass(frozen=True, kw_only=True)
class Lease:
    """Who holds a resource (`target:3`, `trial:17`), under which epoch, until when."""

    resource: str
    holder: str
    incarnation: str
    epoch: int
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class Token:
    """A credential without its secret."""

    id: str
    scope: Scope
    label: str
    target_id: int | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer given to a write under an idempotency key. `body` is JSON-able."""

    owner: str
    key: str
    request_digest: str
    status: int
    body: Any
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Report:
    """An agent's metrics over one interval; or, when `hourly`, the mean of `samples` reports
    over the hour that begins `at`."""

    id: int
    agent_id: int
    at: datetime
    metrics: MetricVector
    samples: int = 1
    hourly: bool = False


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """A versioned result of a pipeline stage, for a session or for the whole history."""

    id: int
    kind: str
    version: int
    session_id: int | None
    content: Mapping[str, Any]
    created_at: datetime
