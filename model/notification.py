"""The notification: one row, from its acceptance to its delivery. The database is the truth, the queue a nudge."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import DateTime, Index, Integer, Text, func, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Channel(StrEnum):
    """How a notification travels."""

    SMS = "sms"
    EMAIL = "email"


class Status(StrEnum):
    """Where a notification is on its way."""

    QUEUED = "queued"  # waits for its first try
    SENDING = "sending"  # a worker has it, until `due_at`; then another may take it
    RETRYING = "retrying"  # a try failed, it waits for the next one
    SENT = "sent"  # the provider took it
    DEAD = "dead"  # refused, or tried often enough; waits for a replay


WAITING = (Status.QUEUED, Status.SENDING, Status.RETRYING)  # may be tried, once it is due
ENDED = (Status.SENT, Status.DEAD)


class Base(DeclarativeBase):
    """What the tables have in common."""

    type_annotation_map = {datetime: DateTime(timezone=True), str: Text}  # noqa: RUF012, SQLAlchemy's own shape


class Notification(Base):
    """A message to one person.

    `due_at` is when the next try may begin; while one runs, when its lease ends. `nudged_at` is when the queue was
    told of the next try, None if it was not. RETENTION_DAYS after its end `to` and `body` are empty.
    """

    __tablename__ = "notifications"
    __table_args__ = (
        Index("notifications_due", "due_at", postgresql_where=text("status IN ('queued', 'sending', 'retrying')")),
        Index(
            "notifications_untold",
            "due_at",
            postgresql_where=text("status IN ('queued', 'sending', 'retrying') AND nudged_at IS NULL"),
        ),
        Index("notifications_client_key", "client_key", unique=True, postgresql_where=text("body <> ''")),
        Index("notifications_listed", "created_at", "id"),
        Index(
            "notifications_kept",
            "status",
            "due_at",
            postgresql_where=text("status IN ('sent', 'dead') AND body <> ''"),
        ),
        Index("notifications_by_status", "status", "created_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    channel: Mapped[str]
    to: Mapped[str] = mapped_column("recipient")
    subject: Mapped[str | None]
    body: Mapped[str]
    idempotency_key: Mapped[str | None] = mapped_column(unique=True)
    client_key: Mapped[bytes | None]
    request_id: Mapped[str]
    status: Mapped[str] = mapped_column(default=Status.QUEUED)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    reason: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    due_at: Mapped[datetime] = mapped_column(server_default=func.now())
    nudged_at: Mapped[datetime | None] = mapped_column(server_default=func.now())
    sent_at: Mapped[datetime | None]
