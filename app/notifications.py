"""The routes of notifications. Accepted means committed; the queue is told afterwards, and may be told later."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import structlog
from dramatiq.brokers.redis import RedisBroker
from fastapi import APIRouter, Query, Request, Response, Security
from fastapi.routing import APIRoute
from prometheus_client import Counter
from sqlalchemy import Engine, func, select, tuple_, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.problems import Problem, described
from app.schemas import PATH, Page, Receipt, Submission, cursor, place
from app.submission import Bounds, kept
from app.tokens import bearer
from model import queue
from model.database import at_once
from model.notification import Notification, Status

ACCEPTED = Counter("notifications_accepted_total", "Notifications accepted.", ["channel"])
UNNUDGED = Counter("notifications_unnudged_total", "Notifications accepted while the queue did not answer.")
CURSOR: dict[str, Any] = {"format": "cursor"}
log = structlog.get_logger("app")


def routes(database: Engine, broker: RedisBroker, bounds: Bounds, guarded: type[APIRoute]) -> APIRouter:
    """Return the routes under /v1/notifications, each of the guarded class."""
    single = at_once(database)
    router = APIRouter(
        prefix=PATH,
        tags=["notifications"],
        route_class=guarded,
        dependencies=[Security(bearer)],
        responses=described(401, 403, 422, 429, 503),
    )

    @router.post(
        "",
        status_code=202,
        response_model=Receipt,
        summary="Submit a notification",
        responses=described(400, 408, 409, 413),
    )
    def submit(submission: Submission, request: Request) -> Response:
        """Accept it: once this answers 202, it is kept until it is delivered or refused.

        The same idempotency key with the same content is the same notification; with other content it is a 409. A
        key belongs to the token that it came with, and is good until RETENTION_DAYS after its notification was
        sent or given up.
        """
        with Session(single) as session:
            row, new = kept(session, submission, request.state.client, bounds)
        if new:
            bounds.backlog.add()
            ACCEPTED.labels(row.channel).inc()
            _nudge(database, broker, row)
        # Made here: FastAPI would take a second turn in the threads to check what is a Receipt already.
        content = Receipt.of(row).model_dump_json()
        return Response(content, 202, {"Location": f"{PATH}/{row.id}"}, "application/json")

    @router.get("/{identifier}", summary="See what became of one", responses=described(404))
    def show(identifier: UUID) -> Receipt:
        with Session(database) as session:
            return Receipt.of(_found(session.get(Notification, identifier)))

    @router.get("", summary="List, newest first")
    def listed(
        status: Status | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        after: Annotated[
            str | None,
            Query(description="the `next` of the page before", max_length=200, json_schema_extra=CURSOR),
        ] = None,
    ) -> Page:
        query = select(Notification).order_by(Notification.created_at.desc(), Notification.id.desc())
        if status:
            query = query.where(Notification.status == status)
        if after:
            query = query.where(tuple_(Notification.created_at, Notification.id) < _place(after))
        with Session(database) as session:
            rows = session.scalars(query.limit(limit + 1)).all()
        shown = rows[:limit]
        return Page(items=[Receipt.of(row) for row in shown], next=cursor(shown[-1]) if rows[limit:] else None)

    @router.post(
        "/{identifier}/replay", status_code=202, summary="Try a dead one again", responses=described(404, 409)
    )
    def replay(identifier: UUID) -> Receipt:
        with Session(database, expire_on_commit=False) as session, session.begin():
            row = _found(session.get(Notification, identifier, with_for_update=True))
            if row.status != Status.DEAD:
                raise Problem(409, f"it is {row.status}, only a dead one can be replayed")
            if not row.body:
                raise Problem(409, "its content is forgotten, it cannot be sent any more")
            bounds.backlog.require_room(session)
            row.status, row.attempts, row.reason = Status.QUEUED, 0, None
            row.due_at = row.nudged_at = session.scalars(select(func.now())).one()
        bounds.backlog.add()
        _nudge(database, broker, row)
        return Receipt.of(row)

    return router


def _nudge(database: Engine, broker: RedisBroker, row: Notification) -> None:
    """Tell the queue; where it does not answer, mark the row so that the sweeper takes it at once."""
    try:
        queue.nudge(broker, row.channel, str(row.id), row.request_id)
    except queue.QueueError as error:
        UNNUDGED.inc()
        log.warning("queue unavailable, the sweeper will find it", id=str(row.id), kind=type(error).__name__)
        _mark(database, row)


def _mark(database: Engine, row: Notification) -> None:
    try:
        with database.begin() as connection:
            connection.execute(update(Notification).where(Notification.id == row.id).values(nudged_at=None))
    except SQLAlchemyError as error:  # it is accepted all the same, and found a little later
        log.warning("database unavailable", id=str(row.id), kind=type(error).__name__)


def _found(row: Notification | None) -> Notification:
    if row is None:
        raise Problem(404, "there is no such notification")
    return row


def _place(text: str) -> tuple[datetime, UUID]:
    try:
        return place(text)
    except ValueError:
        raise Problem(422, "after is no cursor of this list", where="query.after") from None
