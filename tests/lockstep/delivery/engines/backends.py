"""What tests put behind a proxy: real servers as they are, and sockets that answer what a test says."""

import importlib.util
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from ci.ground import command, ports

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

# Each answers with what it was sent, and ends at once on SIGTERM but for Uvicorn, with whatever it has open.
PYTHON = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = self.rfile.read(int(self.headers["content-length"] or 0))
        self.send_response(200)
        self.send_header("content-length", len(body))
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_GET
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer.request_queue_size = 128
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
NODE = "require('http').createServer((q, a) => q.pipe(a)).listen(+process.argv[1], '127.0.0.1')"
UVICORN = """
import sys, uvicorn
async def app(scope, receive, send):
    assert scope["type"] == "http"
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": body})
uvicorn.run(app, port=int(sys.argv[1]), lifespan="off", log_level="error")
"""
SERVERS = {"python": [sys.executable, "-c", PYTHON]}
SERVERS |= {"node": ["node", "-e", NODE]} if shutil.which("node") else {}
SERVERS |= {"uvicorn": [sys.executable, "-c", UVICORN]} if importlib.util.find_spec("uvicorn") else {}


def serve(name: str, folder: Path) -> tuple[psutil.Process, int]:
    """Start a real server at a free port, and return when it listens there."""
    port = ports.free()
    process = psutil.Process(command.spawn([*SERVERS[name], str(port)], log=folder / f"{name}.log").pid)
    wait(lambda: listens(port), (folder / f"{name}.log").read_text)
    return process, port


def wait(condition: Callable[[], object], text: Callable[[], object] = lambda: "", seconds: float = 15) -> None:
    """Return when a condition holds; fail with a text when it does not within seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, text()
        time.sleep(0.005)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((ports.HOST, port)) == 0


@dataclass
class Backend:
    """A socket that answers as a test says, and what it was sent before the first answer."""

    port: int
    heads: list[bytes] = field(default_factory=list)


@contextmanager
def backend(answer: bytes | Callable[[socket.socket, bytes], None] = OK) -> Iterator[Backend]:
    """Answer each connection, after a head, with bytes or by a function that gets the socket and that head."""
    with socket.create_server((ports.HOST, 0), backlog=128) as server:
        running = Backend(server.getsockname()[1])

        def one(connection: socket.socket) -> None:
            with closing(connection), suppress(OSError):
                if head := read_to(connection, b"\r\n\r\n"):
                    running.heads.append(head)
                    connection.sendall(answer) if isinstance(answer, bytes) else answer(connection, head)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=one, args=[server.accept()[0]], daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield running
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def read_to(connection: socket.socket, end: bytes) -> bytes:
    """Return what is sent up to some bytes or the end of the connection."""
    data = b""
    while end not in data and (more := connection.recv(65536)):
        data += more
    return data
