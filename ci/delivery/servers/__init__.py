"""Postgres and Redis without Docker and without root: those of this machine, else embedded ones from packages.

Each has a data folder, beside which `<data>.pid` remembers its process, so that the next command finds it again.
Passwords come from the URLs and reach the servers through pipes: never the disk, argv or an environment.
"""

import json
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from ci.delivery.servers import postgres_server
from ci.delivery.servers.postgres_server import Postgres
from ci.delivery.servers.postgres_server import folder as postgres_folder
from ci.delivery.servers.process import Process, require_free
from ci.delivery.servers.redis_server import Redis
from ci.delivery.servers.server import RejectedError, Server, address
from ci.ground import command, errors, files

__all__ = ["Process", "Server", "postgres_folder", "require_free"]  # of other modules; the rest is defined here


def postgres(url: str, data: Path, log: Path, source: str = "the URL") -> Postgres:
    """Return the Postgres of a URL; ConfigurationError names its source unless it is one of this machine."""
    return Postgres(address(source, url), data, log)


def redis(url: str, data: Path, log: Path, source: str = "the URL") -> Redis:
    """Return the Redis of a URL; ConfigurationError names its source unless it is one of this machine."""
    return Redis(address(source, url), data, log)


def kind(url: str) -> str:
    """Return the kind of server, `postgres` or `redis`, that a URL or its template names; empty for any other.

    The scheme may name a driver, as in postgresql+asyncpg://. With TLS (rediss://) it is no server of ours.
    """
    scheme = url.partition("://")[0].partition("+")[0]
    kinds = {"postgres": "postgres", "postgresql": "postgres", "redis": "redis", "valkey": "redis"}
    return kinds.get(scheme, "")


def server(kind: str, url: str, data: Path, log: Path, source: str) -> Server:
    """Return the server of a kind; `source` is what messages call the URL."""
    return (postgres if kind == "postgres" else redis)(url, data, log, source)


def start(server: Server, timeout: float = 60) -> Process:
    """Start a server unless it runs already, wait until it accepts its URL, and return its process.

    Raises PortInUseError, ToolMissingError, or StartError with the last lines of the log; then the server is
    stopped.
    """
    process = running(server.data)
    if process and _recorded(server.data)["port"] == server.address.port:
        _wait(server, process, timeout)
        return process
    stop(server.data)
    require_free(server.address.port)
    launch = server.prepare()
    child = command.spawn(launch.argv, input=launch.input, log=server.log, cwd=Path("/"), user=launch.user)
    process = Process.of(child.pid)
    files.replace(_record(server.data), json.dumps({**asdict(process), "port": server.address.port}))
    try:
        _wait(server, process, timeout)
    except errors.LockstepError:
        stop(server.data)
        raise
    return process


def running(data: Path) -> Process | None:
    """Return the process that serves a data folder, None if there is none."""
    record = _recorded(data)
    process = Process(record["pid"], record["created"]) if record else None
    return process if process and process.find() else None


def stop(data: Path, timeout: float = 10) -> bool:
    """Stop the server of a data folder and say whether one ran."""
    process = running(data)
    if process:
        # Postgres' fast shutdown: SIGTERM would wait for its clients. To Redis the two are the same.
        process.stop(signal.SIGINT, timeout)
    _record(data).unlink(missing_ok=True)
    return process is not None


def purge(data: Path) -> None:
    """Stop the server of a data folder and remove all that it keeps, but not its log."""
    stop(data)
    shutil.rmtree(data, ignore_errors=True)
    postgres_server.purge(data)


def known(folder: Path) -> set[Path]:
    """Return the data folders in a folder whose servers were started."""
    return {path.with_suffix("") for path in folder.glob("*.pid")}


@contextmanager
def serving(server: Server) -> Iterator[Process]:
    """Run a server for a while, such as for tests, and leave nothing of it but its log."""
    try:
        yield start(server)
    finally:
        purge(server.data)


def _record(data: Path) -> Path:
    return data.with_name(f"{data.name}.pid")


def _recorded(data: Path) -> dict[str, int]:
    try:
        record: dict[str, int] = json.loads(_record(data).read_bytes())
    except FileNotFoundError:
        return {}
    return record


def _wait(server: Server, process: Process, timeout: float) -> None:
    """Wait until a server accepts its URL; StartError when it ends, rejects us, or takes too long."""
    deadline = time.monotonic() + timeout
    while process.find():
        try:
            server.probe()
        except RejectedError:
            raise errors.StartError(*server.rejected) from None
        except ConnectionError:
            if time.monotonic() > deadline:
                message = f"{server.name} did not answer within {timeout:g} s"
                raise errors.StartError(message, f"the whole log is {server.log}", _end(server.log)) from None
            time.sleep(0.05)
        else:
            return
    require_free(server.address.port)
    hint = f"the whole log is {server.log}; inv stop --purge starts from nothing"
    raise errors.StartError(f"{server.name} ended as it started", hint, _end(server.log))


def _end(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines()[-10:]
