"""A Redis that keeps a config file, which those of the local engine do not: a rotation is written to it."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from ci.delivery.servers.redis_server import find_program
from ci.ground import command, ports
from tests import services


def url(user: str = "") -> str:
    """Return a URL with a free port and a password that nobody had."""
    return f"redis://{user}:{secrets.token_urlsafe()}@127.0.0.1:{ports.free()}/0"


@contextmanager
def running(folder: Path, url: str, *settings: str) -> Iterator[None]:
    """Run a Redis with a config file, which is written at its first start alone."""
    port, word, file = urlsplit(url).port, urlsplit(url).password, folder / "redis.conf"
    if not file.exists():
        lines = ["bind 127.0.0.1", f"port {port}", f"dir {folder}", f"requirepass {word}", 'save ""', *settings]
        file.write_text("".join(f"{line}\n" for line in lines))
    process = command.spawn([find_program(), file], log=folder / "log")
    try:
        services.until(lambda: "Ready to accept" in (folder / "log").read_text())
        yield
    finally:
        process.terminate()
        process.wait(10)
        (folder / "log").unlink()
