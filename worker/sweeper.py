"""What is due and nobody was told of: a try to be repeated, a lease that ended, a nudge that the queue lost."""

import itertools
import threading
from datetime import datetime, timedelta

import structlog
from dramatiq.brokers.redis import RedisBroker
from prometheus_client import Gauge
from sqlalchemy import ColumnElement, Engine, Float, cast, func, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import InstrumentedAttribute, Session

from model import queue
from model.notification import WAITING, Channel, Notification, Status
from worker import retention

EVERY_SECONDS = 0.5
RECOVERY_SECONDS = 5.0  # after Postgres came back, for those who have something to write down
MEASURED, ERASED = 10, 20  # of so many sweeps one measures, one erases
PATIENCE = timedelta(seconds=15)  # a nudge that was not followed for so long may be lost
AT_ONCE = 500
AGE = Gauge("queue_age_seconds", "How long the oldest due notification has waited for a worker.")
UNSENT_AGE = Gauge("unsent_age_seconds", "How long ago the oldest unsent notification was accepted.")
UNSENT = Gauge("notifications_unsent", "Notifications accepted and neither sent nor given up.", ["status"])
DEAD = Gauge("dead_letters", "Notifications that wait for a replay.")
MEASURED_AT = Gauge("measured_timestamp_seconds", "When these gauges were last measured.")
DUE = Notification.status.in_(WAITING) & (Notification.due_at <= func.now())
log = structlog.get_logger("worker")


class Sweeper(threading.Thread):
    """A thread that looks twice a second; several workers share the rows without doubling a nudge."""

    def __init__(self, database: Engine, broker: RedisBroker, retention_days: int) -> None:
        super().__init__(name="sweeper", daemon=True)
        self._retention_days = retention_days
        self._database = database
        self._broker = broker
        self._stopped = threading.Event()
        self._away = False

    def run(self) -> None:
        """Sweep until stopped; whatever goes wrong, it is tried again."""
        for number in itertools.count():
            if self._stopped.wait(EVERY_SECONDS):
                return
            try:
                self._turn(number)
            except (SQLAlchemyError, queue.QueueError) as error:
                self._away = isinstance(error, SQLAlchemyError)
                log.warning("sweep failed", kind=type(error).__name__)
            except Exception:
                log.exception("a bug in the sweeper")

    def _turn(self, number: int) -> None:
        """Measure and erase now and then, first, for that needs no Redis; and sweep."""
        if self._away or number % MEASURED == 0:
            self.measure()
        if self._away:  # until now: Postgres is back
            self._away = False
            self._stopped.wait(RECOVERY_SECONDS)
        if number % ERASED == 0:
            retention.erase(self._database, self._retention_days)
        self.sweep()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self.join(timeout=5)

    def sweep(self) -> int:
        """Nudge what is due and forgotten; return how many that were.

        A long queue has lost nothing, it is only late: to nudge again for what stands in it would make it longer
        still. What it was never told, such as a try to be repeated, has to get into it all the same: else it would
        wait for as long as new ones keep the queue long.
        """
        short = [channel for channel in Channel if queue.length(self._broker, channel) < AT_ONCE]
        lost = Notification.channel.in_(short) & (Notification.nudged_at < func.now() - PATIENCE)
        forgotten = or_(Notification.nudged_at.is_(None), lost) if short else Notification.nudged_at.is_(None)
        query = (
            select(Notification.id, Notification.channel, Notification.request_id)
            .where(DUE, forgotten)
            .order_by(Notification.due_at)
            .limit(AT_ONCE)
            .with_for_update(skip_locked=True)
        )
        with Session(self._database) as session, session.begin():
            rows = session.execute(query).all()
            if not rows:
                return 0
            told = update(Notification).where(Notification.id.in_([row.id for row in rows]))
            session.execute(told.values(nudged_at=func.now()))
            for row in rows:  # before the commit: if Redis fails, they stay forgotten, and are found again
                queue.nudge(self._broker, row.channel, str(row.id), row.request_id)
        log.debug("swept", count=len(rows))
        return len(rows)

    def measure(self) -> None:
        """Set the gauges that an operator alerts on."""
        due = select(_age(Notification.due_at)).where(DUE)
        dead = select(func.count()).where(retention.KEPT, Notification.status == Status.DEAD)
        unsent = select(func.count(), _age(Notification.created_at))
        with self._database.connect() as connection:
            AGE.set(connection.scalar(due) or 0)
            DEAD.set(connection.scalar(dead) or 0)
            found = {one: connection.execute(unsent.where(Notification.status == one)).one() for one in WAITING}
        for status, (count, _) in found.items():
            UNSENT.labels(status).set(count)
        UNSENT_AGE.set(max(oldest or 0 for _, oldest in found.values()))
        MEASURED_AT.set_to_current_time()


def _age(moment: InstrumentedAttribute[datetime]) -> ColumnElement[float]:
    """Return the seconds since the earliest of these moments; NULL when there is none."""
    return cast(func.extract("epoch", func.now() - func.min(moment)), Float)
