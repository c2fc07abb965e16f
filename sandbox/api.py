"""The HTTP side of the sandbox: the provider's API, and the inbox for people and for programs."""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from sandbox import page
from sandbox.inbox import SMS, Inbox, Message
from sandbox.keys import Keys, LastKeyError

LONGEST_SMS = 1600  # characters, as with Twilio: ten segments
log = logging.getLogger("sandbox")


class Sms(BaseModel):
    """An SMS as it is sent."""

    model_config = ConfigDict(extra="forbid")
    to: str = Field(pattern=r"^\+[1-9][0-9]{6,14}$")  # E.164
    sender: str = Field(alias="from", pattern=r"^(\+[1-9][0-9]{6,14}|[A-Za-z0-9 ]{1,11})$")
    body: str = Field(min_length=1, max_length=LONGEST_SMS)


class NewKey(BaseModel):
    """What the maker of a key calls it, to find it again."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(default="", max_length=64)


class Fault(BaseModel):
    """How the next `count` sends go wrong: they wait `delay` seconds, then answer `status` if there is one."""

    model_config = ConfigDict(extra="forbid")
    status: int | None = Field(default=None, ge=400, le=599)
    delay: float = Field(default=0, ge=0, le=600)
    count: int = Field(default=1, ge=0, le=1_000_000)


@dataclass
class Sandbox:
    """All that the sandbox knows."""

    keys: Keys
    inbox: Inbox
    fault: Fault = field(default_factory=lambda: Fault(count=0))


def _sandbox(request: Request) -> Sandbox:
    sandbox: Sandbox = request.app.state.sandbox
    return sandbox


Here = Annotated[Sandbox, Depends(_sandbox)]
Basic = Annotated[HTTPBasicCredentials | None, Depends(HTTPBasic(auto_error=False))]


def authenticated(sandbox: Here, given: Basic) -> None:
    """Let a valid key in; 401 for everybody else."""
    if given is None or not sandbox.keys.admits(given.username, given.password):
        raise HTTPException(401, "no valid api key", {"WWW-Authenticate": "Basic"})


provider = APIRouter(prefix="/v1", dependencies=[Depends(authenticated)])
people = APIRouter()


@provider.post("/messages", status_code=201)
async def send(
    sms: Sms,
    sandbox: Here,
    response: Response,
    idempotency_key: Annotated[str, Header(max_length=255)] = "",
) -> dict[str, str]:
    """Deliver an SMS, once for each Idempotency-Key."""
    await _fail(sandbox)
    # No await from here on: of two requests with the same key, one finds what the other sent.
    message = sandbox.inbox.sms(idempotency_key)
    if message:
        response.headers["Idempotent-Replayed"] = "true"
        log.info("sms %s was delivered before", message.id)
    else:
        message = sandbox.inbox.add(SMS, to=sms.to, sender=sms.sender, body=sms.body, reference=idempotency_key)
        log.info("sms %s delivered, %s to its sender", message.id, idempotency_key or "nothing")
    return _delivered(message)


@provider.get("/messages")
async def sent(sandbox: Here) -> dict[str, Any]:
    """List the SMS."""
    return {"messages": [_delivered(message) for message in sandbox.inbox.messages(SMS)]}


@provider.get("/keys")
async def keys(sandbox: Here) -> dict[str, Any]:
    """List the keys without their secrets."""
    shown = ("id", "name", "created", "revoked")
    return {"keys": [{word: getattr(key, word) for word in shown} for key in sandbox.keys.all()]}


@provider.post("/keys", status_code=201)
async def create(sandbox: Here, asked: NewKey | None = None) -> dict[str, str]:
    """Make a key."""
    identifier, secret = sandbox.keys.create(asked.name if asked else "")
    log.info("key %s made", identifier)
    return {"id": identifier, "secret": secret}


@provider.delete("/keys/{name}", status_code=204)
async def revoke(name: str, sandbox: Here) -> None:
    """Revoke a key."""
    try:
        sandbox.keys.revoke(name)
    except KeyError:
        raise HTTPException(404, "no such key") from None
    except LastKeyError:
        raise HTTPException(409, "this is the last valid key, make another first") from None
    log.info("key %s revoked", name)


@provider.post("/faults", status_code=204)
async def faults(fault: Fault, sandbox: Here) -> None:
    """Let the next sends go wrong; this takes the place of what was asked for before."""
    sandbox.fault = fault


@people.get("/", response_class=HTMLResponse)
async def inbox(sandbox: Here) -> HTMLResponse:
    """Show the inbox."""
    nonce = secrets.token_urlsafe(16)
    return HTMLResponse(page.render(sandbox.inbox.messages(), nonce), headers=page.headers(nonce))


@people.get("/inbox.html", response_class=HTMLResponse)
async def items(sandbox: Here, if_none_match: Annotated[str, Header()] = "") -> Response:
    """Give the page what it shows, or 304 when that is what it has."""
    headers = {"ETag": sandbox.inbox.tag, "Cache-Control": "no-store"}
    if if_none_match == sandbox.inbox.tag:
        return Response(status_code=304, headers=headers)
    return HTMLResponse(page.items(sandbox.inbox.messages()), headers=headers)


@people.get("/inbox.json")
async def documents(sandbox: Here, response: Response) -> dict[str, Any]:
    """Give programs the inbox."""
    response.headers["Cache-Control"] = "no-store"
    return {"messages": [message.document() for message in sandbox.inbox.messages()]}


@people.get("/healthz")
async def health() -> dict[str, str]:
    """Say that it runs."""
    return {"status": "alive"}


def app(sandbox: Sandbox, hosts: Sequence[str] = ()) -> FastAPI:
    """Return the application; it answers to this machine's names and `hosts`; no website can rebind its own."""
    made = FastAPI(openapi_url=None)
    made.state.sandbox = sandbox
    made.include_router(provider)
    made.include_router(people)
    made.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", *hosts])
    made.add_exception_handler(HTTPException, _error)
    made.add_exception_handler(RequestValidationError, _unprocessable)
    return made


async def _fail(sandbox: Sandbox) -> None:
    fault = sandbox.fault
    if not fault.count:
        return
    fault.count -= 1
    try:
        await asyncio.sleep(fault.delay)
    except asyncio.CancelledError:
        raise HTTPException(503, "the sandbox stops") from None
    if fault.status:
        log.info("sms answered %s, as it was asked to", fault.status)
        raise HTTPException(fault.status, "a fault that was asked for", {"Retry-After": "1"})


def _delivered(message: Message) -> dict[str, str]:
    names = {"id", "from", "to", "body"}
    document = {name: value for name, value in message.document().items() if name in names}
    return document | {"status": "delivered", "created_at": message.received_at}


async def _error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101, it is registered for no other
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _unprocessable(_request: Request, error: Exception) -> JSONResponse:
    """Name what is wrong, not the values: they are somebody's message."""
    assert isinstance(error, RequestValidationError)  # noqa: S101, it is registered for no other
    problems = [f"{'.'.join(str(part) for part in one['loc'][1:])}: {one['type']}" for one in error.errors()]
    return JSONResponse({"error": "; ".join(problems)}, 422)
