"""${message}."""

import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Expand only: what the release before this one reads and writes must go on working."""
    ${upgrades if upgrades else "pass"}
