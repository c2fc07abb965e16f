"""One request and its answer: both are passed on as they come, and at once, between a client and a backend."""

import asyncio
import http
from collections.abc import Callable
from contextlib import suppress

import h11

from ci.ground import ports

IDLE_SECONDS = 75  # of a client that sends nothing, or of a side that takes nothing of what it is sent
REST_SECONDS = 2
HEAD_BYTES = CHUNK_BYTES = 64 * 1024

HOP_BY_HOP = frozenset(b"connection keep-alive proxy-connection te trailer transfer-encoding upgrade".split())
SET_HERE = frozenset((b"x-forwarded-proto", b"x-forwarded-host"))
UPGRADE = [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
CLOSE = [(b"Connection", b"close")]


class RefusedError(Exception):
    """The proxy answers a request itself, with a status."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class BackendError(Exception):
    """A backend closed its connection too early, or does not speak HTTP."""


class ClientError(Exception):
    """A client closed its connection, or was idle for too long."""


class Peer:
    """One side of an exchange: a connection, and what h11 knows of it."""

    def __init__(
        self, role: type[h11.CLIENT | h11.SERVER], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.http = h11.Connection(role, max_incomplete_event_size=HEAD_BYTES)
        self.reader, self.writer = reader, writer
        self.has_answered = self.has_body = False
        self._is_client = role is h11.SERVER  # h11 names our own role
        self._fault = ClientError if self._is_client else BackendError
        writer.transport.set_write_buffer_limits(high=0)  # what `write` was given is the kernel's when it returns

    async def receive(self) -> object:
        """Return h11's next event; only a client has to send one in time."""
        try:
            async with asyncio.timeout(IDLE_SECONDS if self._is_client else None):
                while (event := self.http.next_event()) is h11.NEED_DATA:
                    await self.read()
        except TimeoutError:
            raise self._fault("sent nothing for too long") from None
        return event

    async def read(self) -> None:
        """Give h11 what is sent next; ClientError when a client has closed its connection."""
        try:
            data = await self.reader.read(CHUNK_BYTES)
        except OSError as error:
            raise self._fault("closed the connection") from error
        if self._is_client and not data:
            raise ClientError("closed the connection")
        self.has_answered |= bool(data)
        self.http.receive_data(data)

    async def send(self, event: h11.Event) -> None:
        """Send an event."""
        self.has_body |= isinstance(event, h11.Data)
        await self.write(self.http.send(event) or b"")

    async def write(self, data: bytes) -> None:
        """Send bytes."""
        try:
            self.writer.write(data)
            async with asyncio.timeout(IDLE_SECONDS):
                await self.writer.drain()
        except OSError as error:
            raise self._fault("closed the connection") from error

    async def rest(self) -> None:
        """Read the rest of a request, for a moment: to close before would reset an answer that is on its way."""
        with suppress(OSError, ClientError, h11.RemoteProtocolError):
            if self.http.our_state is h11.MUST_CLOSE:
                self.writer.write_eof()
            async with asyncio.timeout(REST_SECONDS):
                while self.http.their_state is h11.SEND_BODY:
                    await self.receive()
                while self.http.their_state is h11.ERROR and await self.reader.read(CHUNK_BYTES):
                    pass

    def close(self) -> None:
        """Close the connection at once."""
        self.writer.transport.abort()


async def run(client: Peer, backend: Peer, request: h11.Request, is_last: Callable[[], bool]) -> None:
    """Pass on a request and its answer; after an answer that `is_last` the client's connection is closed.

    Raises BackendError without a whole answer, ClientError when the client goes, RefusedError when its body is not
    valid.
    """
    await backend.send(request)
    upload = asyncio.create_task(_upload(client, backend))
    download = asyncio.create_task(_download(client, backend, is_last))
    try:
        await asyncio.wait((upload, download), return_when=asyncio.FIRST_COMPLETED)
        if not download.done():
            await upload  # it raises, unless the next request is here already
        await download
    finally:
        await _end(upload, download)
    if client.http.our_state is h11.SWITCHED_PROTOCOL:
        await _tunnel(client, backend)


def forwarded(client: Peer, request: h11.Request, port: int) -> h11.Request:
    """Return what a backend is asked; RefusedError when two servers could read the request in two ways."""
    headers = dict(request.headers)
    if {b"content-length", b"transfer-encoding"} <= headers.keys():
        raise RefusedError(400, "two lengths of one body")
    if not request.target.startswith(b"/") or set(request.target) & set(b"#\\"):
        raise RefusedError(400, "not a path")
    host = headers.get(b"host", f"{ports.HOST}:{port}".encode())  # a client of HTTP/1.0 need not say
    peer = client.writer.get_extra_info("peername")[0].encode()
    kept = [(name, value) for name, value in _end_to_end(request) if name.lower() not in SET_HERE]
    kept += [] if b"host" in headers else [(b"Host", host)]
    kept += [(b"X-Forwarded-For", peer), (b"X-Forwarded-Proto", b"http"), (b"X-Forwarded-Host", host)]
    # Through a connection of another protocol, such as h2c, private paths could be asked for.
    kept += UPGRADE if headers.get(b"upgrade", b"").lower() == b"websocket" else CLOSE
    target = b"/" + request.target.lstrip(b"/")  # to some servers `//a/b` is the path /b of a host
    return h11.Request(method=request.method, target=target, headers=kept)


async def _upload(client: Peer, backend: Peer) -> None:
    """Pass on the body of a request, then wait until the client goes, which raises ClientError."""
    end = h11.EndOfMessage()
    try:
        with suppress(BackendError):  # it may have answered before it closed
            while client.http.their_state is h11.SEND_BODY:
                event = await client.receive()
                if isinstance(event, h11.Data):
                    await backend.send(event)
                elif isinstance(event, h11.EndOfMessage):
                    end = event
            await backend.send(end)
        while client.http.their_state is h11.SEND_BODY:
            await client.receive()
    except h11.ProtocolError as error:
        raise RefusedError(error.error_status_hint, "not valid HTTP") from error
    await client.read()


async def _download(client: Peer, backend: Peer, is_last: Callable[[], bool]) -> None:
    """Pass on an answer to its end, or until the connection changes to another protocol."""
    speaks_1_1 = client.http.their_http_version == b"1.1"
    event: object = None
    try:
        while not isinstance(event, h11.EndOfMessage) and client.http.our_state is not h11.SWITCHED_PROTOCOL:
            event = await backend.receive()
            if isinstance(event, h11.InformationalResponse):
                if speaks_1_1:
                    await client.send(_informational(event))
            elif isinstance(event, h11.Response):
                closes = is_last() or client.http.they_are_waiting_for_100_continue
                headers = _end_to_end(event) + (CLOSE if closes else [])
                await client.send(
                    h11.Response(status_code=event.status_code, headers=headers, reason=event.reason)
                )
            elif isinstance(event, h11.Data):
                await client.send(event)
            elif isinstance(event, h11.EndOfMessage):
                await client.send(event if speaks_1_1 else h11.EndOfMessage())  # without its trailers
    except h11.ProtocolError as error:
        raise BackendError("did not answer in full, or not in HTTP") from error


async def _tunnel(client: Peer, backend: Peer) -> None:
    """Pass on bytes in both directions until one side ends."""

    async def copy(source: Peer, target: Peer) -> None:
        data = source.http.trailing_data[0]
        while data or (data := await source.reader.read(CHUNK_BYTES)):
            await target.write(data)
            data = b""

    copies = asyncio.create_task(copy(client, backend)), asyncio.create_task(copy(backend, client))
    try:
        await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _end(*copies)


async def _end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _informational(event: h11.InformationalResponse) -> h11.InformationalResponse:
    switches = event.status_code == http.HTTPStatus.SWITCHING_PROTOCOLS
    headers = _end_to_end(event) + (UPGRADE if switches else [])
    return h11.InformationalResponse(status_code=event.status_code, headers=headers, reason=event.reason)


def _end_to_end(event: h11.Request | h11.Response | h11.InformationalResponse) -> list[tuple[bytes, bytes]]:
    """Return the headers that are not about one connection; a body keeps its framing."""
    headers = event.headers
    words = b",".join(value for name, value in headers if name == b"connection").lower().split(b",")
    dropped = HOP_BY_HOP | ({word.strip() for word in words} - {b"host", b"content-length"})
    is_chunked = b"transfer-encoding" in dict(headers)
    if is_chunked:
        dropped |= {b"content-length"}
    kept = [(raw, value) for raw, value in headers.raw_items() if raw.lower() not in dropped]
    return [*kept, (b"Transfer-Encoding", b"chunked")] if is_chunked else kept
