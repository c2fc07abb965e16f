"""JSON as it comes in, read one way only: what two readers may take differently is refused, not guessed.

A proxy, a log and this api may each take another of two members of one name (CWE-436), so I-JSON (RFC 7493,
section 2.3) wants names to be unique; NaN and Infinity are no JSON (RFC 8259, section 6), nor is UTF-16 between
systems (section 8.1).

A body is parsed in the event loop. Its text may be long, but its structure may not: a megabyte of numbers or
members takes a hundred times as long to parse, check and answer as a megabyte of text.
"""

import json
from json.decoder import scanstring  # type: ignore[attr-defined]  # typeshed does not have it
from typing import Any, NoReturn

from fastapi import Request

from app.problems import Problem

MOST_STRINGS = 64  # names and values; a notification has ten
MOST_STRUCTURE = 4096  # characters that are not in a string: blanks, signs, numbers


class StrictRequest(Request):
    """A request whose body is strict JSON."""

    async def json(self) -> Any:
        """Return what the body says; JSONDecodeError when it is no JSON, Problem 400 when it is more than that."""
        return loads(await self.body())


def loads(body: bytes) -> Any:
    """Return the document of a body in UTF-8; JSONDecodeError, or Problem 400 without what was sent."""
    try:
        text = body.decode()
        _require_simple(text)
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError):  # no UTF-8, a number of too many digits; endless nesting
        raise Problem(400, "the body cannot be read", where="body") from None


def _require_simple(text: str) -> None:
    """Raise Problem 400 for more structure than a notification has, by the scanner of strings that json has."""
    structure = position = 0
    for _ in range(MOST_STRINGS + 1):
        quote = text.find('"', position)
        structure += (len(text) if quote < 0 else quote) - position
        if structure > MOST_STRUCTURE:
            break
        if quote < 0:
            return
        _, position = scanstring(text, quote + 1)
    raise Problem(400, "the body has more parts than a notification", where="body")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise Problem(400, "the body has a name twice", where="body")
    return document


def _constant(name: str) -> NoReturn:
    raise json.JSONDecodeError("no JSON", name, 0)
