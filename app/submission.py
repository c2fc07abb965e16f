"""A submission becomes a row, once for each idempotency key of a client."""

import hashlib
from dataclasses import dataclass
from uuid import uuid4

import structlog
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.destinations import Destinations
from app.limits import Backlog, Recipients
from app.problems import Problem
from app.schemas import Submission
from model.notification import Channel, Notification, Status

CONTENT = ("channel", "to", "subject", "body")
INSERT = insert(Notification).on_conflict_do_nothing().returning(Notification.created_at, Notification.due_at)


@dataclass(frozen=True)
class Bounds:
    """What a new notification must fit in."""

    destinations: Destinations
    recipients: Recipients
    backlog: Backlog


def kept(session: Session, submission: Submission, client: bytes, bounds: Bounds) -> tuple[Notification, bool]:
    """Return the row of a client's submission, and whether it is new; the limits refuse only what is.

    The release before looks for `idempotency_key` alone, which is unique. Until it is gone, each key stands there
    as well, unless it stands there for another client.
    """
    if submission.channel == Channel.SMS:
        bounds.destinations.require(submission.to)
    key = _key_of(submission, client)
    shared = submission.idempotency_key
    while True:  # again when the row of the same key was forgotten in between
        refusal = None
        try:
            if row := _admitted(session, submission, {"client_key": key, "idempotency_key": shared}, bounds):
                return row, True
        except Problem as problem:
            refusal = problem
        if row := _earlier(session, submission, key):
            return row, False
        if refusal:
            raise refusal
        shared = None


def _key_of(submission: Submission, client: bytes) -> bytes | None:
    """Return what stands for an idempotency key and its client, and tells neither."""
    if submission.idempotency_key is None:
        return None
    return hashlib.sha256(client + submission.idempotency_key.encode()).digest()


def _admitted(
    session: Session, submission: Submission, keys: dict[str, bytes | str | None], bounds: Bounds
) -> Notification | None:
    """Return the new row; None when a key of it was used before; Problem when it is too much."""
    bounds.backlog.require_room(session)
    recipient = submission.to.lower()
    bounds.recipients.take(recipient)
    row = None
    try:
        row = _inserted(session, submission, keys)
    finally:
        if row is None:
            bounds.recipients.give_back(recipient)
    return row


def _inserted(
    session: Session, submission: Submission, keys: dict[str, bytes | str | None]
) -> Notification | None:
    values = submission.model_dump() | keys
    values |= {
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


def _earlier(session: Session, submission: Submission, key: bytes | None) -> Notification | None:
    """Return the row for which the client used the key first; Problem 409 when that has another content.

    A row of the release before has no client: it is this one's if it says the same.
    """
    if key is None:
        return None
    mine = select(Notification).where(Notification.client_key == key, Notification.body != "")
    if row := session.scalars(mine).one_or_none():
        if not _same(row, submission):
            raise Problem(409, "this key was used for another content", where="body.idempotency_key")
        return row
    of_any = select(Notification).where(
        Notification.idempotency_key == submission.idempotency_key, Notification.client_key.is_(None)
    )
    row = session.scalars(of_any).one_or_none()
    return row if row and _same(row, submission) else None


def _same(row: Notification, submission: Submission) -> bool:
    return all(getattr(row, name) == getattr(submission, name) for name in CONTENT)
