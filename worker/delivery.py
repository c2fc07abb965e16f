"""One delivery: claim the row, send, write down how it went."""

import random
import time
from datetime import timedelta
from uuid import UUID

import structlog
from dramatiq.brokers.redis import RedisBroker
from prometheus_client import Counter, Histogram
from sqlalchemy import Engine, func, update
from sqlalchemy.orm import Session

from config import Config
from model import queue
from model.logs import masked
from model.notification import Channel, Notification, Status
from worker import sms
from worker.mail import Mail
from worker.outcome import FailedError, RefusedError

TRIES = Counter("deliveries_total", "Tries to deliver, by how they ended.", ["channel", "outcome"])
SECONDS = Histogram("delivery_seconds", "Time that one try took.", ["channel"])
LEASE_TIMEOUTS = 4  # a try connects, secures, logs in and sends; each may take DELIVERY_TIMEOUT_SECONDS
log = structlog.get_logger("worker")


class Deliverer:
    """Delivers notifications by id; safe to call from many threads."""

    def __init__(self, config: Config, database: Engine, broker: RedisBroker) -> None:
        self._config = config
        self._database = database
        self._broker = broker
        self._sms = sms.provider(config)
        self._mail = Mail(config)

    def deliver(self, identifier: str, request_id: str) -> None:
        """Try one notification if it is due and nobody else has it; a nudge too many does nothing."""
        with structlog.contextvars.bound_contextvars(request_id=request_id, id=identifier):
            row = self._claim(UUID(identifier))
            if row is None:
                return
            begun = time.monotonic()
            try:
                self._send(row)
            except FailedError as failure:
                self._failed(row, failure)
            else:
                self._finish(row, Status.SENT, sent_at=func.now(), reason=None)
                self._tell("sent", row)
            finally:
                SECONDS.labels(row.channel).observe(time.monotonic() - begun)

    def _claim(self, identifier: UUID) -> Notification | None:
        """Take a due row for as long as its lease; whoever dies with it lets it go when the lease ends."""
        lease = timedelta(seconds=self._config.delivery_timeout_seconds * LEASE_TIMEOUTS)
        claim = (
            update(Notification)
            .where(
                Notification.id == identifier,
                Notification.status.in_([Status.QUEUED, Status.SENDING]),
                Notification.due_at <= func.now(),
            )
            .values(status=Status.SENDING, attempts=Notification.attempts + 1, due_at=func.now() + lease)
            .returning(Notification)
        )
        with Session(self._database, expire_on_commit=False) as session, session.begin():
            return session.scalars(claim).one_or_none()

    def _send(self, row: Notification) -> None:
        if row.attempts > self._config.delivery_attempts:  # its last worker died with it
            raise RefusedError("tried often enough")
        if row.channel == Channel.SMS:
            self._sms.send(row.to, row.body, str(row.id))
        else:
            self._mail.send(row.to, row.subject or "", row.body, str(row.id))

    def _failed(self, row: Notification, failure: FailedError) -> None:
        if isinstance(failure, RefusedError) or row.attempts >= self._config.delivery_attempts:
            self._finish(row, Status.DEAD, reason=failure.reason)
            self._tell("dead", row, reason=failure.reason)
            return
        pause = self._pause(row.attempts)
        self._finish(row, Status.QUEUED, reason=failure.reason, due_at=func.now() + timedelta(seconds=pause))
        self._tell("retry", row, reason=failure.reason, seconds=round(pause, 2))
        try:
            queue.nudge(self._broker, str(row.id), row.request_id, delay_seconds=pause)
        except queue.QueueError:
            log.warning("queue unavailable, the sweeper will find it")

    def _pause(self, attempts: int) -> float:
        """Return the seconds before the next try: doubled each time, and spread between half and whole."""
        whole = self._config.delivery_backoff_seconds * 2.0 ** (attempts - 1)
        return min(whole, self._config.delivery_backoff_max_seconds) * random.uniform(0.5, 1)

    def _finish(self, row: Notification, status: Status, **values: object) -> None:
        """Write how it went, unless the lease ended and another has the row."""
        query = update(Notification).where(
            Notification.id == row.id,
            Notification.status == Status.SENDING,
            Notification.attempts == row.attempts,
        )
        with self._database.begin() as connection:
            connection.execute(query.values(status=status, **values))

    def _tell(self, outcome: str, row: Notification, **more: object) -> None:
        TRIES.labels(row.channel, outcome).inc()
        log.info(outcome, channel=row.channel, to=masked(row.to), attempt=row.attempts, **more)
