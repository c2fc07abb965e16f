"""The services under test: their configuration, database and processes, and the far end of their network."""

import base64
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg

from runtime.keys import KEYS

ROOT = Path(__file__).parents[1]
SEALED = frozenset(name for name, rules in KEYS.items() if rules.get("secret"))
T = TypeVar("T")


def until(condition: Callable[[], T], seconds: float = 20) -> T:
    """Return what `condition` returns as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    return found


# Configuration and database


def environment(database: str, redis: str, **more: str) -> dict[str, str]:
    """Return an environment that both services start with; secrets are random, pauses short."""
    return {
        "ENVIRONMENT": "test",
        "DATABASE_URL": database,
        "DATABASE_TIMEOUT_SECONDS": "5",
        "REDIS_URL": redis,
        "API_TOKENS": f"{secrets.token_urlsafe(24)},{secrets.token_urlsafe(24)}",
        "PUBLIC_BASE_URL": "http://127.0.0.1:8000",
        "RATE_PER_SECOND": "10000",  # tests share tokens
        "RECIPIENT_PER_HOUR": "1000000",  # and recipients
        "SMS_COUNTRIES": "DE,US",
        "SHUTDOWN_GRACE_SECONDS": "10",
        "WORKER_CONCURRENCY": "2",
        "DELIVERY_ATTEMPTS": "3",
        "DELIVERY_BACKOFF_SECONDS": "0.05",
        "DELIVERY_BACKOFF_MAX_SECONDS": "0.1",
        "DELIVERY_TIMEOUT_SECONDS": "5",
        "SMS_PROVIDER": "sandbox",
        "SMS_PROVIDER_URL": "http://127.0.0.1:9",
        "SMS_PROVIDER_ACCOUNT": "AC" + secrets.token_hex(16),
        "SMS_PROVIDER_API_KEY": f"SK{secrets.token_hex(16)}:{secrets.token_urlsafe(24)}",
        "SMS_SENDER": "Lockstep",
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": "9",
        "SMTP_TLS": "off",
        "SMTP_USERNAME": "lockstep",
        "SMTP_PASSWORD": secrets.token_urlsafe(24),
        "SMTP_SENDER": "notify@lockstep.example",
    } | more


def new_database(postgres_url: str) -> str:
    """Return the URL of a further, empty database."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return urlsplit(postgres_url)._replace(path=f"/{name}").geturl()


def numbered(redis_url: str, number: int) -> str:
    """Return the URL of another of Redis' numbered databases."""
    return f"{redis_url.rpartition('/')[0]}/{number}"


def execute(environ: Mapping[str, str], statement: str) -> list[tuple[Any, ...]]:
    """Run one SQL statement, and return its rows if it has any."""
    with psycopg.connect(environ["DATABASE_URL"], autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def refused_url(url: str) -> str:
    """Return the same URL, but at a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{port}").geturl()


def password(environ: Mapping[str, str], name: str) -> str:
    """Return the secret part of a key's value: a URL's password, else all of it."""
    return urlsplit(environ[name]).password or environ[name]


# Processes


def start(service: str, *arguments: str, environ: Mapping[str, str], log: Path, fds: tuple[int, ...] = ()) -> Any:
    """Start a service as an engine does: plain values in the environment, sealed ones through stdin."""
    sealed = SEALED & environ.keys()
    plain = {name: value for name, value in environ.items() if name not in sealed}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [
                sys.executable,
                "runtime/entry.py",
                "--bundle",
                "-",
                "--service",
                service,
                "--",
                "python",
                "-m",
                *arguments,
            ],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **plain},
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
            pass_fds=fds,
        )
    assert process.stdin
    process.stdin.write(json.dumps({name: environ[name] for name in sealed}).encode())
    process.stdin.close()
    return process


@dataclass
class Running:
    """A service's process; `url` is where it answers."""

    process: Any
    url: str
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        """Return the log, which is JSON lines and nothing else."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return int(self.process.wait(20))

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()


def serve(listener: socket.socket, service: str, environ: Mapping[str, str], log: Path) -> Running:
    """Start the api or the worker at a socket that is handed over, and wait until it answers."""
    fd = listener.fileno()
    arguments = ["app", "--fd"] if service == "api" else ["worker", "--health-fd"]
    process = start(service, *arguments, str(fd), "--sha", "abc1234", environ=environ, log=log, fds=(fd,))
    made = Running(process, f"http://127.0.0.1:{listener.getsockname()[1]}", log)
    try:
        answer = httpx.get(f"{made.url}/healthz", timeout=20)
        assert answer.status_code == 200, log.read_text()
    except BaseException:
        made.kill()
        raise
    return made


@contextmanager
def running(service: str, environ: Mapping[str, str], log: Path) -> Iterator[Running]:
    """Run the api or the worker until the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = serve(listener, service, environ, log)
        try:
            yield made
        finally:
            made.kill()


def run(service: str, *arguments: str, environ: Mapping[str, str], log: Path) -> tuple[int, str]:
    """Run a module of a service to its end; return the exit code and what it said."""
    process = start(service, *arguments, environ=environ, log=log)
    return process.wait(20), log.read_text()


def migrate(environ: Mapping[str, str], log: Path) -> tuple[int, str]:
    """Run the migrations; return the exit code and what was said."""
    return run("api", "model.migrate", environ=environ, log=log)


def undocumented(metrics: str) -> set[str]:
    """Return the metrics of a /metrics page that docs/metrics.md does not have, but for Python's own."""
    known = (ROOT / "docs/metrics.md").read_text()
    names = {line.split()[2] for line in metrics.splitlines() if line.startswith("# TYPE ")}
    ours = {
        name for name in names if not name.startswith(("python_", "process_")) and not name.endswith("_created")
    }
    return {name for name in ours if f"`{name}`" not in known}


# The far end of the network


@dataclass
class Call:
    """One request that the provider got."""

    path: str
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        """The content, as the sandbox is told."""
        return json.loads(self.content)

    @property
    def form(self) -> dict[str, str]:
        """The content, as Twilio is told."""
        return {name: value for name, [value] in parse_qs(self.content.decode(), strict_parsing=True).items()}

    @property
    def login(self) -> str:
        """The user and password of basic auth."""
        return base64.b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode()


@dataclass
class Provider:
    """An SMS provider: keeps what it is sent, answers `statuses` in their order and 201 after the last."""

    url: str = ""
    calls: list[Call] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    answer: Callable[[int], Any] = lambda status: {"status": status}
    open: threading.Event = field(default_factory=threading.Event)  # while it is not set, answers are held back

    def sent(self) -> list[str]:
        """Return the bodies of all SMS that came in."""
        return [call.json["body"] for call in list(self.calls)]

    def reset(self) -> None:
        """Forget everything."""
        self.calls.clear()
        self.statuses.clear()
        self.open.set()


@contextmanager
def provider() -> Iterator[Provider]:
    """Serve a provider until the end of the block."""
    made = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            content = self.rfile.read(length)
            if len(content) < length:  # its sender was cut off
                return
            status = made.statuses.pop(0) if made.statuses else 201
            made.calls.append(Call(self.path, dict(self.headers), content))
            made.open.wait(30)
            body = json.dumps(made.answer(status)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002, the name in the base class
            """Say nothing."""

        def handle(self) -> None:
            """Serve a client, who may be killed meanwhile."""
            try:
                super().handle()
            except OSError:
                self.close_connection = True

    made.open.set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield made
    finally:
        made.open.set()
        server.shutdown()
        thread.join()
        server.server_close()
