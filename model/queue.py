"""Redis: the nudge that says which notification is due. Losing one loses nothing, the sweeper finds the row.

Each channel has a queue of its own, called as the channel is: while one provider hangs, the other's goes on.
"""

from collections.abc import Callable

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from model.notification import Channel
from runtime import Config

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
    for channel in Channel:
        made.declare_queue(channel)
    return made


def nudge(to: RedisBroker, channel: str, notification: str, request_id: str) -> None:
    """Say that a notification is due; QueueError when Redis cannot be told."""
    message: dramatiq.Message[None] = dramatiq.Message(
        queue_name=channel, actor_name=ACTOR, args=(notification, request_id), kwargs={}, options={}
    )
    to.enqueue(message)


def follow(of: RedisBroker, deliver: Callable[[str, str], None]) -> None:
    """Have the nudges of every channel followed by `deliver`, which takes the ids of notification and request."""
    # An actor names one queue, but each message its own, and that is what counts.
    dramatiq.actor(actor_name=ACTOR, queue_name=Channel.SMS, broker=of)(deliver)


def length(of: RedisBroker, channel: str) -> int:
    """Return how many nudges of a channel wait or are being followed; QueueError when Redis cannot be asked."""
    return int(of.do_qsize(channel))


def ping(to: RedisBroker) -> None:
    """Ask Redis for nothing; QueueError when it does not answer."""
    to.client.ping()
