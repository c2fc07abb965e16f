"""What a client is told when a request fails: RFC 9457 problem documents, without what it sent or what broke."""

from collections.abc import Mapping
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from model import database

RETRY_SECONDS = "5"  # as the header Retry-After has it
METHOD_NOT_ALLOWED = 405
LONGEST_WHERE = 80  # characters; the name of an unknown field is the client's own
NO_OBJECT = "should be a JSON object, sent as application/json"
WORDS = {  # where Pydantic's own would repeat what was sent, or not help
    "json_invalid": "is not JSON",
    "model_attributes_type": NO_OBJECT,
    "union_tag_invalid": "should be sms or email",
    "union_tag_not_found": "should be sms or email",
    "extra_forbidden": "is not a field of this channel",
}
DOCUMENT = {  # what OpenAPI says of every document below
    "type": "object",
    "required": ["type", "title", "status", "request_id"],
    "properties": {
        "type": {"const": "about:blank"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "request_id": {"type": ["string", "null"]},
        "problems": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["where", "what"],
                "properties": {"where": {"type": "string"}, "what": {"type": "string"}},
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}
MEANINGS = {
    400: "the body cannot be read",
    401: "a valid bearer token is needed",
    403: "the token's scope does not reach this",
    404: "there is no such notification",
    409: "it stands against what is there",
    408: "the body did not come in time",
    413: "the body is too large",
    422: "the request does not fit",
    429: "the token asks too often, or too much is sent to this recipient",
    503: "the database does not answer, or there is too much to do",
}
log = structlog.get_logger("app")


class Problem(HTTPException):
    """A request that cannot be done, and why; `where` is the part of the request that is to blame."""

    def __init__(
        self, status: int, what: str, *, where: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, what, headers)
        self.problems = [{"where": where, "what": what}] if where else []


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says of answers with these statuses."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {one: {"description": MEANINGS[one], "content": content, **_headers(one)} for one in statuses}


def _headers(status: int) -> dict[str, Any]:
    name = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}.get(status)
    return {"headers": {name: {"required": True, "schema": {"type": "string"}}}} if name else {}


def install(app: FastAPI) -> None:
    """Answer every failure with a problem document."""
    app.add_exception_handler(HTTPException, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    for unavailable in database.OUTAGES:
        app.add_exception_handler(unavailable, _unavailable)
    app.add_exception_handler(Exception, _unknown)


def document(status: int, title: str, headers: Mapping[str, str] | None = None, **more: Any) -> JSONResponse:
    """Return a problem document as a response; it names the request, so that its lines in the log can be found."""
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    body = {"type": "about:blank", "title": title, "status": status, "request_id": request_id, **more}
    return JSONResponse(body, status, dict(headers or {}), media_type="application/problem+json")


async def _known(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101, for mypy
    if error.status_code == METHOD_NOT_ALLOWED and (allowed := _allowed(request)):
        error.headers = {"Allow": allowed}
    more = {"problems": error.problems} if isinstance(error, Problem) and error.problems else {}
    return document(error.status_code, str(error.detail), error.headers, **more)


def _allowed(request: Request) -> str | None:
    """Return the methods of every route at this path; Starlette knows but those of the first."""
    offered = request.app.openapi()["paths"].get(request.scope["route"].path, {})
    return ", ".join(sorted(offered)).upper() or None


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101, for mypy
    problems = [{"where": _where(one), "what": _what(one)} for one in error.errors()]
    return document(422, "the request does not fit", problems=problems)


async def _unavailable(_request: Request, error: Exception) -> JSONResponse:
    log.warning("database unavailable", kind=type(error).__name__)
    return document(503, "the database does not answer", {"Retry-After": RETRY_SECONDS})


async def _unknown(_request: Request, error: Exception) -> JSONResponse:
    log.error("unhandled", kind=type(error).__name__, exc_info=error)
    return document(500, "a bug in the api; its log has it under the request's id")


def _where(problem: Mapping[str, Any]) -> str:
    """Return the place as a path: `body.to`, `query.limit`."""
    parts = [str(part) for part in problem["loc"]]
    if parts[1:2] in (["sms"], ["email"]):
        del parts[1]  # Pydantic's name for the kind of body
    if problem["type"].startswith("union_tag"):
        parts.append("channel")
    place = ".".join(part[:LONGEST_WHERE] for part in parts)
    return place.encode("ascii", "backslashreplace").decode()[:LONGEST_WHERE]


def _what(problem: Mapping[str, Any]) -> str:
    return WORDS.get(problem["type"], str(problem["msg"]).removeprefix("Value error, "))
