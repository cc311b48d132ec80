"""The tables, as typed models. Described for operators in `docs/knowledge-base.md`.

Columns are named as the fields of `knowledge_base.records`. The migrations in
`knowledge_base/migrations` make these tables; a test holds the two together.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from sqlalchemy import (
    CheckConstraint,
    Enum,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from knowledge_base.columns import (
    Checked,
    ExactJson,
    Identifier,
    Name,
    Prose,
    Real,
    UtcDateTime,
    Whole,
)
from knowledge_base.records import Scope, SessionPhase, SessionState, TrialState

Id = Annotated[int, mapped_column(Identifier, primary_key=True)]
Text = Annotated[str, mapped_column(Prose)]
Json = Annotated[dict[str, Any], mapped_column(ExactJson)]
JsonList = Annotated[list[Any], mapped_column(ExactJson)]
Digest = Annotated[str, mapped_column(Name(64))]


def _one_of(kind: type[StrEnum]) -> Enum:
    """The values of a StrEnum as a short text, so that a new one needs no migration."""
    return Enum(
        kind,
        native_enum=False,
        length=20,
        values_callable=lambda members: [member.value for member in members],
    )


class Base(DeclarativeBase):
    """Base of the models: names of constraints, and a column type for every Python type."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        int: Whole,
        float: Real,
        str: Name,
        datetime: UtcDateTime,
        **{kind: _one_of(kind) for kind in (SessionState, SessionPhase, TrialState, Scope)},
    }


class SpaceRow(Base):
    """A knob space as it was once described; never changed."""

    __tablename__ = "spaces"

    id: Mapped[Id]
    digest: Mapped[Digest] = mapped_column(unique=True)
    space: Mapped[Json]
    created_at: Mapped[datetime]


class WorkloadRow(Base):
    """A workload by name and parameters; never changed."""

    __tablename__ = "workloads"

    id: Mapped[Id]
    digest: Mapped[Digest] = mapped_column(unique=True)
    name: Mapped[str]
    parameters: Mapped[Json]


class MetricDictionaryRow(Base):
    """Names, kinds and units of the values in packed metric vectors; never changed."""

    __tablename__ = "metric_dictionaries"

    id: Mapped[Id]
    digest: Mapped[Digest] = mapped_column(unique=True)
    metrics: Mapped[JsonList]


class TargetRow(Base):
    """A system that can be tuned, as last described."""

    __tablename__ = "targets"

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    version: Mapped[str]
    space_id: Mapped[int | None] = mapped_column(ForeignKey("spaces.id"))
    description: Mapped[Json]
    created_at: Mapped[datetime]
    described_at: Mapped[datetime | None]


class AgentRow(Base):
    """An agent installation and its last sign of life."""

    __tablename__ = "agents"

    id: Mapped[Id]
    target_id: Mapped[int] = mapped_column(ForeignKey("targets.id"), index=True)
    instance: Mapped[str] = mapped_column(unique=True)
    incarnation: Mapped[str]
    version: Mapped[str]
    protocol: Mapped[int]
    host: Mapped[str]
    registered_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    in_force: Mapped[Json | None]
    host_metrics: Mapped[Json]
    spooled: Mapped[int]
    dropped: Mapped[int]


class LeaseRow(Base):
    """Who may act on a target. A trial's lease is in the trial's own row, where grant, state
    and fencing epoch change together."""

    __tablename__ = "leases"

    target_id: Mapped[int] = mapped_column(
        ForeignKey("targets.id"), primary_key=True, autoincrement=False
    )
    holder: Mapped[str] = mapped_column(index=True)
    incarnation: Mapped[str]
    epoch: Mapped[int]
    expires_at: Mapped[datetime]


class SessionRow(Base):
    """An effort to tune one target; `revision` tells writers that planned on old knowledge."""

    __tablename__ = "sessions"

    id: Mapped[Id]
    target_id: Mapped[int] = mapped_column(ForeignKey("targets.id"), index=True)
    space_id: Mapped[int] = mapped_column(ForeignKey("spaces.id"))
    workload_id: Mapped[int] = mapped_column(ForeignKey("workloads.id"), index=True)
    mode: Mapped[str]
    objective: Mapped[Json]
    objectives: Mapped[JsonList]
    limits: Mapped[JsonList]
    recommender: Mapped[str]
    recommender_options: Mapped[Json]
    seed: Mapped[int]
    budget: Mapped[Json]
    baseline: Mapped[Json]
    pins: Mapped[Json]
    versions: Mapped[Json]
    actor: Mapped[str]
    state: Mapped[SessionState]
    phase: Mapped[SessionPhase]
    reason: Mapped[Text]
    # Sessions and trials name each other: checked when the transaction commits.
    incumbent_trial_id: Mapped[int | None] = mapped_column(
        ForeignKey("trials.id", use_alter=True, deferrable=True, initially="DEFERRED")
    )
    verdict: Mapped[Json]
    revision: Mapped[int]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        # At most one session of a target has not ended, whoever races to begin it.
        Index(
            "uq_sessions_target_id_unended",
            "target_id",
            unique=True,
            sqlite_where=text("state IN ('running', 'paused')"),
            postgresql_where=text("state IN ('running', 'paused')"),
        ),
        Index("ix_sessions_state", "state"),
    )


class TrialRow(Base):
    """A configuration tried, with its lease: `epoch` grows at every grant and every return."""

    __tablename__ = "trials"

    id: Mapped[Id]
    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id"))
    number: Mapped[int]
    task: Mapped[str]
    block: Mapped[int]
    sequence: Mapped[JsonList]
    seed: Mapped[int]
    configuration: Mapped[Json]
    in_force: Mapped[Json | None]
    suggestion: Mapped[Json]
    based_on: Mapped[JsonList]
    recommender: Mapped[Json]
    recommender_state: Mapped[Json]
    timeout_seconds: Mapped[float]
    state: Mapped[TrialState]
    epoch: Mapped[int]
    holder: Mapped[str | None]
    incarnation: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]
    failure: Mapped[str | None]
    message: Mapped[Text]
    seconds: Mapped[float]
    restarted: Mapped[bool]
    lines: Mapped[JsonList]
    created_at: Mapped[datetime]
    leased_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("session_id", "number"),
        CheckConstraint("(state = 'failed') = (failure IS NOT NULL)", name="failure"),
        # What agents ask for: the oldest trial of a session in a state.
        Index("ix_trials_session_id_state", "session_id", "state", "id"),
        # What expires: few rows however long the history.
        Index(
            "ix_trials_lease_expires_at",
            "lease_expires_at",
            sqlite_where=text("lease_expires_at IS NOT NULL"),
            postgresql_where=text("lease_expires_at IS NOT NULL"),
        ),
    )


class MetricMeanRow(Base):
    """What retention keeps of a trial's metric vectors: one mean an arm."""

    __tablename__ = "metric_means"

    id: Mapped[Id]
    trial_id: Mapped[int] = mapped_column(ForeignKey("trials.id"))
    arm: Mapped[str]
    late: Mapped[bool]
    windows: Mapped[int]
    dictionary_id: Mapped[int] = mapped_column(ForeignKey("metric_dictionaries.id"))
    packed: Mapped[bytes] = mapped_column(LargeBinary)

    __table_args__ = (UniqueConstraint("trial_id", "arm", "late"),)


class WindowRow(Base):
    """A measurement. Its metric vector is its own (`packed`) or, after retention, the mean."""

    __tablename__ = "windows"

    id: Mapped[Id]
    trial_id: Mapped[int] = mapped_column(ForeignKey("trials.id"))
    epoch: Mapped[int]
    arm: Mapped[str]
    block: Mapped[int]
    position: Mapped[int]
    purpose: Mapped[str]
    started_at: Mapped[datetime]
    seconds: Mapped[float]
    objectives: Mapped[Json]
    contamination: Mapped[Json]
    details: Mapped[Json]
    late: Mapped[bool]
    dictionary_id: Mapped[int | None] = mapped_column(ForeignKey("metric_dictionaries.id"))
    packed: Mapped[bytes | None] = mapped_column(LargeBinary)
    mean_id: Mapped[int | None] = mapped_column(ForeignKey("metric_means.id"))

    __table_args__ = (
        UniqueConstraint("trial_id", "epoch", "position"),
        CheckConstraint("(dictionary_id IS NULL) = (packed IS NULL)", name="packed"),
    )


class EventRow(Base):
    """The audit log. Triggers on both engines refuse to change or delete a row."""

    __tablename__ = "events"

    id: Mapped[Id]
    actor: Mapped[str]
    kind: Mapped[str]
    message: Mapped[Text]
    occurred_at: Mapped[datetime]
    recorded_at: Mapped[datetime]
    target_id: Mapped[int | None] = mapped_column(ForeignKey("targets.id"))
    session_id: Mapped[int | None] = mapped_column(ForeignKey("sessions.id"))
    trial_id: Mapped[int | None] = mapped_column(ForeignKey("trials.id"))
    details: Mapped[Json]

    __table_args__ = (
        Index("ix_events_target_id", "target_id", "id"),
        Index("ix_events_session_id", "session_id", "id"),
        Index("ix_events_kind", "kind", "id"),
    )


class ReportRow(Base):
    """An agent's metrics over one interval or, after retention, the mean of an hour's."""

    __tablename__ = "reports"

    id: Mapped[Id]
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"))
    at: Mapped[datetime]
    samples: Mapped[int]
    hourly: Mapped[bool]
    dictionary_id: Mapped[int | None] = mapped_column(ForeignKey("metric_dictionaries.id"))
    packed: Mapped[bytes | None] = mapped_column(LargeBinary)

    __table_args__ = (
        Index("ix_reports_agent_id_at", "agent_id", "at"),
        # What retention looks for, past the years of hourly means.
        Index(
            "ix_reports_raw",
            "agent_id",
            "at",
            sqlite_where=text("hourly = 0"),
            postgresql_where=text("NOT hourly"),
        ),
        CheckConstraint("(dictionary_id IS NULL) = (packed IS NULL)", name="packed"),
    )


class ArtefactRow(Base):
    """A versioned result of a pipeline stage."""

    __tablename__ = "artefacts"

    id: Mapped[Id]
    kind: Mapped[str]
    session_id: Mapped[int | None] = mapped_column(ForeignKey("sessions.id"))
    version: Mapped[int]
    content: Mapped[Json]
    created_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("kind", "session_id", "version"),
        # SQL takes two NULLs for different: artefacts of the whole history need their own rule.
        Index(
            "uq_artefacts_kind_version_whole_history",
            "kind",
            "version",
            unique=True,
            sqlite_where=text("session_id IS NULL"),
            postgresql_where=text("session_id IS NULL"),
        ),
    )


class TokenRow(Base):
    """A credential: the SHA-256 of its secret, never the secret."""

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(Name(8), primary_key=True)
    secret_sha256: Mapped[Digest]
    scope: Mapped[Scope]
    label: Mapped[str]
    target_id: Mapped[int | None] = mapped_column(ForeignKey("targets.id"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class ReplyRow(Base):
    """An answer already given to a write, so that the write sent again is answered alike."""

    __tablename__ = "replies"

    owner: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_digest: Mapped[Digest]
    status: Mapped[int]
    body: Mapped[Any] = mapped_column(ExactJson, nullable=True)
    created_at: Mapped[datetime] = mapped_column(index=True)


for _table in Base.metadata.tables.values():
    for _column in _table.columns:
        # A foreign key shares the type of the column that it refers to.
        if isinstance(_column.type, Checked) and not _column.foreign_keys:
            _column.type.subject = f"{_table.name}.{_column.name}"
