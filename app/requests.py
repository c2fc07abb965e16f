"""What happens to every request: an id, a limit, a line in the log, a count in the metrics."""

import re
import time
from uuid import uuid4

import structlog
from prometheus_client import Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import problems

LARGEST_BODY = 128 * 1024  # bytes; the longest notification is well below
SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
DURATION = Histogram("api_request_seconds", "Time to answer a request.", ["method", "route", "status"])
UNLOGGED = ("/healthz", "/readyz", "/metrics")  # asked every second by machines
SECURITY = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
]
log = structlog.get_logger("app")


class TooLargeError(Exception):
    """The body is larger than any that this api takes."""


class Requests:
    """ASGI middleware around everything else."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with its id in the log's context, and account for it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 500
        identifier = _identifier(scope)
        structlog.contextvars.bind_contextvars(request_id=identifier)

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                more = [(b"x-request-id", identifier.encode()), *SECURITY]
                message["headers"] = [*message.get("headers", ()), *more]
            await send(message)

        try:
            await self.app(scope, _limited(receive), answer)
        except TooLargeError:
            await problems.document(413, f"the body is larger than {LARGEST_BODY} bytes")(scope, receive, answer)
        finally:
            _account(scope, status, time.perf_counter() - begun)
            structlog.contextvars.unbind_contextvars("request_id")


def _identifier(scope: Scope) -> str:
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"").decode("latin-1")
    return given if SANE_ID.fullmatch(given) else uuid4().hex


def _limited(receive: Receive) -> Receive:
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > LARGEST_BODY:
            raise TooLargeError
        return message

    return counted


def _account(scope: Scope, status: int, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", "unknown")
    DURATION.labels(scope["method"], route, status).observe(seconds)
    if route not in UNLOGGED:
        log.info("request", method=scope["method"], route=route, status=status, ms=round(seconds * 1000, 1))
