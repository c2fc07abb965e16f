"""Run the api: `python -m app [--host H] [--port P | --fd N ...] [--sha SHA] [--release N]`."""

import argparse
import socket

import runtime
from app.api import create
from app.server import serve
from model import logs


def main() -> None:
    """Listen until SIGTERM, at inherited sockets where they are given."""
    parser = argparse.ArgumentParser(prog="app")
    parser.add_argument("--host", default="0.0.0.0")  # noqa: S104, a container has its own network
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--fd", type=int, action="append", help="a listening socket that was handed over")
    parser.add_argument("--sha", default="unknown")
    parser.add_argument("--release", type=int, default=0)
    arguments = parser.parse_args()
    settings = runtime.load("api")
    logs.configure(settings, "api", arguments.sha, arguments.release)
    if arguments.fd:
        sockets = [socket.socket(fileno=fd) for fd in arguments.fd]
    else:
        sockets = [socket.create_server((arguments.host, arguments.port))]
    serve(create(settings, arguments.sha, arguments.release), settings, sockets)


if __name__ == "__main__":
    main()
