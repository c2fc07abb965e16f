"""What a client is told when a request fails: RFC 9457 problem documents, without what it sent or what broke."""

from collections.abc import Mapping
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException

RETRY_SECONDS = "5"
log = structlog.get_logger("app")


class Problem(HTTPException):
    """A request that cannot be done, and why."""


def install(app: FastAPI) -> None:
    """Answer every failure with a problem document."""
    app.add_exception_handler(HTTPException, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(DBAPIError, _unavailable)
    app.add_exception_handler(PoolTimeoutError, _unavailable)
    app.add_exception_handler(Exception, _unknown)


def document(status: int, title: str, headers: Mapping[str, str] | None = None, **more: Any) -> JSONResponse:
    """Return a problem document as a response."""
    body = {"type": "about:blank", "title": title, "status": status, **more}
    return JSONResponse(body, status, dict(headers or {}), media_type="application/problem+json")


async def _known(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101, for mypy
    return document(error.status_code, str(error.detail), error.headers)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101, for mypy
    problems = [
        {"where": ".".join(str(part) for part in one["loc"]), "what": one["msg"].removeprefix("Value error, ")}
        for one in error.errors()
    ]
    return document(422, "the request does not fit", problems=problems)


async def _unavailable(_request: Request, error: Exception) -> JSONResponse:
    log.warning("database unavailable", kind=type(error).__name__)
    return document(503, "the database does not answer", {"Retry-After": RETRY_SECONDS})


async def _unknown(_request: Request, error: Exception) -> JSONResponse:
    log.error("unhandled", kind=type(error).__name__, exc_info=error)
    return document(500, "a bug in the api, the log has it under the request's id")
