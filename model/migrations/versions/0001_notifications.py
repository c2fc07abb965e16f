"""The table of notifications."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the table and the indexes that the sweeper and the list read by."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "notifications",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("subject", sa.Text),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("idempotency_key", sa.Text, unique=True),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("created_at", moment, nullable=False, server_default=sa.func.now()),
        sa.Column("due_at", moment, nullable=False, server_default=sa.func.now()),
        sa.Column("nudged_at", moment, server_default=sa.func.now()),
        sa.Column("sent_at", moment),
        sa.CheckConstraint("channel IN ('sms', 'email')", name="notifications_channel"),
        sa.CheckConstraint(
            "status IN ('queued', 'sending', 'retrying', 'sent', 'dead')", name="notifications_status"
        ),
    )
    waiting = sa.text("status IN ('queued', 'sending', 'retrying')")
    op.create_index("notifications_due", "notifications", ["due_at"], postgresql_where=waiting)
    op.create_index("notifications_listed", "notifications", ["created_at", "id"])
    op.create_index("notifications_by_status", "notifications", ["status", "created_at", "id"])
