"""How much the api takes: of one token, and while what it took before still waits to be sent."""

import math
import threading
import time
from typing import NoReturn

from prometheus_client import Counter
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.problems import RETRY_SECONDS, Problem
from model.notification import WAITING, Notification

REFUSED = Counter("api_refused_total", "Requests refused although they fit, by the limit they met.", ["limit"])
LOOK_SECONDS = 1.0  # how long a look at the backlog is good for
BURST_SECONDS = 2.0  # of a token's rate; may come at once


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
        if not self.has_room(session):
            self.refuse()

    def refuse(self) -> NoReturn:
        """Raise Problem 503."""
        REFUSED.labels("backlog").inc()
        raise Problem(503, "too many wait to be sent", headers={"Retry-After": RETRY_SECONDS})

    def has_room(self, session: Session) -> bool:
        """Whether one more may come."""
        now = time.monotonic()
        with self._guard:  # not while it looks: the others go by what was seen last, however slow the database is
            old = now >= self._good_until
            if old:
                self._good_until = now + LOOK_SECONDS
        if old:
            self._waiting = self._look(session)
        return self._waiting < self._most

    def add(self) -> None:
        """Count one that was accepted."""
        with self._guard:
            self._waiting += 1

    def _look(self, session: Session) -> int:
        """Count them by their index alone, and no further than the bound."""
        waiting = select(Notification.due_at).where(Notification.status.in_(WAITING)).limit(self._most)
        return session.scalars(select(func.count()).select_from(waiting.subquery())).one()
