"""The indexes by which the sweeper finds content that nobody needs any more, and what the queue was not told."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create them; each holds only what is to be found, however large the table is."""
    kept = sa.text("status IN ('sent', 'dead') AND body <> ''")
    op.create_index("notifications_kept", "notifications", ["status", "due_at"], postgresql_where=kept)
    untold = sa.text("status IN ('queued', 'sending', 'retrying') AND nudged_at IS NULL")
    op.create_index("notifications_untold", "notifications", ["due_at"], postgresql_where=untold)
