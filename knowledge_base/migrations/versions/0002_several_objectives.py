"""Sessions with several objectives, and with limits on what else is measured.

A session of before has its one objective, and no limits.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

JSON = sa.JSON()


def upgrade() -> None:
    op.add_column("sessions", sa.Column("objectives", JSON))
    op.add_column("sessions", sa.Column("limits", JSON))
    # As text, so that the objective's numbers stay as they were written.
    if op.get_bind().dialect.name == "sqlite":
        op.execute("UPDATE sessions SET objectives = '[' || objective || ']', limits = '[]'")
    else:
        op.execute(
            "UPDATE sessions SET limits = '[]'::json, "
            "objectives = ('[' || objective::text || ']')::json"
        )
    with op.batch_alter_table("sessions") as batch:
        batch.alter_column("objectives", existing_type=JSON, nullable=False)
        batch.alter_column("limits", existing_type=JSON, nullable=False)
