"""Clients of three kinds that ask a proxy hundreds of times a second: new connections, kept ones, slow ones."""

import http.client
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

LONG = "LOCKSTEP_SOAK" in os.environ  # nox -s chaos soak
SLOW_SECONDS = 0.5
PAUSE_SECONDS = 0.004  # without one they would take the processors from what they watch


@dataclass
class Load:
    """What was asked so far; `failed` says when and how, `releases` which ones answered."""

    url: str
    path: str
    status: int
    asked: int = 0
    failed: list[str] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def note(self, kind: str, fault: str = "") -> None:
        """Count one request."""
        with self.guard:
            self.asked += 1
            if fault:
                self.failed.append(f"{time.time():.2f} {kind}: {fault}")


@contextmanager
def upon(url: str, path: str = "/v1/notifications", status: int = http.HTTPStatus.UNAUTHORIZED) -> Iterator[Load]:
    """Post to a path for as long as the block runs; each answer must have the status."""
    load = Load(url, path, status)
    threads = [threading.Thread(target=kind, args=[load]) for kind in (fresh, kept, slow)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.done.set()
        for thread in threads:
            thread.join()


def fresh(load: Load) -> None:
    """Make a new connection for each request."""
    while not load.done.is_set():
        connection = _connection(load)
        _ask(load, "fresh", connection, lambda: None)
        connection.close()
        time.sleep(PAUSE_SECONDS)


def kept(load: Load) -> None:
    """Keep one connection for as long as the server does."""
    connection = _connection(load)
    while not load.done.is_set():
        if not _ask(load, "kept", connection, lambda: None):
            connection.close()
        time.sleep(PAUSE_SECONDS)
    connection.close()


def slow(load: Load) -> None:
    """Take half a second to send each request."""
    while not load.done.is_set():
        connection = _connection(load)
        _ask(load, "slow", connection, lambda: time.sleep(SLOW_SECONDS))
        connection.close()


def _connection(load: Load) -> http.client.HTTPConnection:
    parts = urlsplit(load.url)
    assert parts.hostname
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=15)


def _ask(load: Load, kind: str, connection: http.client.HTTPConnection, pause: Callable[[], None]) -> bool:
    """Ask once, note how it went, and say whether the connection may be used again."""
    try:
        connection.putrequest("POST", load.path)
        connection.putheader("Content-Length", "2")
        connection.endheaders(b"{")
        pause()
        connection.send(b"}")
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException) as error:
        load.note(kind, type(error).__name__)
        return False
    load.note(kind, "" if answer.status == load.status else str(answer.status))
    return not answer.will_close


@dataclass
class Sent:
    """The ids of the messages that were accepted, what was said instead of a 202, and the seconds that it took."""

    accepted: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    seconds: float = 0

    @property
    def rate(self) -> float:
        """Messages accepted in a second."""
        return len(self.accepted) / self.seconds


def phone(number: int) -> str:
    """Return one of ten thousand numbers that nobody has."""
    return f"+1415555{number % 10_000:04}"


@contextmanager
def messages(
    url: str, token: str, rate: float = 30, threads: int = 1, *, to: str = "", body: str = "number"
) -> Iterator[Sent]:
    """Submit `rate` SMS a second for as long as the block runs, each once; a thread that is late catches up.

    Each is `to` another phone, as of real users, unless one is named.
    """
    sent, done, begun = Sent(), threading.Event(), time.monotonic()

    def submit(first: int) -> None:
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False) as client:
            for number in itertools.count(first, threads):
                if done.wait(max(0, begun + number / rate - time.monotonic())):
                    return
                message = {"channel": "sms", "to": to or phone(number), "body": f"{body} {number}"}
                try:
                    answer = client.post("/v1/notifications", json=message)
                except httpx.HTTPError as error:
                    sent.refused.append(type(error).__name__)
                    continue
                if answer.status_code == httpx.codes.ACCEPTED:
                    sent.accepted.append(answer.json()["id"])
                else:
                    sent.refused.append(str(answer.status_code))

    running = [threading.Thread(target=submit, args=[first]) for first in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield sent
    finally:
        done.set()
        for thread in running:
            thread.join()
        sent.seconds = time.monotonic() - begun
