"""A server that answers whoever comes with what never ends."""

import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

MOST = 64 * 1024 * 1024  # bytes after which it gives up: nobody stopped it
LONGEST_SECONDS = 15


@dataclass
class Flood:
    """Where it listens, and how many bytes it got rid of."""

    port: int
    sent: int = 0


@contextmanager
def answering(parts: Iterable[bytes], pause: float = 0, *, asked: bool = True) -> Iterator[Flood]:
    """Send the parts to one client, a pause after each, until it goes; `asked`: once it has said something."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Flood(listener.getsockname()[1])

        def serve() -> None:
            connection, _ = listener.accept()
            end = time.monotonic() + LONGEST_SECONDS
            with connection, suppress(OSError):
                connection.settimeout(LONGEST_SECONDS)
                if asked:
                    connection.recv(65_536)
                for part in parts:
                    if made.sent > MOST or time.monotonic() > end:
                        return
                    connection.sendall(part)
                    made.sent += len(part)
                    time.sleep(pause)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65_536):  # what is not read would have the rest of ours thrown away
                    pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield made
        thread.join()
