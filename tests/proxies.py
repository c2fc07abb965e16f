"""A TCP proxy to a server of this machine, and the network's faults: its connections can be cut."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from ci.ground import ports


class Proxy(socketserver.ThreadingTCPServer):
    """Passes on what comes to its address to a port at loopback."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int, host: str) -> None:
        super().__init__((host, 0), Handler)
        self.port = port
        self.open: set[socket.socket] = set()
        self.closed = False

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port, *_ = self.socket.getsockname()
        return host, port

    def verify_request(self, request: object, client_address: object) -> bool:
        """Let nobody in while it is cut."""
        return not self.closed

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Drop every connection, and let nobody in until the end of the block."""
        self.closed = True
        for one in list(self.open):
            with suppress(OSError):  # it ended by itself
                one.shutdown(socket.SHUT_RDWR)
        yield
        self.closed = False


class Handler(socketserver.BaseRequestHandler):
    """One connection."""

    server: Proxy

    def handle(self) -> None:
        """Pass on until one side ends; a server that is away is a connection that ends at once."""
        with suppress(OSError), socket.create_connection((ports.HOST, self.server.port)) as there:
            self.server.open.add(self.request)
            threading.Thread(target=_pass, args=[there, self.request], daemon=True).start()
            _pass(self.request, there)
        self.server.open.discard(self.request)


@contextmanager
def running(port: int, host: str = ports.HOST) -> Iterator[Proxy]:
    """Run a proxy to a port until the end of the block."""
    with Proxy(port, host) as made:
        threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield made
        made.shutdown()


def moved(url: str, address: tuple[str, int]) -> str:
    """Return a URL that leads to another host and port."""
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}{at}{address[0]}:{address[1]}").geturl()


def _pass(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # one of the two has gone
