"""The first schema: targets, agents, sessions, trials, windows, events and what they refer to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WHOLE = sa.BigInteger()
REAL: sa.Double[float] = sa.Double()
NAME = sa.String(255)
CHOICE = sa.String(20)
JSON = sa.JSON()
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _dictionaries()
    _targets_and_agents()
    _sessions_and_trials()
    _measurements()
    _results_and_access()
    _audit_log()
    _refuse_changes_of_events()


def _dictionaries() -> None:
    """What is stored once and referred to by its digest."""
    op.create_table(
        "spaces",
        sa.Column("id", ID, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("space", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_spaces"),
        sa.UniqueConstraint("digest", name="uq_spaces_digest"),
    )
    op.create_table(
        "workloads",
        sa.Column("id", ID, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("parameters", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_workloads"),
        sa.UniqueConstraint("digest", name="uq_workloads_digest"),
    )
    op.create_table(
        "metric_dictionaries",
        sa.Column("id", ID, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("metrics", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_metric_dictionaries"),
        sa.UniqueConstraint("digest", name="uq_metric_dictionaries_digest"),
    )


def _targets_and_agents() -> None:
    """Who is tuned, and by whom."""
    op.create_table(
        "targets",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("kind", NAME, nullable=False),
        sa.Column("version", NAME, nullable=False),
        sa.Column("space_id", ID),
        sa.Column("description", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("described_at", MOMENT),
        sa.ForeignKeyConstraint(["space_id"], ["spaces.id"], name="fk_targets_space_id"),
        sa.PrimaryKeyConstraint("id", name="pk_targets"),
        sa.UniqueConstraint("name", name="uq_targets_name"),
    )
    op.create_table(
        "agents",
        sa.Column("id", ID, nullable=False),
        sa.Column("target_id", ID, nullable=False),
        sa.Column("instance", NAME, nullable=False),
        sa.Column("incarnation", NAME, nullable=False),
        sa.Column("version", NAME, nullable=False),
        sa.Column("protocol", WHOLE, nullable=False),
        sa.Column("host", NAME, nullable=False),
        sa.Column("registered_at", MOMENT, nullable=False),
        sa.Column("last_seen_at", MOMENT, nullable=False),
        sa.Column("in_force", JSON),
        sa.Column("host_metrics", JSON, nullable=False),
        sa.Column("spooled", WHOLE, nullable=False),
        sa.Column("dropped", WHOLE, nullable=False),
        sa.ForeignKeyConstraint(["target_id"], ["targets.id"], name="fk_agents_target_id"),
        sa.PrimaryKeyConstraint("id", name="pk_agents"),
        sa.UniqueConstraint("instance", name="uq_agents_instance"),
    )
    op.create_index("ix_agents_target_id", "agents", ["target_id"])
    op.create_table(
        "leases",
        sa.Column("target_id", ID, autoincrement=False, nullable=False),
        sa.Column("holder", NAME, nullable=False),
        sa.Column("incarnation", NAME, nullable=False),
        sa.Column("epoch", WHOLE, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["target_id"], ["targets.id"], name="fk_leases_target_id"),
        sa.PrimaryKeyConstraint("target_id", name="pk_leases"),
    )
    op.create_index("ix_leases_holder", "leases", ["holder"])


def _sessions_and_trials() -> None:
    """What was tried."""
    op.create_table(
        "sessions",
        sa.Column("id", ID, nullable=False),
        sa.Column("target_id", ID, nullable=False),
        sa.Column("space_id", ID, nullable=False),
        sa.Column("workload_id", ID, nullable=False),
        sa.Column("mode", NAME, nullable=False),
        sa.Column("objective", JSON, nullable=False),
        sa.Column("recommender", NAME, nullable=False),
        sa.Column("recommender_options", JSON, nullable=False),
        sa.Column("seed", WHOLE, nullable=False),
        sa.Column("budget", JSON, nullable=False),
        sa.Column("baseline", JSON, nullable=False),
        sa.Column("pins", JSON, nullable=False),
        sa.Column("versions", JSON, nullable=False),
        sa.Column("actor", NAME, nullable=False),
        sa.Column("state", CHOICE, nullable=False),
        sa.Column("phase", CHOICE, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("incumbent_trial_id", ID),
        sa.Column("verdict", JSON, nullable=False),
        sa.Column("revision", WHOLE, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT),
        sa.ForeignKeyConstraint(
            ["incumbent_trial_id"],
            ["trials.id"],
            name="fk_sessions_incumbent_trial_id",
            initially="DEFERRED",
            deferrable=True,
            use_alter=True,
        ),
        sa.ForeignKeyConstraint(["space_id"], ["spaces.id"], name="fk_sessions_space_id"),
        sa.ForeignKeyConstraint(["target_id"], ["targets.id"], name="fk_sessions_target_id"),
        sa.ForeignKeyConstraint(["workload_id"], ["workloads.id"], name="fk_sessions_workload_id"),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
    )
    op.create_index("ix_sessions_state", "sessions", ["state"])
    op.create_index("ix_sessions_target_id", "sessions", ["target_id"])
    op.create_index("ix_sessions_workload_id", "sessions", ["workload_id"])
    op.create_index(
        "uq_sessions_target_id_unended",
        "sessions",
        ["target_id"],
        unique=True,
        sqlite_where=sa.text("state IN ('running', 'paused')"),
        postgresql_where=sa.text("state IN ('running', 'paused')"),
    )
    op.create_table(
        "trials",
        sa.Column("id", ID, nullable=False),
        sa.Column("session_id", ID, nullable=False),
        sa.Column("number", WHOLE, nullable=False),
        sa.Column("task", NAME, nullable=False),
        sa.Column("block", WHOLE, nullable=False),
        sa.Column("sequence", JSON, nullable=False),
        sa.Column("seed", WHOLE, nullable=False),
        sa.Column("configuration", JSON, nullable=False),
        sa.Column("in_force", JSON),
        sa.Column("suggestion", JSON, nullable=False),
        sa.Column("based_on", JSON, nullable=False),
        sa.Column("recommender", JSON, nullable=False),
        sa.Column("recommender_state", JSON, nullable=False),
        sa.Column("timeout_seconds", REAL, nullable=False),
        sa.Column("state", CHOICE, nullable=False),
        sa.Column("epoch", WHOLE, nullable=False),
        sa.Column("holder", NAME),
        sa.Column("incarnation", NAME),
        sa.Column("lease_expires_at", MOMENT),
        sa.Column("failure", NAME),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("seconds", REAL, nullable=False),
        sa.Column("restarted", sa.Boolean(), nullable=False),
        sa.Column("lines", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("leased_at", MOMENT),
        sa.Column("finished_at", MOMENT),
        sa.CheckConstraint(
            "(state = 'failed') = (failure IS NOT NULL)", name=op.f("ck_trials_failure")
        ),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_trials_session_id"),
        sa.PrimaryKeyConstraint("id", name="pk_trials"),
        sa.UniqueConstraint("session_id", "number", name="uq_trials_session_id_number"),
    )
    op.create_index(
        "ix_trials_lease_expires_at",
        "trials",
        ["lease_expires_at"],
        sqlite_where=sa.text("lease_expires_at IS NOT NULL"),
        postgresql_where=sa.text("lease_expires_at IS NOT NULL"),
    )
    op.create_index("ix_trials_session_id_state", "trials", ["session_id", "state", "id"])
    if op.get_bind().dialect.name != "sqlite":  # which took it above, as it checks nothing yet
        op.create_foreign_key(
            "fk_sessions_incumbent_trial_id",
            "sessions",
            "trials",
            ["incumbent_trial_id"],
            ["id"],
            deferrable=True,
            initially="DEFERRED",
        )


def _measurements() -> None:
    """What was measured."""
    op.create_table(
        "metric_means",
        sa.Column("id", ID, nullable=False),
        sa.Column("trial_id", ID, nullable=False),
        sa.Column("arm", NAME, nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("windows", WHOLE, nullable=False),
        sa.Column("dictionary_id", ID, nullable=False),
        sa.Column("packed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["dictionary_id"], ["metric_dictionaries.id"], name="fk_metric_means_dictionary_id"
        ),
        sa.ForeignKeyConstraint(["trial_id"], ["trials.id"], name="fk_metric_means_trial_id"),
        sa.PrimaryKeyConstraint("id", name="pk_metric_means"),
        sa.UniqueConstraint("trial_id", "arm", "late", name="uq_metric_means_trial_id_arm_late"),
    )
    op.create_table(
        "windows",
        sa.Column("id", ID, nullable=False),
        sa.Column("trial_id", ID, nullable=False),
        sa.Column("epoch", WHOLE, nullable=False),
        sa.Column("arm", NAME, nullable=False),
        sa.Column("block", WHOLE, nullable=False),
        sa.Column("position", WHOLE, nullable=False),
        sa.Column("purpose", NAME, nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("seconds", REAL, nullable=False),
        sa.Column("objectives", JSON, nullable=False),
        sa.Column("contamination", JSON, nullable=False),
        sa.Column("details", JSON, nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("dictionary_id", ID),
        sa.Column("packed", sa.LargeBinary()),
        sa.Column("mean_id", ID),
        sa.CheckConstraint(
            "(dictionary_id IS NULL) = (packed IS NULL)", name=op.f("ck_windows_packed")
        ),
        sa.ForeignKeyConstraint(
            ["dictionary_id"], ["metric_dictionaries.id"], name="fk_windows_dictionary_id"
        ),
        sa.ForeignKeyConstraint(["mean_id"], ["metric_means.id"], name="fk_windows_mean_id"),
        sa.ForeignKeyConstraint(["trial_id"], ["trials.id"], name="fk_windows_trial_id"),
        sa.PrimaryKeyConstraint("id", name="pk_windows"),
        sa.UniqueConstraint(
            "trial_id", "epoch", "position", name="uq_windows_trial_id_epoch_position"
        ),
    )
    op.create_table(
        "reports",
        sa.Column("id", ID, nullable=False),
        sa.Column("agent_id", ID, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("samples", WHOLE, nullable=False),
        sa.Column("hourly", sa.Boolean(), nullable=False),
        sa.Column("dictionary_id", ID),
        sa.Column("packed", sa.LargeBinary()),
        sa.CheckConstraint(
            "(dictionary_id IS NULL) = (packed IS NULL)", name=op.f("ck_reports_packed")
        ),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name="fk_reports_agent_id"),
        sa.ForeignKeyConstraint(
            ["dictionary_id"], ["metric_dictionaries.id"], name="fk_reports_dictionary_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_reports"),
    )
    op.create_index("ix_reports_agent_id_at", "reports", ["agent_id", "at"])
    op.create_index(
        "ix_reports_raw",
        "reports",
        ["agent_id", "at"],
        sqlite_where=sa.text("hourly = 0"),
        postgresql_where=sa.text("NOT hourly"),
    )


def _results_and_access() -> None:
    """What was concluded, and who may ask."""
    op.create_table(
        "artefacts",
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", NAME, nullable=False),
        sa.Column("session_id", ID),
        sa.Column("version", WHOLE, nullable=False),
        sa.Column("content", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_artefacts_session_id"),
        sa.PrimaryKeyConstraint("id", name="pk_artefacts"),
        sa.UniqueConstraint(
            "kind", "session_id", "version", name="uq_artefacts_kind_session_id_version"
        ),
    )
    op.create_index(
        "uq_artefacts_kind_version_whole_history",
        "artefacts",
        ["kind", "version"],
        unique=True,
        sqlite_where=sa.text("session_id IS NULL"),
        postgresql_where=sa.text("session_id IS NULL"),
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(8), nullable=False),
        sa.Column("secret_sha256", sa.String(64), nullable=False),
        sa.Column("scope", CHOICE, nullable=False),
        sa.Column("label", NAME, nullable=False),
        sa.Column("target_id", ID),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT),
        sa.Column("revoked_at", MOMENT),
        sa.Column("last_used_at", MOMENT),
        sa.ForeignKeyConstraint(["target_id"], ["targets.id"], name="fk_tokens_target_id"),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
    )
    op.create_table(
        "replies",
        sa.Column("owner", NAME, nullable=False),
        sa.Column("key", NAME, nullable=False),
        sa.Column("request_digest", sa.String(64), nullable=False),
        sa.Column("status", WHOLE, nullable=False),
        sa.Column("body", JSON),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("owner", "key", name="pk_replies"),
    )
    op.create_index("ix_replies_created_at", "replies", ["created_at"])


def _audit_log() -> None:
    """What happened: an append-only table."""
    op.create_table(
        "events",
        sa.Column("id", ID, nullable=False),
        sa.Column("actor", NAME, nullable=False),
        sa.Column("kind", NAME, nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("occurred_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.Column("target_id", ID),
        sa.Column("session_id", ID),
        sa.Column("trial_id", ID),
        sa.Column("details", JSON, nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_events_session_id"),
        sa.ForeignKeyConstraint(["target_id"], ["targets.id"], name="fk_events_target_id"),
        sa.ForeignKeyConstraint(["trial_id"], ["trials.id"], name="fk_events_trial_id"),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
    )
    op.create_index("ix_events_kind", "events", ["kind", "id"])
    op.create_index("ix_events_session_id", "events", ["session_id", "id"])
    op.create_index("ix_events_target_id", "events", ["target_id", "id"])


def _refuse_changes_of_events() -> None:
    """Triggers that keep the audit log append-only, also from a hand at the SQL prompt."""
    refusal = "events is an audit log: rows are added, never changed or deleted"
    if op.get_bind().dialect.name == "sqlite":
        # The third one: INSERT OR REPLACE deletes without asking the delete trigger.
        for name, occasion in (
            ("update", "UPDATE ON events"),
            ("delete", "DELETE ON events"),
            ("replace", "INSERT ON events WHEN EXISTS (SELECT 1 FROM events WHERE id = NEW.id)"),
        ):
            op.execute(
                f"CREATE TRIGGER events_refuse_{name} BEFORE {occasion} "
                f"BEGIN SELECT RAISE(ABORT, '{refusal}'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION events_refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{refusal}' USING ERRCODE = 'integrity_constraint_violation'; "
        "END $$"
    )
    op.execute(
        "CREATE TRIGGER events_refuse_change BEFORE UPDATE OR DELETE ON events "
        "FOR EACH ROW EXECUTE FUNCTION events_refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER events_refuse_truncate BEFORE TRUNCATE ON events "
        "FOR EACH STATEMENT EXECUTE FUNCTION events_refuse_change()"
    )
