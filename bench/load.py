"""The services under load, beside a plain pair of the same framework and queue library (bench/plain/).

Both are processes of their own on the same Postgres and Redis, and they take turns, so that what the machine adds
falls on both; what counts is the median of the rounds. Submissions come over connections that are kept, each as
soon as the last one was answered, with an idempotency key; the provider takes 50 ms. Every message has to be sent.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import httpx
import psutil
from redis import Redis

import runtime
from bench import wire
from bench.measure import Row
from bench.plain import store
from ci.delivery import servers
from ci.ground import ports
from model import queue
from model.notification import Channel
from tests import figures, services

ROOT = Path(__file__).parents[1]
SUBMIT_ROUNDS, WORK_ROUNDS = 3, 2
WARM_SECONDS, SUBMIT_SECONDS = 1.0, 4.0
CONNECTIONS = 16  # at which both apis are as busy as they get; more would only wait
PROVIDER_SECONDS = 0.05
CONCURRENCIES = (1, 4, 16, 64)
LIMITED = 4  # up to so many at once the provider is waited for; beyond it, by the plain pair too, the processors
WORK_SECONDS = 3.0  # that a round would take if the provider were all that is waited for
MOST = 1200  # messages of a round
HELD = 0.7  # of the plain pair's throughput, at least
LINEAR = 1.25  # times slower than in proportion, at most
MB = 1e6
TO = "+14155550123"


class Worked(NamedTuple):
    """What a worker did: messages a second, and its memory in bytes."""

    rate: float
    memory: int


class Side(ABC):
    """A pair of services on a database and a Redis of its own."""

    name: str
    table: str

    def __init__(self, postgres: str, redis: str, folder: Path) -> None:
        self.environ = services.environment(services.new_database(postgres), redis)
        self.folder = folder
        self.folder.mkdir()

    @abstractmethod
    def api(self) -> AbstractContextManager[services.Running]:
        """Run the api."""

    @abstractmethod
    def worker(self, **environ: str) -> AbstractContextManager[services.Running]:
        """Run the worker, with these values of the environment in place of others."""

    @abstractmethod
    def fill(self, count: int) -> None:
        """Have so many SMS wait for the worker."""

    def waiting(self) -> int:
        """Return how many messages are not sent."""
        query = f"SELECT count(*) FROM {self.table} WHERE status <> 'sent'"  # noqa: S608, a name of ours
        return int(services.execute(self.environ, query)[0][0])

    def empty(self) -> None:
        """Forget all messages, and leave Postgres nothing to do of this round in the next."""
        services.execute(self.environ, f"TRUNCATE {self.table}")
        services.execute(self.environ, "CHECKPOINT")
        with Redis.from_url(self.environ["REDIS_URL"]) as redis:
            redis.flushdb()

    def request(self) -> bytes:
        """Return a submission that nobody made before."""
        body = {"channel": "sms", "to": TO, "body": "hello", "idempotency_key": uuid4().hex}
        content = json.dumps(body).encode()
        head = (
            f"POST /v1/notifications HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        return head.encode() + content

    @property
    def token(self) -> str:
        """One that is good."""
        return self.environ["API_TOKENS"].partition(",")[0]


class Ours(Side):
    """The services."""

    name, table = "ours", "notifications"

    def __init__(self, postgres: str, redis: str, folder: Path) -> None:
        super().__init__(postgres, redis, folder)
        code, said = services.migrate(self.environ, folder / "migrate.log")
        if code:
            raise RuntimeError(said)
        self._queue = queue.broker(runtime.load("worker", self.environ))

    def api(self) -> AbstractContextManager[services.Running]:
        """Run the api."""
        return services.running("api", self.environ, self.folder / "api.log")

    def worker(self, **environ: str) -> AbstractContextManager[services.Running]:
        """Run the worker."""
        return services.running("worker", self.environ | environ, self.folder / "worker.log")

    def fill(self, count: int) -> None:
        """Do as the api does."""
        columns = "id, channel, recipient, body, request_id, status, attempts"
        values = f"gen_random_uuid(), 'sms', '{TO}', 'hello', 'r', 'queued', 0"
        for identifier in _inserted(self, columns, values, count):
            queue.nudge(self._queue, Channel.SMS, identifier, "r")


class Plain(Side):
    """The yardstick."""

    name, table = "plain", "messages"

    def __init__(self, postgres: str, redis: str, folder: Path) -> None:
        super().__init__(postgres, redis, folder)
        engine = store.database(self.environ["DATABASE_URL"])
        store.Base.metadata.create_all(engine)
        engine.dispose()
        self._queue = store.broker(redis)

    @contextmanager
    def api(self) -> Iterator[services.Running]:
        """Run the api, and wait until it answers."""
        with socket.create_server((ports.HOST, 0)) as listener:
            url = f"http://{ports.HOST}:{listener.getsockname()[1]}"
            with self._running("api", self.environ, listener.fileno()) as process:
                httpx.get(f"{url}/healthz", timeout=20).raise_for_status()
                yield services.Running(process, url, self.folder / "api.log")

    @contextmanager
    def worker(self, **environ: str) -> Iterator[services.Running]:
        """Run the worker."""
        with self._running("worker", self.environ | environ) as process:
            yield services.Running(process, "", self.folder / "worker.log")

    def fill(self, count: int) -> None:
        """Do as the api does."""
        columns, values = (
            "id, channel, recipient, body, status",
            f"gen_random_uuid(), 'sms', '{TO}', 'hello', 'queued'",
        )
        for identifier in _inserted(self, columns, values, count):
            store.enqueue(self._queue, identifier)

    @contextmanager
    def _running(self, module: str, environ: dict[str, str], *fds: int) -> Iterator[subprocess.Popen[bytes]]:
        with (self.folder / f"{module}.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", f"bench.plain.{module}", *map(str, fds)],
                cwd=ROOT,
                env={"PATH": os.environ["PATH"], **environ},
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=fds,
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def _inserted(side: Side, columns: str, values: str, count: int) -> list[str]:
    query = (
        f"INSERT INTO {side.table} ({columns}) SELECT {values} FROM generate_series(1, {count}) RETURNING id::text"  # noqa: S608
    )
    return [identifier for [identifier] in services.execute(side.environ, query)]


def rows() -> list[Row]:
    """Return ratios of throughput, and of our rates to those in proportion; tell the rates, and memory."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lockstep-load-")))
        postgres = f"postgresql://lockstep:{uuid4().hex}@{ports.HOST}:{ports.free()}/lockstep"
        redis = f"redis://:{uuid4().hex}@{ports.HOST}:{ports.free()}/0"
        stack.enter_context(
            servers.serving(servers.postgres(postgres, folder / "postgres", folder / "postgres.log"))
        )
        stack.enter_context(servers.serving(servers.redis(redis, folder / "redis", folder / "redis.log")))
        sides = (
            Ours(postgres, services.numbered(redis, 1), folder / "ours"),
            Plain(postgres, services.numbered(redis, 2), folder / "plain"),
        )
        return [*_submits(sides), *_works(sides)]


def _submits(sides: tuple[Ours, Plain]) -> Iterator[Row]:
    """Compare what the apis take."""
    rates, took = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    memory = dict[str, float]()
    for _ in range(SUBMIT_ROUNDS):
        for side in sides:
            with side.api() as api:
                found = wire.submit(api.url, side.request, CONNECTIONS, WARM_SECONDS, SUBMIT_SECONDS)
                memory[side.name] = _memory(api)
            rates[side.name].append(len(found) / SUBMIT_SECONDS)
            took[side.name] += found
            side.empty()
    for name, rate in rates.items():
        figures.tell(
            f"submit, {name}: {statistics.median(rate):.0f} requests/s ({min(rate):.0f}-{max(rate):.0f}), p50 "
            f"{_percentile(took[name], 50):.1f} ms, p99 {_percentile(took[name], 99):.1f} ms, "
            f"{memory[name] / MB:.0f} MB"
        )
    ours, plain = (statistics.median(rates[side.name]) for side in sides)
    yield "submit, plain / ours, requests/s", plain / ours, 1 / HELD


def _works(sides: tuple[Ours, Plain]) -> Iterator[Row]:
    """Compare what the workers send."""
    ours = dict[int, float]()
    for concurrency in CONCURRENCIES:
        found = defaultdict[str, list[Worked]](list)
        for _ in range(WORK_ROUNDS):
            for side in sides:
                found[side.name].append(_work(side, concurrency))
        rates = {name: statistics.median(one.rate for one in runs) for name, runs in found.items()}
        for name, runs in found.items():
            memory = max(one.memory for one in runs) / MB
            figures.tell(f"worker at {concurrency}, {name}: {rates[name]:.1f} messages/s, {memory:.0f} MB")
        ours[concurrency] = rates["ours"]
        yield f"worker at {concurrency}, plain / ours, messages/s", rates["plain"] / rates["ours"], 1 / HELD
    for few, more in pairwise(CONCURRENCIES):
        shortfall = ours[few] * (more / few) / ours[more]
        bound = LINEAR if more <= LIMITED else None
        yield f"worker, {few} to {more}, in proportion / measured", shortfall, bound


def _work(side: Side, concurrency: int) -> Worked:
    """Have a worker send what waits; its rate is that of what came once every thread had sent something."""
    count = min(MOST, round(concurrency * WORK_SECONDS / PROVIDER_SECONDS))
    begun = max(concurrency, count // 10)
    with wire.provider(PROVIDER_SECONDS) as provider:
        side.fill(count)
        with side.worker(WORKER_CONCURRENCY=str(concurrency), SMS_PROVIDER_URL=provider.url) as worker:
            services.until(lambda: len(provider.came) >= count, 60)
            memory = _memory(worker)
            services.until(lambda: side.waiting() == 0)
        if len(provider.came) != count:
            raise RuntimeError(f"{len(provider.came)} were sent, {count} should have been")
        seconds = provider.came[-1] - provider.came[begun]
    side.empty()
    return Worked((count - 1 - begun) / seconds, memory)


def _memory(of: services.Running) -> int:
    return int(psutil.Process(of.process.pid).memory_info().rss)


def _percentile(seconds: list[float], which: int) -> float:
    """Return a percentile, in milliseconds."""
    return statistics.quantiles(seconds, n=100)[which - 1] * 1000
