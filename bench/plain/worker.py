"""Its worker: `python -m bench.plain.worker`, WORKER_CONCURRENCY messages at once until it is killed."""

import os
import signal
from uuid import UUID

import dramatiq
import httpx
from sqlalchemy.orm import Session

from bench.plain import store

database, broker = store.database(os.environ["DATABASE_URL"]), store.broker(os.environ["REDIS_URL"])
dramatiq.set_broker(broker)
concurrency = int(os.environ["WORKER_CONCURRENCY"])
identifier, _, secret = os.environ["SMS_PROVIDER_API_KEY"].partition(":")
client = httpx.Client(
    base_url=os.environ["SMS_PROVIDER_URL"],
    auth=(identifier, secret),
    limits=httpx.Limits(max_connections=concurrency),
)


@dramatiq.actor(actor_name=store.ACTOR, queue_name=store.QUEUE)
def deliver(identifier: str) -> None:
    """Send a message and mark it sent; no connection to Postgres is held meanwhile."""
    with Session(database, expire_on_commit=False) as session:
        row = session.get_one(store.Message, UUID(identifier))
    message = {"to": row.recipient, "from": os.environ["SMS_SENDER"], "body": row.body}
    client.post("/v1/messages", json=message).raise_for_status()
    with Session(database) as session:
        session.add(row)
        row.status = "sent"
        session.commit()


if __name__ == "__main__":
    dramatiq.Worker(broker, worker_threads=concurrency).start()
    signal.pause()
