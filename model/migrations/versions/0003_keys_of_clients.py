"""Idempotency keys belong to a client: what stands for both of them is unique, as long as the content is kept.

It only adds, so the release before runs on: it finds its keys in `idempotency_key`, which this one still fills.
A later release may stop doing so, and a migration after that drop the column, with `oldest = "0003"`.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column and its index, in which no row of before stands."""
    op.add_column("notifications", sa.Column("client_key", sa.LargeBinary))
    # Of the content: a worker of the release before forgets that, and does not know of the column.
    kept = sa.text("body <> ''")
    op.create_index(
        "notifications_client_key", "notifications", ["client_key"], unique=True, postgresql_where=kept
    )
