"""What happens to every request: an id, limits, a line in the log, a count in the metrics."""

import asyncio
import re
import time
from uuid import uuid4

import structlog
from prometheus_client import Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import docs
from app.limits import REFUSED
from app.problems import RETRY_SECONDS, Problem, document

LARGEST_BODY = 1024 * 1024  # bytes; the longest e-mail fits, whatever its language
BODY_SECONDS = 30.0  # for all of it; who is slower would hold one of API_CONCURRENCY
SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
METHODS = (
    "DELETE",
    "GET",
    "HEAD",
    "OPTIONS",
    "PATCH",
    "POST",
    "PUT",
)  # others would be labels that anybody makes up
DURATION = Histogram("api_request_seconds", "Time to answer a request.", ["method", "route", "status"])
UNLOGGED = ("/healthz", "/readyz", "/metrics")  # asked every second by machines
NOTHING = b"default-src 'none'; frame-ancestors 'none'"  # a browser that shows an answer runs nothing of it
log = structlog.get_logger("app")


class Requests:
    """ASGI middleware around everything else."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app = app
        self._most = most
        self._working = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with its id in the log's context, and account for it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 0
        identifier = _identifier(scope)

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                policy = docs.POLICY if scope["path"] == docs.PATH else NOTHING
                more = [(b"x-request-id", identifier.encode()), (b"content-security-policy", policy)]
                message["headers"] = [*message.get("headers", ()), *more]
            await send(message)

        counted = scope["path"] not in UNLOGGED
        busy = counted and self._working >= self._most
        self._working += counted
        with structlog.contextvars.bound_contextvars(request_id=identifier):
            try:
                await (_busy() if busy else self.app)(scope, _limited(scope, receive), answer)
            except Exception:
                if not status:  # else it was answered and logged, and Starlette raises it for Uvicorn to log again
                    raise
            finally:
                self._working -= counted
                _account(scope, status, time.perf_counter() - begun)


def _busy() -> ASGIApp:
    """Return the answer to one request too many: what waits for a thread waits in memory, with its body."""
    REFUSED.labels("concurrency").inc()
    return document(503, "too many requests at once", {"Retry-After": RETRY_SECONDS})


def _identifier(scope: Scope) -> str:
    given = _header(scope, b"x-request-id")
    return given if SANE_ID.fullmatch(given) else uuid4().hex


def _header(scope: Scope, name: bytes) -> str:
    return str(next((value for key, value in scope["headers"] if key == name), b"").decode("latin-1"))


def _limited(scope: Scope, receive: Receive) -> Receive:
    """Return a `receive` that ends a request whose body is too large, as announced or as it comes, or too slow."""
    announced = _header(scope, b"content-length")
    expected = int(announced) if announced.isdecimal() else 0
    seen = 0
    end: float | None = asyncio.get_running_loop().time() + BODY_SECONDS

    async def counted() -> Message:
        nonlocal seen, end
        try:
            async with asyncio.timeout_at(end):
                message = await receive()
        except TimeoutError:
            raise Problem(408, "the body did not come in time", headers={"Connection": "close"}) from None
        if not message.get("more_body"):
            end = None  # what comes now is the client's leaving
        seen += len(message.get("body", b""))
        if max(seen, expected) > LARGEST_BODY:
            raise Problem(413, f"the body is larger than {LARGEST_BODY} bytes", where="body")
        return message

    return counted


def _account(scope: Scope, status: int, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", "unknown")
    method = scope["method"] if scope["method"] in METHODS else "other"
    DURATION.labels(method, route, status).observe(seconds)
    if route not in UNLOGGED:
        log.info("request", method=method, route=route, status=status, ms=round(seconds * 1000, 1))
