"""The proxy: it owns the public ports, so that services are replaced behind it without the loss of a request.

Each request has a connection to a backend of its own, which ends with the answer: a backend that is not in
routes.json any more, and has no connection, may be stopped.
"""

import argparse
import asyncio
import errno
import http
import re
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import h11

from ci.delivery.engines.processes import exchange, routes
from ci.delivery.engines.processes.exchange import BackendError, ClientError, Peer, RefusedError
from ci.ground import errors, ports, processes

POLL_SECONDS = 0.04
CONNECT_SECONDS = 2  # for one attempt, and for all together when every backend refuses
GRACE_SECONDS = 10
OPEN_FILES = 10240  # what macOS allows a process
IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"))


class Proxy:
    """Listens at the ports of routes.json; `say` gets a line for each request that no backend answered."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._table, self._say = routes.Table(folder), say
        self._turns: Counter[routes.Route] = Counter()
        self._servers: dict[int, asyncio.Server] = {}
        self._taken: set[int] = set()
        self._clients: set[asyncio.Task[None]] = set()
        self._idle: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Serve until SIGTERM, then let requests in flight end."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stopping.set)
        self._table.refresh()
        for port in self._table.routes:
            self._servers[port] = await self._listen(port)
        self._say(f"listening at {', '.join(map(str, self._servers)) or 'no port yet'}")
        while not self._stopping.is_set():
            await self._follow()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), POLL_SECONDS)
        for server in self._servers.values():
            server.close()
        for task in self._idle:
            task.cancel()
        if self._clients:
            _, unfinished = await asyncio.wait(self._clients, timeout=GRACE_SECONDS)
            if unfinished:
                self._say(f"{len(unfinished)} requests did not end within {GRACE_SECONDS} s")
            for task in unfinished:
                task.cancel()

    async def _listen(self, port: int) -> asyncio.Server:
        try:
            return await asyncio.start_server(partial(self._serve, port), ports.HOST, port, backlog=1024)
        except PermissionError:
            hint = "give the environment a port above 1023, in its plain file"
            raise errors.StartError(f"only root may listen at port {port}", hint) from None
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            holder = processes.listening(port)
            who = f"{holder.name()}, process {holder.pid}" if holder else "another process"
            hint = "stop it, or give the environment another port, in its plain file"
            raise errors.PortInUseError(f"port {port} is in use by {who}", hint) from None

    async def _follow(self) -> None:
        """Listen where routes.json says now; a port that is taken is tried until it is free."""
        self._refresh()
        wanted, taken = self._table.routes.keys(), self._taken
        for port in self._servers.keys() - wanted:
            self._servers.pop(port).close()
        self._taken = set()
        for port in wanted - self._servers.keys():
            try:
                self._servers[port] = await self._listen(port)
                self._say(f"listening at {port}")
            except errors.LockstepError as error:
                self._taken.add(port)
                if port not in taken:
                    self._say(str(error))

    def _refresh(self) -> None:
        try:
            if self._table.refresh():
                self._turns.clear()
        except errors.FormatError as error:
            self._say(str(error))

    async def _serve(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        task, client = asyncio.current_task(), Peer(h11.SERVER, reader, writer)
        assert task  # noqa: S101, for mypy: a task runs this
        self._clients.add(task)
        try:
            while not self._stopping.is_set():
                self._idle.add(task)
                await self._answer(client, port, partial(self._idle.discard, task))
                if {client.http.our_state, client.http.their_state} != {h11.DONE}:
                    break
                client.http.start_next_cycle()
        except (ClientError, asyncio.CancelledError):
            pass  # asyncio of Python 3.11 takes a connection that is cancelled for a bug
        finally:
            self._clients.discard(task)
            self._idle.discard(task)
            client.close()

    async def _answer(self, client: Peer, port: int, begin: Callable[[], None]) -> None:
        """Have one request answered; `begin` is called when it is here."""
        subject = "a request"
        try:
            request = await client.receive()
            begin()
            assert isinstance(request, h11.Request)  # noqa: S101, for mypy: the first event is one
            subject = _subject(request)
            await self._pass_on(client, request, port)
        except h11.ProtocolError as error:
            await self._refuse(client, subject, RefusedError(error.error_status_hint, "not valid HTTP"))
        except RefusedError as refused:
            await self._refuse(client, subject, refused)
        await client.rest()

    async def _refuse(self, client: Peer, subject: str, refused: RefusedError) -> None:
        self._say(f"{refused.status} {subject}: {refused}")
        if client.http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            raise ClientError("got a part of an answer")  # the end of the connection says so
        reason = http.HTTPStatus(refused.status).phrase.encode()
        headers = [(b"Content-Length", b"0"), *exchange.CLOSE]
        await client.send(h11.Response(status_code=refused.status, headers=headers, reason=reason))
        await client.send(h11.EndOfMessage())

    async def _pass_on(self, client: Peer, request: h11.Request, public: int) -> None:
        """Have a request answered by a backend; by another when the first one ended before it did anything."""
        forwarded = exchange.forwarded(client, request, public)
        avoided = 0
        while True:
            backend, port = await self._connect(request, public, avoided)
            try:
                return await exchange.run(client, backend, forwarded, self._stopping.is_set)
            except BackendError as error:
                untouched = not backend.has_answered and not backend.has_body
                if avoided or not untouched or request.method not in IDEMPOTENT:
                    raise RefusedError(502, f"the backend at {port} {error}") from None
                avoided = port
            finally:
                backend.close()

    async def _connect(self, request: h11.Request, public: int, avoided: int) -> tuple[Peer, int]:
        """Return a connection to a backend, and its port; backends may be replaced meanwhile."""
        deadline = time.monotonic() + CONNECT_SECONDS
        while True:
            route, table = self._route(request, public), self._table.routes
            turn = self._turns[route] % max(1, len(route.backends))
            self._turns[route] += 1
            in_turn = route.backends[turn:] + route.backends[:turn]
            for port in sorted(in_turn, key=lambda port: port == avoided):
                with suppress(OSError):
                    async with asyncio.timeout(CONNECT_SECONDS):
                        backend = Peer(h11.CLIENT, *await asyncio.open_connection(ports.HOST, port))
                    self._refresh()
                    if self._table.routes is table:
                        return backend, port
                    backend.close()  # it may have left the routes before it had this connection, and be stopped
            if time.monotonic() > deadline:
                raise RefusedError(503, "no backend accepts connections")
            await asyncio.sleep(POLL_SECONDS)

    def _route(self, request: h11.Request, public: int) -> routes.Route:
        self._refresh()
        host = routes.host_of(dict(request.headers).get(b"host", b"").decode("latin-1"))
        path = routes.path_of(request.target.decode())
        route = self._table.find(public, host, path)
        if route is None or route.hides(path):
            raise RefusedError(404, "a private path" if route else "no route")
        return route


def _subject(request: h11.Request) -> str:
    """Return what a log may say of a request: no query, and nothing of a target that is not a path."""
    path = re.split("[?#]", request.target.decode())[0]
    return f"{request.method.decode()} {path}" if path.startswith("/") else request.method.decode()


def main(arguments: Sequence[str], say: Callable[[str], None]) -> None:
    """Serve until SIGTERM; `say` gets the lines of the log."""
    parser = argparse.ArgumentParser(prog="python -m ci.delivery.engines.processes.proxy")
    parser.add_argument("--tag", help="not used; what the process table is searched by")
    parser.add_argument("folder", type=Path, help="where routes.json is")
    folder = parser.parse_args(arguments).folder
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES if most < 0 else min(OPEN_FILES, most), most))
    proxy = Proxy(folder, lambda line: say(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {line}"))
    asyncio.run(proxy.run())


if __name__ == "__main__":
    from ci import cli
    from ci.cli import console

    with cli.reported():
        main(sys.argv[1:], console.say)
