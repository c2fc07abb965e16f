"""A small HTTP listener that says how the worker is: /healthz, /readyz, /version, /metrics."""

import json
import socket
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from model import health

Readiness = Callable[[], Mapping[str, str]]
Answer = tuple[HTTPStatus, str, bytes]


def serve(listener: socket.socket, readiness: Readiness, version: Mapping[str, object]) -> ThreadingHTTPServer:
    """Answer at a listening socket from a thread of its own; `shutdown()` ends it."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # seconds that a silent client may hold a thread

        def do_GET(self) -> None:
            status, kind, body = _answer(self.path, readiness, version)
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


def _answer(path: str, readiness: Readiness, version: Mapping[str, object]) -> Answer:
    if path == "/healthz":
        return _json(HTTPStatus.OK, {"status": "ok"})
    if path == "/readyz":
        parts = readiness()
        return _json(HTTPStatus.OK if health.ready(parts) else HTTPStatus.SERVICE_UNAVAILABLE, parts)
    if path == "/version":
        return _json(HTTPStatus.OK, version)
    if path == "/metrics":
        return HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest()
    return _json(HTTPStatus.NOT_FOUND, {"status": "not found"})


def _json(status: HTTPStatus, document: Mapping[str, object]) -> Answer:
    return status, "application/json", json.dumps(document, separators=(",", ":")).encode()  # as the api does
