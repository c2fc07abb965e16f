"""Three secrets of an environment on a real swarm are replaced while messages go through: none is lost."""

from collections.abc import Iterator

import pytest

from ci.ground import git
from ci.rotation import state
from tests import checkouts, rotations, swarms
from tests.load import LONG
from tests.rotations import KEYS, SMS, Environment

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """A project's dev, on servers of its own, for what other tests log in with must stay."""
    with swarms.alone(tmp_path_factory.mktemp("rotation")) as project:
        checkouts.named(project.clone.repo.root)
        project.build()
        project.inv("deploy", "--env=dev")
        yield Environment(project.clone, "dev", project.url("dev"), project.sandbox.log)


def test_rotations_under_way_of_messages(dev: Environment) -> None:
    """Every message that was accepted meanwhile is sent; the old values are refused, and git has the records."""
    before = dev.values()
    with dev.messages("three rotations on the swarm", rotations.SLOW):
        for key in KEYS:
            dev.rotate(key, "--yes", "--commit")
    after = dev.values()

    assert [[False, True]] * 3 == [dev.taken(key, before[key], after[key]) for key in KEYS]
    assert list(KEYS) == [one["key"] for one in state.records(dev.clone.repo, "dev")]
    assert not git.sha(dev.clone.repo.root).endswith("-dirty")
    assert "no drift from release 4" in dev.clone.inv("drift", "--env=dev")


@pytest.mark.skipif(not LONG, reason="minutes; nox -s soak")
def test_kills(dev: Environment) -> None:
    """Behind every step a kill changes nothing: the same command ends with the new key alone."""
    with dev.messages(f"{SMS} on the swarm, {len(rotations.BEHIND)} kills", rotations.SLOW):
        values = dev.killed(SMS, rotations.BEHIND)

    assert [False] * len(rotations.BEHIND) + [True] == dev.taken(SMS, *values)
    assert None is state.read(dev.clone.repo, "dev", SMS)
    assert not git.sha(dev.clone.repo.root).endswith("-dirty")
    assert "no drift from release" in dev.clone.inv("drift", "--env=dev")
