"""Bearer tokens: several are valid at once, so that one can be replaced while the other works."""

import hashlib
import hmac
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.problems import Problem
from config import Secret

bearer = HTTPBearer(auto_error=False, description="one of API_TOKENS")


def required(tokens: Secret) -> Callable[..., None]:
    """Return the dependency that lets a request in whose token is one of these, separated by commas.

    Hashes are compared, every one of them, each in constant time, so that an answer's time tells nothing.
    """
    valid = [_hash(token) for token in tokens.reveal().split(",")]

    def check(given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> None:
        offered = _hash(given.credentials if given else "")
        if not any([hmac.compare_digest(offered, one) for one in valid]):  # noqa: C419, a generator would stop early
            raise Problem(401, "a bearer token is needed, and this is none", {"WWW-Authenticate": "Bearer"})

    return check


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()
