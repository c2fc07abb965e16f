"""The index by which content is found that nobody needs any more, and dead letters are counted."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the index; it only holds what is at its end and not yet forgotten."""
    kept = sa.text("status IN ('sent', 'dead') AND body <> ''")
    op.create_index("notifications_kept", "notifications", ["status", "due_at"], postgresql_where=kept)
