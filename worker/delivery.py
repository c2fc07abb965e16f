"""One delivery: claim the row, send, write down how it went."""

import random
import time
from datetime import timedelta
from uuid import UUID

import structlog
from prometheus_client import Counter, Histogram
from sqlalchemy import Engine, Interval, Update, bindparam, func, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from model import database
from model.database import at_once
from model.logs import masked
from model.notification import WAITING, Channel, Notification, Status
from runtime import Config
from worker import sms
from worker.mail import Mail
from worker.outcome import FailedError, RefusedError, UnavailableError

TRIES = Counter("deliveries_total", "Tries to deliver, by how they ended.", ["channel", "provider", "outcome"])
SECONDS = Histogram("delivery_seconds", "Time that one try took.", ["channel"])
LEASE_TIMEOUTS = 4  # a try connects, secures, logs in and sends; each may take DELIVERY_TIMEOUT_SECONDS
REWRITE_SECONDS = 0.5  # between two tries to write down how it went
OUTAGE_SECONDS = 600  # how long they go on while Postgres is away
log = structlog.get_logger("worker")

# Built once: to put one together takes Python longer than Postgres to follow it.
CLAIM = (
    update(Notification)
    .where(
        Notification.id == bindparam("which"),
        Notification.status.in_(WAITING),
        Notification.due_at <= func.now(),
    )
    .values(
        status=Status.SENDING,
        attempts=Notification.attempts + 1,
        due_at=func.now() + bindparam("lease", type_=Interval),
        nudged_at=None,
    )
    .returning(Notification)
    .execution_options(synchronize_session=False)  # no row of it is in memory yet
)
# By us, still: each claim's lease ends later than any before, replayed or not.
CLAIMED = update(Notification).where(
    Notification.id == bindparam("which"),
    Notification.status == Status.SENDING,
    Notification.due_at == bindparam("until"),
)
SENT = CLAIMED.values(status=Status.SENT, sent_at=func.now(), reason=None)
DEAD = CLAIMED.values(status=Status.DEAD, reason=bindparam("why"))
RETRY = CLAIMED.values(
    status=Status.RETRYING, reason=bindparam("why"), due_at=func.now() + bindparam("pause", type_=Interval)
)


class Deliverer:
    """Delivers notifications by id; safe to call from many threads."""

    def __init__(self, config: Config, database: Engine) -> None:
        self._config = config
        self._database = at_once(database)
        self._lease = config.delivery_timeout_seconds * LEASE_TIMEOUTS
        self._sms = sms.provider(config)
        self._mail = Mail(config)
        self._providers = {Channel.SMS: config.sms_provider, Channel.EMAIL: "smtp"}

    def deliver(self, identifier: str, request_id: str) -> None:
        """Try one notification if it is due and nobody else has it; a nudge too many does nothing."""
        with structlog.contextvars.bound_contextvars(request_id=request_id, id=identifier):
            try:
                row = self._claim(UUID(identifier))
                if row is not None:
                    self._try(row)
            except SQLAlchemyError as error:
                log.warning("database unavailable, the sweeper will find it", kind=type(error).__name__)

    def _claim(self, identifier: UUID) -> Notification | None:
        """Take a due row for as long as its lease; whoever dies with it lets it go when the lease ends."""
        values = {"which": identifier, "lease": timedelta(seconds=self._lease)}
        with Session(self._database) as session:
            return session.scalars(CLAIM, values).one_or_none()

    def _try(self, row: Notification) -> None:
        begun = time.monotonic()
        try:
            self._send(row)
        except FailedError as failure:
            SECONDS.labels(row.channel).observe(time.monotonic() - begun)
            self._failed(row, failure, begun)
        else:
            SECONDS.labels(row.channel).observe(time.monotonic() - begun)
            self._finish(row, "sent", begun, SENT)

    def _send(self, row: Notification) -> None:
        """Hand it over, or raise FailedError."""
        if row.attempts > self._config.delivery_attempts:  # its last worker died with it
            raise RefusedError("its last try was cut off")
        try:
            if row.channel == Channel.SMS:
                self._sms.send(row.to, row.body, str(row.id))
            else:
                self._mail.send(row.to, row.subject or "", row.body, str(row.id))
        except FailedError:
            raise
        except Exception as error:
            log.exception("a bug in the worker")
            raise UnavailableError(f"a bug in the worker ({type(error).__name__})") from None

    def _failed(self, row: Notification, failure: FailedError, begun: float) -> None:
        if isinstance(failure, RefusedError) or row.attempts >= self._config.delivery_attempts:
            self._finish(row, "dead", begun, DEAD, why=failure.reason)
            return
        pause = timedelta(seconds=self._pause(row.attempts))
        self._finish(row, "retry", begun, RETRY, why=failure.reason, pause=pause)

    def _pause(self, attempts: int) -> float:
        """Return the seconds before the next try: doubled each time, and spread between half and whole."""
        whole = self._config.delivery_backoff_seconds * 2.0 ** (attempts - 1)
        return min(whole, self._config.delivery_backoff_max_seconds) * random.uniform(0.5, 1)

    def _finish(self, row: Notification, outcome: str, begun: float, end: Update, **values: object) -> None:
        """Write how it went, after an outage of Postgres if need be: what is sent and not written is sent again.

        The lease may end meanwhile. Nobody can claim the row either, and the sweepers let us go first afterwards.
        """
        reason = {"reason": values["why"]} if "why" in values else {}
        TRIES.labels(row.channel, self._providers[Channel(row.channel)], outcome).inc()
        log.info(outcome, channel=row.channel, to=masked(row.to), attempt=row.attempts, **reason)
        while True:
            try:
                return self._write(row, end, values)
            except SQLAlchemyError as error:
                patience = OUTAGE_SECONDS if isinstance(error, database.OUTAGES) else self._lease
                if time.monotonic() - begun > patience:
                    raise
                log.warning("database unavailable, asking again", kind=type(error).__name__)
                time.sleep(REWRITE_SECONDS)

    def _write(self, row: Notification, end: Update, values: dict[str, object]) -> None:
        """Write unless another has the row."""
        with self._database.connect() as connection:
            connection.execute(end, {"which": row.id, "until": row.due_at, **values})
