"""Run by Alembic for every command: the connection comes from `knowledge_base.migrations`."""

from __future__ import annotations

from alembic import context

from knowledge_base.schema import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite cannot alter a table in place; Alembic then rebuilds it.
    render_as_batch=True,
    # `Database` begins transactions itself, so that data definition is rolled back on SQLite too.
    transactional_ddl=True,
)
context.run_migrations()
