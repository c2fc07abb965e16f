"""Deploys, rollbacks and rotations under fire: what got a 202 arrives, and in the end all is as it was released.

Containers of api and worker are killed, Redis forgets all, Postgres' connections are cut, while messages come
through the proxy. What fails because of that is begun again: the same command goes on. `nox -s soak` has ten
rounds.
"""

import random
import re
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError

from ci.delivery import servers
from ci.delivery.servers import Server
from ci.ground import errors, ports
from tests import chaos, checkouts, services, swarms
from tests.load import LONG
from tests.rotations import SMS, Environment
from tests.swarms import Project

ROUNDS = 10 if LONG else 1
RATE = 10  # messages a second; one worker gets through twice as many while nothing happens to it
TRIES, PAUSE_SECONDS = 8, 2  # of one command, and between two
CONCURRENCY = 2  # of a worker of swarms.project
ANSWER_SECONDS = 0.1  # that the provider takes
MET = (errors.StartError, errors.MigrationError, errors.SmokeError, errors.EngineError, errors.RotationError)

pytestmark = pytest.mark.engine


class Fire:
    """A project whose dev runs, and all that can happen to it."""

    def __init__(self, project: Project, redis: Server) -> None:
        self.project, self.database = project, project.databases["dev"]
        self.dice = random.Random(chaos.SEED)
        self.chaos = chaos.Chaos(
            {
                "kill api": lambda: self.killed("api"),
                "kill worker": lambda: self.killed("worker"),
                "kill redis": lambda: chaos.killed(redis, forgets=True),
                "cut postgres": self.cut,
            },
            pause=12,
            lasts=2,
        )

    @contextmanager
    def killed(self, service: str) -> Iterator[None]:
        """Kill a container of a service, if there is one just now; the swarm starts another."""
        labels = [f"lockstep.project={self.project.name}", f"lockstep.service={service}"]
        client: Any = docker.from_env()
        found = client.containers.list(filters={"label": labels}, ignore_removed=True)
        with suppress(APIError):  # it has just gone by itself
            for one in self.dice.sample(found, min(1, len(found))):
                one.kill()
        yield

    @contextmanager
    def cut(self) -> Iterator[None]:
        """End every connection of the services to their database."""
        ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lockstep'"
        services.execute({"DATABASE_URL": self.database}, ours)
        yield

    def insist(self, *words: str) -> int:
        """Run a command until it ends well, and return how often it met a fault."""
        for failed in range(TRIES):
            done = self.project.clone.attempt(*words)
            if not done.returncode:
                return failed
            assert done.returncode in [one.code for one in MET], done.stderr.decode()
            print(done.stderr.decode())  # noqa: T201, seen when the story fails
            time.sleep(PAUSE_SECONDS)
        raise AssertionError(f"{words[0]} failed {TRIES} times")

    def handed(self) -> tuple[Counter[str], Counter[str]]:
        """Count by reference what the provider took, and what it delivered, having known its keys again."""
        log = self.project.sandbox.log.read_text()
        delivered = dict(re.findall(r"sms (\S+) delivered, (\S+) to its sender", log))
        again = Counter(delivered[one] for one in re.findall(r"sms (\S+) was delivered before", log))
        arrived = Counter(delivered.values())
        return arrived + again, arrived


@pytest.fixture
def fire(tmp_path: Path) -> Iterator[Fire]:
    """The project on servers of its own, where a worker that was killed holds its message for 20 seconds alone."""
    database, queue = (
        f"{kind}://{user}:{secrets.token_urlsafe()}@{ports.HOST}:{ports.free()}/{name}"
        for kind, user, name in (("postgresql", "lockstep", "lockstep"), ("redis", "", "0"))
    )
    postgres = servers.postgres(database, tmp_path / "postgres", tmp_path / "postgres.log")
    redis = servers.redis(queue, tmp_path / "redis", tmp_path / "redis.log")
    with ExitStack() as stack:
        for server in (postgres, redis):
            stack.enter_context(servers.serving(server))
        (folder := tmp_path / "project").mkdir()
        project = stack.enter_context(swarms.project(folder, database, queue))
        checkouts.named(project.clone.repo.root)
        path = "config/dev.env"
        project.write(
            path, project.read(path).replace("DELIVERY_TIMEOUT_SECONDS=10", "DELIVERY_TIMEOUT_SECONDS=5")
        )
        project.commit("a short lease")
        project.build()
        project.inv("deploy", "--env=dev")
        with project.sandbox.client() as client:
            fault = {"delay": ANSWER_SECONDS, "count": 1_000_000}
            client.post("/v1/faults", json=fault).raise_for_status()
        yield Fire(project, redis)


def test_deploys_and_rotations_under_fire(fire: Fire) -> None:
    """The ledger adds up, what runs is as its release says, and one SMS key is valid."""
    project, url = fire.project, fire.project.url("dev")
    dev = Environment(project.clone, "dev", url, project.sandbox.log)
    sha, failed = project.sha("dev"), 0
    with chaos.clients([url], project.token("dev"), RATE, mail=False) as ledger, fire.chaos.around():
        for _ in range(ROUNDS):
            project.tweak("dev")
            failed += fire.insist("deploy", "--env=dev", f"--sha={sha}")
            failed += fire.insist("rollback", "--env=dev")
            failed += fire.insist("rotate", "--env=dev", f"--key={SMS}", "--yes", "--commit")
    chaos.settle(fire.database)

    faults = ", ".join(f"{name} {count}" for name, count in sorted(fire.chaos.happened.items()))
    about = f"{ROUNDS} deploys, rollbacks and rotations ({faults}; {failed} begun again)"
    bound = fire.chaos.happened["kill worker"] * CONCURRENCY
    ledger.balance(about, fire.database, *fire.handed(), bound)
    assert fire.chaos.happened
    services.until(lambda: 3 == project.inv("status", "--env=dev").count(" ready "), 60)
    assert "no drift from release" in project.inv("drift", "--env=dev")
    assert 1 == dev.valid_keys()
