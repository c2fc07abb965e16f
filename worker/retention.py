"""Retention: what a notification said, and to whom, is forgotten RETENTION_DAYS after its end.

Its row stays, with when, how often and why not. An empty body marks it: none is accepted empty, and the code of
the release before lives with that.
"""

from datetime import timedelta

import structlog
from prometheus_client import Counter
from sqlalchemy import Engine, func, select, update
from sqlalchemy.orm import Session

from model.notification import ENDED, Notification

ERASED = Counter("notifications_erased_total", "Notifications whose content was forgotten.")
AT_ONCE = 500  # rows of one transaction; short enough to hold up nobody
KEPT = Notification.status.in_(ENDED) & (Notification.body != "")
FORGOTTEN = {
    Notification.to: "",
    Notification.subject: None,
    Notification.body: "",
    Notification.idempotency_key: None,  # clients make it of what they know, of a name perhaps
    Notification.client_key: None,
}
log = structlog.get_logger("worker")


def erase(database: Engine, days: int) -> int:
    """Forget the content of what ended more than `days` ago, of AT_ONCE rows at most; return of how many.

    A notification ended when its last lease did, a moment after it was sent or given up.
    """
    query = (
        select(Notification.id)
        .where(KEPT, Notification.due_at < func.now() - timedelta(days=days))
        .limit(AT_ONCE)
        .with_for_update(skip_locked=True)  # who is being replayed stays
    )
    with Session(database) as session, session.begin():
        found = session.scalars(query).all()
        if found:
            session.execute(update(Notification).where(Notification.id.in_(found)).values(FORGOTTEN))
    if found:
        ERASED.inc(len(found))
        log.info("erased", count=len(found))
    return len(found)
