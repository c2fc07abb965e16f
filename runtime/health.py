"""Whether a service is healthy: `python -IS …/runtime/health.py PORT READY [ALIVE]`, exit 0 or 1.

READY is asked until it succeeded once in this container, then ALIVE, if it is given: a replica gets traffic once
all that it needs is reachable, and is not killed for an outage of that later on. A path succeeds if it answers
with 2xx or 3xx within 4 s. The end of its answer is printed in one line, after the reason if it does not succeed.

An engine runs this every second in each replica, so it uses the bare _socket: the module around it costs more to
import than all the rest.
"""

import _socket
import sys
import time

MARKER = "/tmp/.lockstep-ready"  # noqa: S108, each container has its own /tmp
SECONDS = 4
SHOWN = 500
ENOUGH = 1 << 20  # of an answer that does not end


def main(arguments: list[str]) -> int:
    """Ask the path that is due and print what it answered; return the exit code."""
    port, ready, *alive = arguments
    path = alive[0] if alive and was_ready() else ready
    try:
        head, _, body = ask(int(port), path).partition(b"\r\n\r\n")
    except OSError as error:
        head, body = b"", (error.strerror or str(error)).encode()
    code = head[9:12].decode() if head.startswith(b"HTTP/") else ""
    healthy = code[:1] in ("2", "3")
    reason = "" if healthy else f"{path} answered {code or 'nothing'}: "
    line = reason + " ".join(body.decode(errors="replace").split())[len(reason) - SHOWN :]
    sys.stdout.buffer.write(f"{line}\n".encode())
    if healthy:
        remember()
    return 0 if healthy else 1


def ask(port: int, path: str) -> bytes:
    """Return the answer to a GET, or what of it came in time; an OSError when there is no connection."""
    deadline = time.monotonic() + SECONDS
    connection = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    connection.settimeout(SECONDS)
    connection.connect(("127.0.0.1", port))
    connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
    answer = b""
    while len(answer) < ENOUGH and (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            data = connection.recv(65536)
        except OSError as error:  # too late, or cut off: what came before counts
            return answer or f"\r\n\r\n{error}".encode()
        if not data:
            break
        answer += data
    return answer


def was_ready() -> bool:
    """Whether this container's service has been ready before."""
    try:
        open(MARKER, "rb").close()  # noqa: PTH123, pathlib takes as long to import as the rest
    except OSError:
        return False
    return True


def remember() -> None:
    """Note that the service was ready; where nothing can be written it is asked for its readiness always."""
    try:
        open(MARKER, "ab").close()  # noqa: PTH123
    except OSError:
        return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
