"""What Postgres and Redis have in common: an address, a data folder, a log, and how they are started."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from ci.ground import errors
from runtime import Secret

LOOPBACK = ("127.0.0.1", "localhost")


class RejectedError(Exception):
    """The server runs, but with another user or password."""


@dataclass(frozen=True)
class Address:
    """What a URL says, percent-decoded; the host is this machine."""

    user: str
    password: Secret
    port: int
    database: str


@dataclass(frozen=True)
class Launch:
    """How a server is started: its argv, what it reads from stdin, and its user (None: ours)."""

    argv: Sequence[str | Path]
    input: bytes = b""
    user: str | None = None


class Server(Protocol):
    """What it takes to start a server and to know that it is up."""

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def address(self) -> Address:
        """Where it listens, and who may log in."""

    @property
    def data(self) -> Path:
        """Its data folder, next to which `<data>.pid` is kept."""

    @property
    def log(self) -> Path:
        """The file that its output is appended to."""

    @property
    def rejected(self) -> tuple[str, str]:
        """The message and the hint for when it runs with another password."""

    def prepare(self) -> Launch:
        """Make what is missing of its data and return how to start it."""

    def probe(self) -> None:
        """Return if it accepts its own URL; ConnectionError if not yet, RejectedError if it never will."""


def address(source: str, url: str) -> Address:
    """Parse a URL; ConfigurationError names its source unless it is complete and of this machine."""
    try:
        parts = urlsplit(url)
        complete = parts.hostname in LOOPBACK and parts.port and parts.password
    except ValueError:
        complete = False
    if not complete:
        raise errors.ConfigurationError(
            f"{source} does not name a server of this machine with a port and a password",
            "inv set replaces it, its host must be 127.0.0.1",
        )
    user, password = unquote(parts.username or ""), Secret(unquote(parts.password or ""))
    return Address(user, password, parts.port or 0, unquote(parts.path.strip("/")))
