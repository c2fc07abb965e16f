"""Releases and the lock, as a real swarm keeps them."""

import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ci.delivery import docker
from ci.delivery.engines.swarm import bundles, jobs, records
from ci.delivery.engines.swarm import services as swarm_services
from ci.delivery.engines.swarm.cluster import Cluster, Manager
from ci.delivery.release import HEALTHY, Release, Service, current
from ci.ground import errors, services
from runtime import Secret

pytestmark = pytest.mark.engine


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster(Manager(docker.connect().api), f"t{secrets.token_hex(3)}", "dev")
    yield made
    records.unlock(made)
    records.prune(made, 0)
    bundles.sweep(made, [])


def release(cluster: Cluster, number: int) -> Release:
    declared = services.Service(("python", "-m", "app"))
    running = {"api": Service(declared, 1, ["KEY"], cluster.key(number, "api"))}
    return Release("dev", number, "abc", {}, ["KEY"], "me", "now", services=running)


def test_a_release_is_current_when_it_is_healthy(cluster: Cluster) -> None:
    """A release that was only begun is not the current one, and how it ended cannot be said twice."""
    first, second = release(cluster, 1), release(cluster, 2)
    records.claim(cluster, first)
    records.end(cluster, replace(first, result=HEALTHY))
    records.claim(cluster, second)
    before = current(records.history(cluster))
    records.fail(cluster, second, "on purpose")
    records.end(cluster, replace(second, result=HEALTHY))

    history = records.history(cluster)

    assert before
    assert 1 == before.number
    assert [HEALTHY, "failed: on purpose"] == [one.result for one in history]


def test_a_number_is_given_once(cluster: Cluster) -> None:
    """Whoever comes second to a number is told so."""
    records.claim(cluster, release(cluster, 1))

    with pytest.raises(errors.LockedError, match="somebody else made release 1"):
        records.claim(cluster, release(cluster, 1))


def test_a_job_that_an_interrupted_deploy_left(cluster: Cluster) -> None:
    """The next deploy ends it before it migrates itself; a command that somebody runs beside goes on."""
    container = {"Image": "python:3.11-slim-bookworm", "Command": ["sleep", "600"]}
    for number in (1, 2):
        cluster.api.create_service(
            {"ContainerSpec": container, "RestartPolicy": {"Condition": "none"}},
            name=cluster.name(f"job-{number}"),
            labels=cluster.labels(kind="job", release=number),
        )

    jobs.sweep(cluster, ["2"])

    [left] = cluster.services()
    swarm_services.remove(cluster, [left])
    assert cluster.name("job-1") == left["Spec"]["Name"]


def test_the_lock_is_held_once(cluster: Cluster) -> None:
    """The second is told who, where and since when; afterwards the lock is free."""
    with (
        records.lock(cluster),
        pytest.raises(errors.LockedError, match=r"process \d+, since ") as caught,
        records.lock(cluster),
    ):
        pass
    with records.lock(cluster):
        pass

    assert "inv unlock --env=dev" in caught.value.hint


def test_the_lock_of_a_process_that_is_gone(cluster: Cluster) -> None:
    """A lock whose process of this machine was killed is taken over; one of another machine is not."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    mine = records._me()
    records._create(cluster, "lock", {**mine, "pid": gone.pid}, kind="lock")
    with records.lock(cluster):
        pass
    records._create(cluster, "lock", {**mine, "pid": gone.pid, "host": "elsewhere"}, kind="lock")

    with pytest.raises(errors.LockedError, match="on elsewhere"), records.lock(cluster):
        pass

    assert "on elsewhere" in records.unlock(cluster)


def test_what_retention_forgets(cluster: Cluster) -> None:
    """Old releases go with their bundles; those that a kept one refers to stay, whatever their number."""
    for number in range(1, 13):
        one = release(cluster, number)
        if number == 12:
            one = replace(one, services=release(cluster, 2).services)
        else:
            bundles.store(cluster, one, {"KEY": Secret(secrets.token_urlsafe())})
        records.claim(cluster, one)
        records.end(cluster, replace(one, result=HEALTHY))

    records.prune(cluster, 10)
    bundles.sweep(cluster, records.history(cluster))

    assert list(range(3, 13)) == [one.number for one in records.history(cluster)]
    expected = {cluster.key(number, "api") for number in range(2, 12)}
    assert expected == set(bundles.ids(cluster))


def test_a_bundle_that_is_gone_is_named(cluster: Cluster) -> None:
    """A rollback to a release whose bundle was removed by hand says so before it starts."""
    with pytest.raises(errors.EngineError, match=r"has lost .*\.1\.api"):
        bundles.require(cluster, release(cluster, 1))
