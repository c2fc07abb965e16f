"""Bearer tokens: several are valid at once, so that one can be replaced while the other works.

`TOKEN` may do everything, `read:TOKEN` only look, `submit:TOKEN` only submit and replay.
"""

import hashlib
import hmac
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param

from app.limits import Rate
from app.parsing import StrictRequest
from app.problems import Problem
from runtime import Config

NEEDED = {"GET": "read", "POST": "submit"}
Handler = Callable[[Request], Coroutine[Any, Any, Response]]
bearer = HTTPBearer(auto_error=False, description="one of API_TOKENS")  # for the documentation; the route checks


def guarded(config: Config) -> type[APIRoute]:
    """Return the class of routes that let in a request whose token is one of API_TOKENS, RATE_PER_SECOND of each.

    What is let in is read as strict JSON; its `state.client` is the token's hash.
    A route, not a dependency: FastAPI would read the body first, and a stranger would learn what is wrong with it.
    """
    valid = [_parsed(one) for one in config.api_tokens.reveal().split(",")]
    rates = {token: Rate(config.rate_per_second) for token, _ in valid}

    class Guarded(APIRoute):
        def get_route_handler(self) -> Handler:
            handle = super().get_route_handler()

            async def check(request: Request) -> Response:
                token = _require(request.headers.get("authorization"), NEEDED[request.method], valid)
                rates[token].take()
                request.state.client = token
                return await handle(StrictRequest(request.scope, request.receive))

            return check

    return Guarded


def _parsed(text: str) -> tuple[bytes, str]:
    """Return the token's hash, and its scope; the empty one is all."""
    scope, _, token = text.rpartition(":")
    return _hash(token), scope


def _require(authorization: str | None, needed: str, valid: list[tuple[bytes, str]]) -> bytes:
    """Return the hash of the token, which may do what is needed.

    Every hash is compared, each in constant time, so that an answer's time tells nothing.
    """
    scheme, given = get_authorization_scheme_param(authorization)
    hashed = _hash(given)
    known = [(hmac.compare_digest(hashed, one), scope) for one, scope in valid]
    scopes = {scope for same, scope in known if same}
    if scheme.lower() != "bearer" or not scopes:
        raise Problem(401, "a valid bearer token is needed", headers={"WWW-Authenticate": "Bearer"})
    if not scopes & {"", needed}:
        raise Problem(403, f"this token may not {needed}")
    return hashed


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
