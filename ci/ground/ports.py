"""Ports of this machine."""

import secrets
import socket

HOST = "127.0.0.1"


def free() -> int:
    """Return an unused port, below those that the system assigns, so that it stays free."""
    while True:
        port = 20000 + secrets.randbelow(10000)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
