"""Answers of others, as far as we read them: their end is not ours to trust (CWE-400, CWE-770)."""

import socket
import time
from collections.abc import Iterable

ANSWER_BYTES = 64 * 1024  # of one HTTP answer, or of all replies of a mail server over one connection


def whole(chunks: Iterable[bytes], seconds: float) -> bytes | None:
    """Return an answer that ends within its size and so many seconds; None when it does not."""
    body, end = bytearray(), time.monotonic() + seconds
    for chunk in chunks:
        body += chunk
        if len(body) > ANSWER_BYTES or time.monotonic() > end:
            return None
    return bytes(body)


class Replies:
    """The file that smtplib reads a server's replies from: so many bytes, and until an end of `time.monotonic`.

    Each wait is no longer than the socket's own timeout; who sends a byte now and then does not begin it anew.
    """

    def __init__(self, connection: socket.socket, end: float) -> None:
        self._connection = connection
        self._end = end
        self._left = ANSWER_BYTES
        self._rest = b""

    def readline(self, most: int) -> bytes:
        """Return a line, or as much of one; empty at the connection's end, OSError when it is too much."""
        while b"\n" not in self._rest and len(self._rest) < most:
            received = self._receive()
            if not received:
                break
            self._rest += received
        size = min(self._rest.find(b"\n") + 1 or len(self._rest), most)
        line, self._rest = self._rest[:size], self._rest[size:]
        return line

    def close(self) -> None:
        """Do nothing: the socket is closed by itself."""

    def _receive(self) -> bytes:
        usual, left = self._connection.gettimeout(), self._end - time.monotonic()
        if left <= 0 or self._left <= 0:
            raise OSError("no end")
        self._connection.settimeout(left if usual is None else min(usual, left))
        try:
            received = self._connection.recv(min(4096, self._left))
        finally:
            self._connection.settimeout(usual)
        self._left -= len(received)
        return received
