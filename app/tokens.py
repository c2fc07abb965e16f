"""Bearer tokens: several are valid at once, so that one can be replaced while the other works."""

import hashlib
import hmac
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param

from app.problems import Problem
from config import Secret

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
bearer = HTTPBearer(auto_error=False, description="one of API_TOKENS")  # for the documentation; the route checks


def guarded(tokens: Secret) -> type[APIRoute]:
    """Return the class of routes that let a request in whose token is one of these, separated by commas.

    A route, not a dependency: FastAPI would read the body first, and a stranger would learn what is wrong with it.
    """
    valid = [_hash(token) for token in tokens.reveal().split(",")]

    class Guarded(APIRoute):
        def get_route_handler(self) -> Handler:
            handle = super().get_route_handler()

            async def check(request: Request) -> Response:
                _require(request.headers.get("authorization"), valid)
                return await handle(request)

            return check

    return Guarded


def _require(authorization: str | None, valid: list[bytes]) -> None:
    """Compare hashes, every one of them, each in constant time, so that an answer's time tells nothing."""
    scheme, given = get_authorization_scheme_param(authorization)
    known = [hmac.compare_digest(_hash(given), one) for one in valid]
    if scheme.lower() != "bearer" or not any(known):
        raise Problem(401, "a valid bearer token is needed", headers={"WWW-Authenticate": "Bearer"})


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
