"""The api as its clients see it: a process of its own, asked through HTTP."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from redis import Redis

import runtime
from app.api import create
from app.server import settings
from model import database, migrate
from model.notification import Channel
from tests import services

PATH = "/v1/notifications"
SMS: dict[str, Any] = {"channel": "sms", "to": "+14155550123", "body": "hello"}
EMAIL: dict[str, Any] = {"channel": "email", "to": "anna@example.com", "subject": "news", "body": "hello"}


@dataclass
class Api:
    """A running api; a test begins with `emptied`."""

    environ: dict[str, str]
    running: services.Running
    client: httpx.Client  # with the first token

    def emptied(self) -> "Api":
        """Return it without notifications and nudges."""
        services.execute(self.environ, "TRUNCATE notifications")
        with Redis.from_url(self.environ["REDIS_URL"]) as redis:
            redis.flushdb()
        return self

    @property
    def tokens(self) -> list[str]:
        """All that are good."""
        return self.environ["API_TOKENS"].split(",")

    def submit(self, **fields: Any) -> Any:
        """Submit an SMS, or what the fields make of it, and return its receipt."""
        answer = self.client.post("/v1/notifications", json=SMS | fields)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def rows(self, columns: str = "id") -> list[tuple[Any, ...]]:
        """Return columns of all rows, oldest first."""
        return services.execute(self.environ, f"SELECT {columns} FROM notifications ORDER BY created_at, id")

    def nudges(self) -> list[Any]:
        """Return the ids of the notifications that the queue holds."""
        with Redis.from_url(self.environ["REDIS_URL"]) as redis:
            held: Any = [one for channel in Channel for one in redis.hvals(f"lockstep:{channel}.msgs")]
            return [json.loads(one)["args"][0] for one in held]


@contextmanager
def asked(postgres_url: str, redis_url: str, log: Path) -> Iterator[Api]:
    """Run an api with a database of its own, and the Redis of the number 1."""
    environ = services.environment(services.new_database(postgres_url), services.numbered(redis_url, 1))
    engine = database.engine(runtime.load("api", environ))
    migrate.upgrade(engine)
    engine.dispose()
    headers = {"Authorization": f"Bearer {environ['API_TOKENS'].split(',')[0]}"}
    with (
        services.running("api", environ, log) as running,
        httpx.Client(base_url=running.url, headers=headers, timeout=20) as client,
    ):
        yield Api(environ, running, client)


@contextmanager
def inside(environ: dict[str, str], **more: str) -> Iterator[httpx.Client]:
    """Run an api in a thread of this process, where a test can make it fail; yield its client."""
    loaded = runtime.load("api", environ | more)
    server = uvicorn.Server(settings(create(loaded), loaded))
    headers = {"Authorization": f"Bearer {environ['API_TOKENS'].split(',')[0]}"}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", headers=headers) as client:
            try:
                yield client
            finally:
                server.should_exit = True
                thread.join()
