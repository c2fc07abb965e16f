"""A deploy, step by step. It ends with the new release healthy everywhere, or with what ran before untouched."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ci.delivery import engines, smoke
from ci.delivery import release as releases
from ci.delivery.release import Release
from ci.ground import console
from ci.ground.repo import LOCAL, Repo
from ci.sealing import environment as environments
from ci.sealing import init
from ci.sealing.environment import Environment


@dataclass
class Deploy:
    """What the steps of one deploy hand on to each other."""

    repo: Repo
    name: str
    engine: engines.Engine
    environment: Environment = field(init=False)
    release: Release = field(init=False)
    replicas: list[engines.Replica] = field(default_factory=list)
    recorded: bool = False
    deliveries: list[smoke.Delivery] = field(default_factory=list)


def decrypt(deploy: Deploy) -> str:
    """Open the environment in memory, check every value, and number the release."""
    if deploy.name == LOCAL:
        init.local(deploy.repo)
    deploy.environment = environments.opened(deploy.repo, deploy.name)
    before = deploy.engine.history(deploy.repo, deploy.name)
    deploy.release = releases.make(deploy.repo, deploy.environment, before)
    return (
        f"{len(deploy.environment.plain)} plain and {len(deploy.environment.sealed)} sealed values fit the schema"
    )


def prepare(deploy: Deploy) -> str:
    """Bring up what the services stand on."""
    return deploy.engine.prepare(deploy.repo, deploy.environment)


def migrate(deploy: Deploy) -> str:
    """Bring the database to this release's revision."""
    deploy.engine.migrate(deploy.repo, deploy.environment)
    return "the database is at this release's revision"


def apply(deploy: Deploy) -> str:
    """Start the release beside what runs."""
    deploy.replicas = deploy.engine.apply(deploy.repo, deploy.environment, deploy.release)
    return f"{', '.join(one.service for one in deploy.replicas)} of release {deploy.release.number} started"


def wait(deploy: Deploy) -> str:
    """Wait until every replica is healthy."""
    deploy.engine.wait(deploy.repo, deploy.replicas)
    return "every replica is ready"


def record(deploy: Deploy) -> str:
    """Make it the current release; what ran before drains and leaves."""
    deploy.engine.record(deploy.repo, deploy.release)
    deploy.recorded = True
    return f"release {deploy.release.number} is the current one"


def prove(deploy: Deploy) -> str:
    """Send one SMS and one e-mail through the api, and see both arrive."""
    deploy.deliveries = smoke.send(deploy.environment)
    return f"{len(deploy.deliveries)} messages, sent through the api, arrived"


STEPS: tuple[Callable[[Deploy], str], ...] = (decrypt, prepare, migrate, apply, wait, record, prove)


def run(repo: Repo, name: str) -> Deploy:
    """Deploy an environment under its lock and return what was done; a failed step undoes those before it."""
    deploy = Deploy(repo, name, engines.of(repo, name))
    with deploy.engine.lock(repo, name):
        try:
            for step in STEPS:
                begun = time.monotonic()
                told = step(deploy)
                console.done(step.__name__, f"{told}, {time.monotonic() - begun:.1f} s")
        except BaseException:
            if not deploy.recorded:
                deploy.engine.undo(repo, name)
            raise
    return deploy
