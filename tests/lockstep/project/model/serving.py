"""An HTTP server that says what its service knows about itself, until SIGTERM."""

import argparse
import json
import signal
import socket
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATHS = ("/healthz", "/readyz", "/version")


def options(program: str, port: str = "--port") -> argparse.Namespace:
    """Return what the command in the schema gives: a port, and the release."""
    parser = argparse.ArgumentParser(prog=program)
    parser.add_argument(port, type=int, dest="port")
    parser.add_argument("--sha", default="")
    parser.add_argument("--release", type=int, default=0)
    parser.add_argument("--state")
    return parser.parse_args()


def serve(given: argparse.Namespace, about: Mapping[str, object]) -> None:
    """Answer at the port until SIGTERM."""
    text = json.dumps({"sha": given.sha, "release": given.release, **about}).encode()
    server = _server(text, socket.create_server(("", given.port)))
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    ended.wait()
    server.shutdown()


def _server(text: bytes, listener: socket.socket) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path in PATHS
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text) if known else 0))
            self.end_headers()
            if known:
                self.wfile.write(text)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002, the base class' own word
            """Say nothing."""

    server = ThreadingHTTPServer(listener.getsockname(), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    return server
