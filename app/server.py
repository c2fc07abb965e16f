"""Uvicorn, but one that loses no request when it is told to stop.

Plain Uvicorn closes idle keep-alive connections at once, and a request that is on its way over one is lost. Here
the listeners close first, every answer says `Connection: close`, and only after a moment idle connections go.
"""

import asyncio
import math
import signal
import socket
import sys

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime import Config

LINGER_SECONDS = 1.0  # a client that was answered before sees `Connection: close` within this time, or is idle
CAUTION = [
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
]
KEEP_ALIVE_SECONDS = 75  # longer than the proxy keeps an idle connection, so that the proxy ends it


class Draining:
    """Middleware that says `Connection: close` once the server drains."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""

        async def closing(message: Message) -> None:
            if self.draining and message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        await self.app(scope, receive, closing)


class DrainingServer(uvicorn.Server):
    """Uvicorn's server with a moment between the listeners' end and the connections'."""

    def __init__(self, settings: uvicorn.Config, drain: Draining) -> None:
        super().__init__(settings)
        self.drain = drain

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listeners, answer what still comes, then end as Uvicorn does."""
        self.drain.draining = True
        for server in self.servers:
            server.close()
        for one in sockets or []:
            one.close()
        await asyncio.sleep(LINGER_SECONDS)
        await super().shutdown(sockets)


def settings(app: ASGIApp, config: Config) -> uvicorn.Config:
    """Return Uvicorn's settings; its headers stand also in what it answers itself, when a request is no HTTP."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        headers=CAUTION,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=math.ceil(max(config.shutdown_grace_seconds - LINGER_SECONDS, 0)),
    )


def serve(app: ASGIApp, config: Config, sockets: list[socket.socket]) -> None:
    """Answer requests at these sockets until SIGTERM, drain within SHUTDOWN_GRACE_SECONDS, and exit with 0."""
    drain = Draining(app)
    for number in (signal.SIGTERM, signal.SIGINT):  # Uvicorn raises the signal again when it is done
        signal.signal(number, lambda *_: sys.exit(0))
    DrainingServer(settings(drain, config), drain).run(sockets)
