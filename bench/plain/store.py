"""What its api and its worker share: the row, Postgres, Redis."""

from datetime import datetime
from uuid import UUID, uuid4

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from sqlalchemy import DateTime, Engine, create_engine, func, make_url
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

ACTOR, QUEUE = "deliver", "messages"


class Base(DeclarativeBase):
    """What SQLAlchemy asks for."""


class Message(Base):
    """A message to one person."""

    __tablename__ = "messages"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    channel: Mapped[str]
    recipient: Mapped[str]
    subject: Mapped[str | None]
    body: Mapped[str]
    status: Mapped[str] = mapped_column(default="queued")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


def database(url: str) -> Engine:
    """Return the engine of a DATABASE_URL, with as many connections as ours has by default."""
    return create_engine(make_url(url).set(drivername="postgresql+psycopg"), pool_size=10, max_overflow=0)


def broker(url: str) -> RedisBroker:
    """Return the broker of a REDIS_URL, with what Dramatiq has by default."""
    made = RedisBroker(url=url)  # type: ignore[no-untyped-call]
    made.declare_queue(QUEUE)
    return made


def enqueue(to: RedisBroker, identifier: str) -> None:
    """Have a message delivered."""
    told: dramatiq.Message[None] = dramatiq.Message(
        queue_name=QUEUE, actor_name=ACTOR, args=(identifier,), kwargs={}, options={}
    )
    to.enqueue(told)
