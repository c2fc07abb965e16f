"""Faults at random moments, and the ledger of what was submitted meanwhile: what the stories of chaos share."""

import itertools
import os
import random
import secrets
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field

import httpx
import psutil

from ci.delivery import servers
from ci.ground import processes
from model.notification import WAITING, Status
from tests import figures, load, services

SEED = int(os.environ.get("LOCKSTEP_SEED") or secrets.randbelow(1_000_000))
CLIENTS = 24  # each waits for its answer, for seconds where something is away
AGAIN = (429, 502, 503, 504)  # two of them are a proxy's words for no answer
AGAIN_SECONDS = 0.2
ROWS = "SELECT id::text, status, attempts FROM notifications"
PATIENCE_SECONDS = 120  # for one message to be accepted, and for all of them to be sent

Fault = Callable[[], AbstractContextManager[None]]  # begins, and ends with the block
Event = tuple[str, float, float]  # a fault's name, the seconds before it and those that it lasts


# Faults


@dataclass
class Chaos:
    """Faults by name, whose last word is what they strike: nothing is struck by two at once."""

    faults: Mapping[str, Fault]
    pause: float
    lasts: float
    happened: Counter[str] = field(default_factory=Counter)
    done: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.guards = {_struck(name): threading.Lock() for name in self.faults}

    def plan(self) -> Iterator[Event]:
        """Yield for ever what is to happen: every fault, in an order of the seed's, and then all of them again."""
        dice = random.Random(SEED)
        while True:
            for name in dice.sample(sorted(self.faults), len(self.faults)):
                yield name, dice.uniform(0, self.pause), dice.uniform(0.1, self.lasts)

    def happen(self, events: Iterable[Event]) -> None:
        """Let one after the other happen, until it is done."""
        for name, pause, lasts in events:
            if self.done.wait(pause):
                return
            with self.guards[_struck(name)], self.faults[name]():
                self.happened[name] += 1
                time.sleep(lasts)

    def overlap(self, events: Sequence[Event]) -> None:
        """Let them happen two at a time."""
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(self.happen, (events[::2], events[1::2])))

    @contextmanager
    def around(self) -> Iterator[None]:
        """Let them happen for as long as the block runs."""
        with ThreadPoolExecutor(1) as pool:
            going = pool.submit(self.happen, self.plan())
            try:
                yield
            finally:
                self.done.set()
        going.result()


def _struck(name: str) -> str:
    return name.partition(" ")[2]


@contextmanager
def killed(server: servers.Server, *, forgets: bool = False) -> Iterator[None]:
    """Kill every process of a server, and start it again on its data, or on none."""
    processes.end(_family(server), 0, signal.SIGKILL)
    yield
    if forgets:
        shutil.rmtree(server.data)
    servers.start(server)


@contextmanager
def frozen(server: servers.Server) -> Iterator[None]:
    """Have a server neither work nor go."""
    family = _family(server)
    yield
    for one in family:
        with suppress(psutil.NoSuchProcess):
            one.resume()


def _family(server: servers.Server) -> list[psutil.Process]:
    """Return the processes of a server, suspended: the first one at once, or more would be born meanwhile."""
    process = servers.running(server.data)
    found = process and process.find()
    assert found
    found.suspend()
    children = found.children(recursive=True)
    for one in children:
        with suppress(psutil.NoSuchProcess):
            one.suspend()
    return [found, *children]


# The ledger


@dataclass
class Ledger:
    """Which id was accepted under which idempotency key, and what was answered that nobody may answer."""

    accepted: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    def keep(self, client: httpx.Client, urls: Iterable[str], message: Mapping[str, str]) -> None:
        """Submit a message under its key until it is accepted."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        for url in urls:
            with suppress(httpx.HTTPError):  # no answer, or half of one
                answer = client.post(f"{url}/v1/notifications", json=message)
                if answer.status_code == httpx.codes.ACCEPTED:
                    self.accepted[message["idempotency_key"]] = answer.json()["id"]
                    return
                if answer.status_code not in AGAIN:
                    self.refused.append(f"{answer.status_code} {answer.text}")
                    return
            if time.monotonic() > deadline:
                self.refused.append("never accepted")
                return
            time.sleep(AGAIN_SECONDS)

    def balance(self, about: str, database: str, handed: Counter[str], arrived: Counter[str], bound: int) -> None:
        """Print the figures, and hold them against each other.

        `handed` counts by reference what the provider took, `arrived` what was left when it had known its
        Idempotency-Keys again; `bound` is how often docs/messages.md lets one be handed over once more.
        """
        rows = {row[0]: row[1:] for row in services.execute({"DATABASE_URL": database}, ROWS)}
        accepted = set(self.accepted.values())
        failed = sum(status == Status.DEAD for status, _ in rows.values())
        waiting = {one for one, (status, _) in rows.items() if status in WAITING}
        again, doubled = (one.total() - len(one) for one in (handed, arrived))
        lost = accepted - set(arrived) - waiting
        told = f"{len(accepted)} accepted, {len(accepted & set(arrived))} delivered, {len(lost)} lost"
        told += f", {failed} failed for good, {len(waiting)} waiting"
        told += f"; {again} handed over again of at most {bound}, {doubled} of them arrived"
        figures.tell(f"{about}, seed {SEED}: {told}")
        assert [] == self.refused
        assert accepted == set(rows)  # nothing is kept twice
        assert accepted == set(handed) == set(arrived)  # nothing is lost, nothing comes of which nobody knows
        assert {Status.SENT} == {status for status, _ in rows.values()}
        assert again <= bound
        assert [] == [one for one, (_, tries) in rows.items() if handed[one] > tries]


@contextmanager
def clients(urls: Sequence[str], token: str, rate: float, *, mail: bool) -> Iterator[Ledger]:
    """Submit `rate` messages a second for as long as the block runs; who is late catches up.

    With `mail`, every fifth is an e-mail.
    """
    ledger, done, begun = Ledger(), threading.Event(), time.monotonic()

    def submit(first: int) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(headers=headers, trust_env=False, timeout=10) as client:
            for number in itertools.count(first, CLIENTS):
                if done.wait(max(0, begun + number / rate - time.monotonic())):
                    return
                turns = itertools.islice(itertools.cycle(urls), number % len(urls), None)
                ledger.keep(client, turns, _message(number, mail=mail and number % 5 == 0))

    with ThreadPoolExecutor(CLIENTS) as pool:
        going = [pool.submit(submit, first) for first in range(CLIENTS)]
        try:
            yield ledger
        finally:
            done.set()
    for one in going:
        one.result()


def _message(number: int, *, mail: bool) -> dict[str, str]:
    about = {"body": f"number {number}", "idempotency_key": f"order-{number}"}
    if mail:
        return about | {"channel": "email", "to": f"ada-{number}@example.com", "subject": "news"}
    return about | {"channel": "sms", "to": load.phone(number)}


def settle(database: str) -> None:
    """Wait until nothing waits to be sent; what still does when patience ends is in the ledger's figures."""
    waiting = ", ".join(f"'{status}'" for status in WAITING)
    left = f"SELECT id FROM notifications WHERE status IN ({waiting}) LIMIT 1"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while services.execute({"DATABASE_URL": database}, left) and time.monotonic() < deadline:
        time.sleep(0.1)
