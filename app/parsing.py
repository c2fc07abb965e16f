"""JSON as it comes in, read one way only: what two readers may take differently is refused, not guessed.

A proxy, a log and this api may each take another of two members of one name (CWE-436), so I-JSON (RFC 7493,
section 2.3) wants names to be unique; NaN and Infinity are no JSON (RFC 8259, section 6), nor is UTF-16 between
systems (section 8.1).
"""

import json
from typing import Any, NoReturn

from fastapi import Request

from app.problems import Problem


class StrictRequest(Request):
    """A request whose body is strict JSON."""

    async def json(self) -> Any:
        """Return what the body says; JSONDecodeError when it is no JSON, Problem 400 when it is more than that."""
        return loads(await self.body())


def loads(body: bytes) -> Any:
    """Return the document of a body in UTF-8; JSONDecodeError, or Problem 400 without what was sent."""
    try:
        text = body.decode()
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError):  # no UTF-8, a number of too many digits; endless nesting
        raise Problem(400, "the body cannot be read", where="body") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise Problem(400, "the body has a name twice", where="body")
    return document


def _constant(name: str) -> NoReturn:
    raise json.JSONDecodeError("no JSON", name, 0)
