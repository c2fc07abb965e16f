"""A small HTTP listener that says how the worker is: /healthz, /readyz, /metrics."""

import json
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from model import health

Readiness = Callable[[], dict[str, str]]


def serve(listener: socket.socket, readiness: Readiness) -> ThreadingHTTPServer:
    """Answer at a listening socket from a thread of its own; `shutdown()` ends it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = _answer(self.path, readiness)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002, the name in the base class
            """Say nothing; machines ask every second."""

    server = ThreadingHTTPServer(listener.getsockname()[:2], Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server


def _answer(path: str, readiness: Readiness) -> tuple[HTTPStatus, str, bytes]:
    if path == "/healthz":
        return HTTPStatus.OK, "application/json", b'{"status":"ok"}'
    if path == "/readyz":
        parts = readiness()
        status = HTTPStatus.OK if health.ready(parts) else HTTPStatus.SERVICE_UNAVAILABLE
        return status, "application/json", json.dumps(parts).encode()
    if path == "/metrics":
        return HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest()
    return HTTPStatus.NOT_FOUND, "application/json", b'{"status":"not found"}'
