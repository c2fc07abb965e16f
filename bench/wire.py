"""The two ends of bench/load.py, light on the processor: clients that never rest, a provider that is slow."""

import asyncio
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import uvloop

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
CREATED = b'{"status":"delivered"}'
ANSWER = b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
    len(CREATED),
    CREATED,
)


class Messages(asyncio.Protocol):
    """A connection over which HTTP messages come, one at a time, each with a length."""

    transport: asyncio.WriteTransport

    def __init__(self) -> None:
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.WriteTransport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        """Take what came; the message, once all of it is there."""
        self._rest += data
        head, end, body = self._rest.partition(b"\r\n\r\n")
        length = LENGTH.search(head + b"\r\n")
        if end and len(body) >= int(length[1] if length else 0):
            self._rest = b""
            self.came(head)

    def came(self, head: bytes) -> None:
        """Do what is to be done once a message came."""
        raise NotImplementedError


class Client(Messages):
    """Asks, and asks again as soon as it is answered; `answered` takes the seconds, and says whether to go on."""

    def __init__(self, request: Callable[[], bytes], answered: Callable[[float], bool]) -> None:
        super().__init__()
        self._request, self._answered = request, answered
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        super().connection_made(transport)
        self._ask()

    def came(self, head: bytes) -> None:
        """Note how long it took."""
        seconds = time.perf_counter() - self._begun
        if not head.startswith(b"HTTP/1.1 202 "):
            self.ended.set_exception(ValueError(head.decode("latin-1")))  # a failure is not fast, it is wrong
            self.transport.close()
        elif self._answered(seconds):
            self._ask()
        else:
            self.ended.set_result(None)
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """End, where it has not."""
        if not self.ended.done():
            self.ended.set_exception(exc or ConnectionError("the server went away"))

    def _ask(self) -> None:
        self._begun = time.perf_counter()
        self.transport.write(self._request())


def submit(url: str, request: Callable[[], bytes], connections: int, warm: float, seconds: float) -> list[float]:
    """Submit for so long, after a while that does not count; return how many seconds each answer took."""
    took, place = list[float](), urlsplit(url)
    host, port = place.hostname or "", place.port or 0
    begun = time.perf_counter()

    def answered(one: float) -> bool:
        at = time.perf_counter() - begun
        if warm < at < warm + seconds:
            took.append(one)
        return at < warm + seconds

    async def run() -> None:
        loop = asyncio.get_running_loop()
        made = [
            await loop.create_connection(lambda: Client(request, answered), host, port) for _ in range(connections)
        ]
        await asyncio.gather(*(client.ended for _, client in made))

    uvloop.run(run())
    return took


@dataclass
class Provider:
    """Takes each SMS `seconds` after it came; `came` holds the moments."""

    seconds: float
    url: str = ""
    came: list[float] = field(default_factory=list)


@contextmanager
def provider(seconds: float) -> Iterator[Provider]:
    """Serve a provider until the end of the block, in a thread of its own."""
    made, loop = Provider(seconds), uvloop.new_event_loop()

    class Server(Messages):
        def came(self, head: bytes) -> None:  # noqa: ARG002, all requests are alike
            made.came.append(time.perf_counter())
            loop.call_later(made.seconds, self._answer)

        def _answer(self) -> None:
            if not self.transport.is_closing():
                self.transport.write(ANSWER)

    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        made.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = loop.run_until_complete(loop.create_server(Server, sock=listener))
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            yield made
        finally:
            loop.call_soon_threadsafe(server.close)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
