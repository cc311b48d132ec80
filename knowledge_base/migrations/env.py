"""Run by Alembic for every command, within the transaction of `knowledge_base.migrations`."""

from __future__ import annotations

from alembic import context

from knowledge_base.schema import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite cannot alter a table in place; Alembic then rebuilds it.
    render_as_batch=True,
)
context.run_migrations()
