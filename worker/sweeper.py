"""What the queue lost is found again: rows that are due and were not taken get another nudge."""

import threading
from datetime import timedelta

import structlog
from dramatiq.brokers.redis import RedisBroker
from prometheus_client import Gauge
from sqlalchemy import Engine, func, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from model import queue
from model.notification import Notification, Status

EVERY_SECONDS = 1.0
PATIENCE = timedelta(seconds=30)  # a nudge that was not followed for so long is taken for lost
AT_ONCE = 500
AGE = Gauge("queue_age_seconds", "How long the oldest due notification has waited.")
DEAD = Gauge("dead_letters", "Notifications that wait for a replay.")
WAITING = Notification.status.in_([Status.QUEUED, Status.SENDING])
log = structlog.get_logger("worker")


class Sweeper(threading.Thread):
    """A thread that looks every second; several workers share the rows without doubling a nudge."""

    def __init__(self, database: Engine, broker: RedisBroker) -> None:
        super().__init__(name="sweeper", daemon=True)
        self._database = database
        self._broker = broker
        self._stopped = threading.Event()

    def run(self) -> None:
        """Sweep until stopped; a database or queue that does not answer is asked again."""
        while not self._stopped.wait(EVERY_SECONDS):
            try:
                self.sweep()
                self.measure()
            except (SQLAlchemyError, queue.QueueError) as error:
                log.warning("sweep failed", kind=type(error).__name__)

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self.join(timeout=5)

    def sweep(self) -> int:
        """Nudge what is due and was forgotten; return how many that were."""
        lost = or_(Notification.nudged_at.is_(None), Notification.nudged_at < func.now() - PATIENCE)
        query = (
            select(Notification.id, Notification.request_id)
            .where(WAITING, Notification.due_at <= func.now(), lost)
            .order_by(Notification.due_at)
            .limit(AT_ONCE)
            .with_for_update(skip_locked=True)
        )
        with Session(self._database) as session, session.begin():
            rows = session.execute(query).all()
            found = [row.id for row in rows]
            session.execute(update(Notification).where(Notification.id.in_(found)).values(nudged_at=func.now()))
            for row in rows:
                queue.nudge(self._broker, str(row.id), row.request_id)
        if rows:
            log.info("swept", count=len(rows))
        return len(rows)

    def measure(self) -> None:
        """Set the gauges that an operator alerts on."""
        age = select(func.extract("epoch", func.now() - func.min(Notification.due_at))).where(
            WAITING, Notification.due_at <= func.now()
        )
        dead = select(func.count()).where(Notification.status == Status.DEAD)
        with self._database.connect() as connection:
            AGE.set(connection.scalar(age) or 0)
            DEAD.set(connection.scalar(dead) or 0)
