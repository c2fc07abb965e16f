"""A submission becomes a row, once for each idempotency key."""

from uuid import uuid4

import structlog
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.limits import Backlog
from app.problems import Problem
from app.schemas import Submission
from model.notification import Notification, Status

CONTENT = ("channel", "to", "subject", "body")
INSERT = (
    insert(Notification)
    .on_conflict_do_nothing(index_elements=["idempotency_key"])
    .returning(Notification.created_at, Notification.due_at)
)


def kept(session: Session, submission: Submission, backlog: Backlog) -> tuple[Notification, bool]:
    """Return the row of a submission, and whether it is new; a full backlog refuses only what is."""
    while True:  # again when the row of the same key was forgotten in between
        room = backlog.has_room(session)
        if room and (row := _insert(session, submission)):
            return row, True
        if row := _earlier(session, submission):
            return row, False
        if not room:
            backlog.refuse()


def _insert(session: Session, submission: Submission) -> Notification | None:
    """Return the new row; None when its idempotency key was used before."""
    values = submission.model_dump() | {
        "id": uuid4(),
        "request_id": structlog.contextvars.get_contextvars()["request_id"],
        "status": Status.QUEUED,
        "attempts": 0,
    }
    row = Notification(**values)
    values["recipient"] = values.pop("to")
    # By the connection: the session would make the row of what it knows already, at a sixth of the whole request.
    made = session.connection().execute(INSERT, values).one_or_none()
    if made is None:
        return None
    row.created_at, row.due_at = made
    return row


def _earlier(session: Session, submission: Submission) -> Notification | None:
    """Return the row that used the idempotency key first."""
    if submission.idempotency_key is None:
        return None
    query = select(Notification).where(Notification.idempotency_key == submission.idempotency_key)
    row = session.scalars(query).one_or_none()
    if row and any(getattr(row, name) != getattr(submission, name) for name in CONTENT):
        raise Problem(409, "this key was used for another content", where="body.idempotency_key")
    return row
