"""A worker's surroundings: its database, its queue, the provider, the mail server."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from sqlalchemy import Engine
from sqlalchemy.orm import Session

import runtime
from model import database, migrate, queue
from model.notification import Channel, Notification, Status
from tests import services
from tests.worker.mailserver import MailServer, mail_server
from worker.delivery import Deliverer
from worker.sweeper import Sweeper

SMS: dict[str, Any] = {"channel": "sms", "to": "+14155550123", "body": "hello"}
EMAIL: dict[str, Any] = {"channel": "email", "to": "anna@example.com", "subject": "news", "body": "hello"}


@dataclass
class Bench:
    """All of it; a test begins with `emptied`."""

    environ: dict[str, str]
    engine: Engine
    broker: RedisBroker
    provider: services.Provider
    mail: MailServer

    def emptied(self) -> "Bench":
        """Return it without notifications, nudges, and memories of earlier tests."""
        services.execute(self.environ, "TRUNCATE notifications")
        self.broker.client.flushdb()
        self.provider.reset()
        self.mail.reset()
        return self

    def accept(self, *, nudged: bool = False, **fields: Any) -> str:
        """Make a row as the api does, of an SMS or what the fields make of it; return its id."""
        row = Notification(id=uuid4(), request_id="r", **SMS | fields)
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            session.add(row)
        if nudged:
            self.nudge(str(row.id))
        return str(row.id)

    def nudge(self, identifier: str) -> None:
        """Tell the queue."""
        queue.nudge(self.broker, self.row(identifier).channel, identifier, "r")

    def nudges(self) -> int:
        """Return how many nudges the queues hold."""
        return sum(queue.length(self.broker, channel) for channel in Channel)

    def row(self, identifier: str) -> Notification:
        """Return a row as it is now."""
        with Session(self.engine) as session:
            return session.get_one(Notification, UUID(identifier))

    def state(self, identifier: str) -> tuple[str, int, str | None]:
        """Return a row's status, attempts and reason."""
        row = self.row(identifier)
        return row.status, row.attempts, row.reason

    def is_(self, identifier: str, status: Status) -> bool:
        """Whether a row has a status."""
        return self.row(identifier).status == status

    def set(self, **values: str) -> None:
        """Set columns of all rows to SQL expressions."""
        columns = ", ".join(f"{name} = {value}" for name, value in values.items())
        services.execute(self.environ, f"UPDATE notifications SET {columns}")

    def deliverer(self, **environ: str) -> Deliverer:
        """Return a worker's heart; the keys replace those of the environment."""
        return Deliverer(runtime.load("worker", self.environ | environ), self.engine)

    def deliver(self, identifier: str, **environ: str) -> tuple[str, int, str | None]:
        """Follow one nudge, here and now; return what became of the row."""
        self.deliverer(**environ).deliver(identifier, "r")
        return self.state(identifier)

    @contextmanager
    def working(self, **environ: str) -> Iterator[None]:
        """Take nudges from the queue and sweep, in threads, until the end of the block."""
        broker = queue.broker(runtime.load("worker", self.environ | environ))
        deliver = self.deliverer(**environ).deliver
        queue.follow(broker, deliver)
        worker = dramatiq.Worker(broker, worker_threads=4, worker_timeout=20)
        sweeper = Sweeper(self.engine, broker, retention_days=30)
        worker.start()
        sweeper.start()
        try:
            yield
        finally:
            sweeper.stop()
            worker.stop(timeout=5000)
            broker.client.close()


@contextmanager
def surroundings(postgres_url: str, redis_url: str) -> Iterator[Bench]:
    """Set it all up in a database of its own, and a Redis of the number 2."""
    environ = services.environment(services.new_database(postgres_url), services.numbered(redis_url, 2))
    user, password = environ["SMTP_USERNAME"], environ["SMTP_PASSWORD"]
    with services.provider() as provider, mail_server(user, password) as mail:
        environ |= {"SMS_PROVIDER_URL": provider.url, "SMTP_PORT": str(mail.port)}
        settings = runtime.load("worker", environ)
        engine, broker = database.engine(settings), queue.broker(settings)
        migrate.upgrade(engine)
        yield Bench(environ, engine, broker, provider, mail)
        engine.dispose()
        broker.client.close()
