"""How much the api takes: of one token, for one recipient, and while what it took before waits to be sent."""

import math
import threading
import time
from collections import OrderedDict

from prometheus_client import Counter
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.problems import RETRY_SECONDS, Problem
from model.notification import WAITING, Notification

REFUSED = Counter("api_refused_total", "Requests refused although they fit, by the limit they met.", ["limit"])
LOOK_SECONDS = 1.0  # how long a look at the backlog is good for
BURST_SECONDS = 2.0  # of a token's rate; may come at once
HOUR_SECONDS = 3600.0
MOST_RECIPIENTS = 100_000  # in 20 MB; of more, those that were sent to longest ago are forgotten


class Rate:
    """A token bucket, in this process: a limit that asks Redis would fall, or refuse everybody, when Redis does.

    So a client gets RATE_PER_SECOND of each replica. Not for threads: it lives in the event loop.
    """

    def __init__(self, per_second: float) -> None:
        self._rate = per_second
        self._most = max(1.0, per_second * BURST_SECONDS)
        self._left = self._most
        self._seen = time.monotonic()

    def take(self) -> None:
        """Take one request; Problem 429 when there is none left, with the seconds until there is."""
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._seen) * self._rate)
        self._seen = now
        if self._left < 1:
            REFUSED.labels("rate").inc()
            seconds = math.ceil((1 - self._left) / self._rate)
            raise Problem(429, "this token asks too often", headers={"Retry-After": str(seconds)})
        self._left -= 1


class Recipients:
    """How many notifications a recipient gets: RECIPIENT_PER_HOUR, all at once or spread, of this process.

    SMS without end to one phone harass a person, or are earned by (SMS pumping). The count is kept in this process
    for the reason that `Rate` has, so each replica sends as many.
    """

    def __init__(self, per_hour: int) -> None:
        self._most = per_hour
        self._seconds = HOUR_SECONDS / per_hour  # after each there is room for one more
        self._guard = threading.Lock()
        self._free_at: OrderedDict[str, float] = OrderedDict()  # when a recipient has all its room again

    def take(self, recipient: str) -> None:
        """Take room for one notification; Problem 429 when there is none, with the seconds until there is."""
        now = time.monotonic()
        with self._guard:
            free_at = max(self._free_at.pop(recipient, now), now)
            wait = math.ceil(round(free_at - now - (self._most - 1) * self._seconds, 3))
            self._free_at[recipient] = free_at + (self._seconds if wait <= 0 else 0)
            if len(self._free_at) > MOST_RECIPIENTS:
                self._free_at.popitem(last=False)
        if wait > 0:
            REFUSED.labels("recipient").inc()
            raise Problem(429, "too many for this recipient", headers={"Retry-After": str(wait)})

    def give_back(self, recipient: str) -> None:
        """Give back the room of a notification that was not accepted."""
        with self._guard:
            if recipient in self._free_at:
                self._free_at[recipient] -= self._seconds


class Backlog:
    """Whether as many notifications wait unsent as may: BACKLOG_MAX.

    One request a second looks; in between this process counts what it accepts. So the backlog outgrows the bound
    by what the other replicas accept within a second, no more.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._guard = threading.Lock()
        self._waiting = 0
        self._good_until = 0.0

    def require_room(self, session: Session) -> None:
        """Raise Problem 503 when it is full."""
        now = time.monotonic()
        with self._guard:  # not while it looks: the others go by what was seen last, however slow the database is
            old = now >= self._good_until
            if old:
                self._good_until = now + LOOK_SECONDS
        if old:
            self._waiting = self._look(session)
        if self._waiting >= self._most:
            REFUSED.labels("backlog").inc()
            raise Problem(503, "too many wait to be sent", headers={"Retry-After": RETRY_SECONDS})

    def add(self) -> None:
        """Count one that was accepted."""
        with self._guard:
            self._waiting += 1

    def _look(self, session: Session) -> int:
        """Count them by their index alone, and no further than the bound."""
        waiting = select(Notification.due_at).where(Notification.status.in_(WAITING)).limit(self._most)
        return session.scalars(select(func.count()).select_from(waiting.subquery())).one()
