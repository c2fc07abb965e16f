"""The web part of a product that knows nothing of Lockstep: one answer per path, for a WSGI and an ASGI server."""

import asyncio
import json
import os
import time
from collections.abc import Callable
from typing import Any


def answered(path: str, query: str) -> tuple[int, str]:
    """Return the seconds that an answer takes, and what it says."""
    seconds = 3 if path.endswith("/slow") else 0
    return seconds, json.dumps({"path": path, "query": query, "greeting": os.environ["GREETING"]})


def sync(release: int) -> Callable[..., list[bytes]]:
    """Return the WSGI application of a release."""

    def application(environ: dict[str, str], start_response: Callable[..., Any]) -> list[bytes]:
        path = environ["PATH_INFO"]
        seconds, text = answered(path, environ["QUERY_STRING"])
        time.sleep(seconds)
        if path == "/version":
            text = json.dumps({"release": release})
        data = text.encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
        return [data]

    return application


async def asynchronous(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer as the ASGI application."""
    if scope["type"] == "http":
        seconds, text = answered(scope["path"], scope["query_string"].decode())
        await asyncio.sleep(seconds)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text.encode()})
