"""Three secrets of an environment on a real swarm are replaced while messages go through: none is lost."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.delivery.engines import servers
from ci.ground import git, ports
from ci.rotation import state
from tests import checkouts, rotations, swarms
from tests.ci.rotation import test_redis
from tests.rotations import KEYS, LONG, SMS, Environment

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """A project's dev, on servers of its own, for what other tests log in with must stay."""
    folder = tmp_path_factory.mktemp("rotation")
    postgres = f"postgresql://lockstep:{secrets.token_urlsafe()}@127.0.0.1:{ports.free()}/lockstep"
    redis = test_redis.url_of()
    for name in ("redis", "project"):
        (folder / name).mkdir()
    with (
        servers.serving(servers.postgres(postgres, folder / "postgres/data", folder / "postgres/log")),
        test_redis.running(folder / "redis", redis),
        swarms.project(folder / "project", postgres, redis) as project,
    ):
        named(project.clone.repo.root)
        project.build()
        project.inv("deploy", "--env=dev")
        yield Environment(project.clone, "dev", project.url("dev"), project.sandbox.log)


def named(root: Path) -> None:
    """Be somebody to git, who commits."""
    for name, value in (("user.name", "Story"), ("user.email", "story@lockstep.example")):
        checkouts.git(root, "config", name, value)


def test_rotations_under_way_of_messages(dev: Environment) -> None:
    """Every message that was accepted meanwhile is sent; the old values are refused, and git has the records."""
    before = dev.values()
    with dev.messages("three rotations on the swarm"):
        for key in KEYS:
            dev.rotate(key, "--yes", "--commit")
    after = dev.values()

    assert [[False, True]] * 3 == [dev.taken(key, before[key], after[key]) for key in KEYS]
    assert list(KEYS) == [one["key"] for one in state.records(dev.clone.repo, "dev")]
    assert not git.sha(dev.clone.repo.root).endswith("-dirty")
    assert "all that runs is as release 4" in dev.clone.inv("drift", "--env=dev")


@pytest.mark.skipif(not LONG, reason="minutes; nox -s soak")
def test_kills(dev: Environment) -> None:
    """Behind every step a kill changes nothing: the same command ends with the new key alone."""
    with dev.messages(f"{SMS} on the swarm, {len(rotations.BEHIND)} kills"):
        values = dev.killed(SMS, rotations.BEHIND)

    assert [False] * len(rotations.BEHIND) + [True] == dev.taken(SMS, *values)
    assert None is state.read(dev.clone.repo, "dev", SMS)
    assert not git.sha(dev.clone.repo.root).endswith("-dirty")
    assert "all that runs is as release" in dev.clone.inv("drift", "--env=dev")
