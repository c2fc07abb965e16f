"""An HTTP server that says what its service knows about itself, until SIGTERM."""

import argparse
import json
import signal
import socket
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATHS = ("/healthz", "/readyz", "/version")


def options(program: str, port: str, descriptor: str) -> argparse.Namespace:
    """Return what an engine gives on the command line: a port or descriptors that listen, and the release."""
    parser = argparse.ArgumentParser(prog=program)
    parser.add_argument(port, type=int, dest="port")
    parser.add_argument(descriptor, type=int, action="append", default=[], dest="descriptors")
    parser.add_argument("--sha", default="")
    parser.add_argument("--release", type=int, default=0)
    return parser.parse_args()


def serve(given: argparse.Namespace, about: Mapping[str, object]) -> None:
    """Answer at the port, or at every descriptor, until SIGTERM."""
    text = json.dumps({"sha": given.sha, "release": given.release, **about}).encode()
    listeners = [socket.socket(fileno=one) for one in given.descriptors]
    servers = [_server(text, one) for one in listeners or [socket.create_server(("", given.port))]]
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    for server in servers:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    ended.wait()
    for server in servers:
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
