"""A hundred kills, cuts and frozen processes at random moments under load: what got a 202 arrives, and no other.

The api and two workers are killed, Redis forgets all, Postgres crashes, connections break off, two at a time,
while clients submit as docs/messages.md tells them to. LOCKSTEP_SEED replays a run: the order of the faults, the
pauses between them and their lengths are made of it. In CI each kind happens once; `nox -s chaos` has the hundred.
"""

import itertools
import re
import secrets
import socket
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import sleep

import psutil
import pytest

from ci.delivery import servers
from ci.ground import ports
from model.notification import Channel
from tests import chaos, proxies, services
from tests.load import LONG
from tests.worker.mailserver import mail_server

ROUNDS = 100 if LONG else 12
RATE = 30  # messages a second
CONCURRENCY, WORKERS = 2, 2
ANSWER_SECONDS = 0.1  # that the provider takes, having taken the message
GROWTH = 1.25  # of the memory of an api that lives through it all, from the middle to the end

pytestmark = pytest.mark.server


class Service:
    """A service's process at a socket that outlives it, as the local engine keeps it."""

    def __init__(self, name: str, environ: dict[str, str], folder: Path, stack: ExitStack) -> None:
        self.name, self.environ = name, environ
        self.listener = stack.enter_context(socket.create_server((ports.HOST, 0)))
        self.logs = (folder / f"{name}-{self.listener.fileno()}-{number}.log" for number in itertools.count())
        self.start()
        stack.callback(self.kill)

    def start(self) -> None:
        """Start it, with a log of its own."""
        self.running = services.serve(self.listener, self.name, self.environ, next(self.logs))

    def kill(self) -> None:
        """End it at once."""
        self.running.kill()

    @contextmanager
    def killed(self) -> Iterator[None]:
        """Kill it, and start it again as an engine would."""
        self.kill()
        yield
        self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Have it neither work nor go."""
        process = psutil.Process(self.running.process.pid)
        process.suspend()
        yield
        process.resume()


class Site:
    """Two apis and two workers, who reach all that they need through proxies; the first api is never struck."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        word, self.logs = secrets.token_urlsafe, folder / "logs"
        self.logs.mkdir()
        self.database = f"postgresql://lockstep:{word()}@127.0.0.1:{ports.free()}/lockstep"
        queue = f"redis://:{word()}@127.0.0.1:{ports.free()}/0"
        self.postgres = servers.postgres(self.database, folder / "postgres", folder / "postgres.log")
        self.redis = servers.redis(queue, folder / "redis", folder / "redis.log")
        for server in (self.postgres, self.redis):
            stack.enter_context(servers.serving(server))
        self.provider = stack.enter_context(services.provider())
        self.provider.answer = answer
        self.mail = stack.enter_context(mail_server("lockstep", password := word()))
        provider = int(self.provider.url.rpartition(":")[2])
        there = (self.postgres.address.port, self.redis.address.port, provider, self.mail.port)
        self.proxies = [stack.enter_context(proxies.running(port)) for port in there]
        to_postgres, to_redis, to_provider, to_mail = (one.address for one in self.proxies)
        environ = LIMITS | {"SMTP_PASSWORD": password, "SMTP_PORT": str(to_mail[1])}
        environ["SMS_PROVIDER_URL"] = proxies.moved(self.provider.url, to_provider)
        self.environ = services.environment(
            proxies.moved(self.database, to_postgres), proxies.moved(queue, to_redis), **environ
        )
        assert 0 == services.migrate(self.environ, folder / "migrate.log")[0]
        self.apis = [Service("api", self.environ, self.logs, stack) for _ in range(2)]
        self.workers = [Service("worker", self.environ, self.logs, stack) for _ in range(WORKERS)]

    def faults(self) -> Mapping[str, chaos.Fault]:
        """Return all that can happen here."""
        turns = itertools.cycle(self.workers)
        postgres, redis, provider, mail = self.proxies
        return {
            "cut postgres": postgres.cut,
            "cut redis": redis.cut,
            "cut provider": provider.cut,
            "cut mail": mail.cut,
            "kill api": self.apis[1].killed,
            "kill worker": lambda: next(turns).killed(),
            "kill redis": lambda: chaos.killed(self.redis, forgets=True),
            "kill postgres": lambda: chaos.killed(self.postgres),
            "freeze api": self.apis[1].frozen,
            "freeze worker": lambda: next(turns).frozen(),
            "freeze redis": lambda: chaos.frozen(self.redis),
            "freeze postgres": lambda: chaos.frozen(self.postgres),
        }

    def handed(self) -> tuple[Counter[str], Counter[str]]:
        """Count by reference the SMS that the provider took, and the e-mails that the mail server did."""
        sms = [call.headers["Idempotency-Key"] for call in self.provider.calls]
        mails = [str(one["Message-ID"]).strip("<>").partition("@")[0] for one in self.mail.messages]
        return Counter(sms), Counter(mails)

    def bound(self, happened: Counter[str]) -> int:
        """Return how often docs/messages.md lets a message be handed over again.

        Once for each that was in flight when its worker was killed or its provider's answer cut off, and once for
        each answer that came too late.
        """
        log = "".join(one.read_text() for one in self.logs.glob("worker-*"))
        late = len(re.findall(r"unreachable \(\w*Timeout\w*\)", log))
        cut = happened["cut provider"] + happened["cut mail"]
        return happened["kill worker"] * CONCURRENCY * len(Channel) + cut * CONCURRENCY * WORKERS + late

    def memory(self) -> int:
        """Return the memory of the api that is never struck, in bytes."""
        return int(psutil.Process(self.apis[0].running.process.pid).memory_info().rss)


LIMITS = {
    "DATABASE_TIMEOUT_SECONDS": "2",
    "WORKER_CONCURRENCY": str(CONCURRENCY),
    "DELIVERY_ATTEMPTS": "16",
    "DELIVERY_BACKOFF_SECONDS": "0.2",
    "DELIVERY_BACKOFF_MAX_SECONDS": "2",
    "DELIVERY_TIMEOUT_SECONDS": "2",
}


def answer(status: int) -> dict[str, int]:
    sleep(ANSWER_SECONDS)
    return {"status": status}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """All of it, on servers of its own."""
    with ExitStack() as stack:
        yield Site(tmp_path, stack)


def test_chaos(site: Site) -> None:
    """The ledger adds up: accepted is delivered, nothing else is, and again no more often than promised."""
    storm = chaos.Chaos(site.faults(), pause=1, lasts=2)
    events = list(itertools.islice(storm.plan(), ROUNDS))
    urls, token = [api.running.url for api in site.apis], site.environ["API_TOKENS"].partition(",")[0]
    with chaos.clients(urls, token, RATE, mail=True) as ledger:
        storm.overlap(events[: ROUNDS // 2])
        middle = site.memory()
        storm.overlap(events[ROUNDS // 2 :])
    chaos.settle(site.database)
    sms, mails = site.handed()

    told = ", ".join(f"{name} {count}" for name, count in sorted(storm.happened.items()))
    about = f"{ROUNDS} rounds ({told}), an api of {middle / 1e6:.0f} and then {site.memory() / 1e6:.0f} MB"
    ledger.balance(about, site.database, sms + mails, Counter(set(sms)) + mails, site.bound(storm.happened))
    assert ROUNDS == storm.happened.total()
    assert set(site.faults()) == set(storm.happened)
    assert site.memory() < middle * GROWTH
