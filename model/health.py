"""Whether a process can do its work: what /readyz of the api and of the worker say."""

from collections.abc import Mapping

from dramatiq.brokers.redis import RedisBroker
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from model import database, queue

OK = "ok"


def readiness(engine: Engine, broker: RedisBroker) -> dict[str, str]:
    """Return what is said of the database, its schema and the queue: `ok`, or what is wrong."""
    parts = {"database": OK, "schema": OK, "queue": OK}
    try:
        parts["schema"] = database.revision_problem(engine) or OK
    except SQLAlchemyError:
        parts |= {"database": "does not answer", "schema": "unknown"}
    try:
        queue.ping(broker)
    except queue.QueueError:
        parts["queue"] = "does not answer"
    return parts


def ready(parts: Mapping[str, str]) -> bool:
    """Whether all of it is well."""
    return set(parts.values()) == {OK}
