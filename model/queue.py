"""Redis: the nudge that says which notification is due. Losing one loses nothing, the sweeper finds the row."""

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from config import Config

QUEUE = "notifications"
ACTOR = "deliver"
NAMESPACE = "lockstep"
TIMEOUT_SECONDS = 0.5  # with one retry, a request waits no longer than a second for Redis
KEPT_MILLISECONDS = 60_000  # a nudge that failed tells nothing that the row does not

QueueError = RedisError


def broker(config: Config) -> RedisBroker:
    """Return the broker of REDIS_URL; it connects when it is first used.

    Dramatiq's own retries and delays are left out: a row knows how often it was tried and when it is due, also
    after Redis forgot.
    """
    client = Redis.from_url(
        config.redis_url.reveal(),
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 1),
        health_check_interval=10,
    )
    made = RedisBroker(  # type: ignore[no-untyped-call]
        client=client, middleware=[], namespace=NAMESPACE, dead_message_ttl=KEPT_MILLISECONDS
    )
    made.declare_queue(QUEUE)
    return made


def nudge(to: RedisBroker, notification: str, request_id: str) -> None:
    """Say that a notification is due; QueueError when Redis cannot be told."""
    message: dramatiq.Message[None] = dramatiq.Message(
        queue_name=QUEUE, actor_name=ACTOR, args=(notification, request_id), kwargs={}, options={}
    )
    to.enqueue(message)


def length(of: RedisBroker) -> int:
    """Return how many nudges wait or are being followed; QueueError when Redis cannot be asked."""
    return int(of.do_qsize(QUEUE))


def ping(to: RedisBroker) -> None:
    """Ask Redis for nothing; QueueError when it does not answer."""
    to.client.ping()
