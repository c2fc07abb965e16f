"""What a deploy may rely on: the same test over every engine, the fake one included."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient

from ci import cli
from ci.delivery import deploy, docker, engines
from ci.delivery import release as releases
from ci.delivery.engines import Engine
from ci.delivery.release import HEALTHY, Release, current
from ci.ground import command, errors, events
from ci.ground.repo import Repo
from ci.ground.services import MIGRATE
from ci.sealing import environment
from tests import checkouts, swarms
from tests.lockstep.delivery import fake, projects


@contextmanager
def on_fake(folder: Path, _request: pytest.FixtureRequest) -> Iterator[tuple[Repo, str]]:
    with pytest.MonkeyPatch.context() as patch, checkouts.at_home(folder / "home"):
        patch.setitem(engines.ENGINES, "fake", fake.KIND)
        yield projects.make(folder / "repo").repo, "dev"


@contextmanager
def on_processes(folder: Path, _request: pytest.FixtureRequest) -> Iterator[tuple[Repo, str]]:
    clone = checkouts.clone(folder)
    yield clone.repo, "local"
    if clone.repo.state.exists():
        clone.inv("stop", "--purge")


@contextmanager
def on_swarm(folder: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Repo, str]]:
    urls = (request.getfixturevalue("postgres_url"), request.getfixturevalue("redis_url"))
    with swarms.project(folder, *urls) as project:
        project.build()
        with checkouts.at_home(project.clone.home / ".config"):
            yield project.clone.repo, "dev"


ENGINES = {"fake": on_fake, "processes": on_processes, "swarm": on_swarm}


@pytest.mark.parametrize(
    "name",
    [
        "fake",
        pytest.param("processes", marks=pytest.mark.server),
        pytest.param("swarm", marks=pytest.mark.engine),
    ],
)
def test_the_contract(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Locks exclude, a release that is undone leaves the current one, stop keeps the history, purge forgets it."""
    with ENGINES[name](tmp_path, request) as (repo, environment_name):
        with counted() as connections, spawned() as environs:
            cli.follow(deploy.run(repo, environment_name, deploy.Options(yes=True)))
        assert connections == ([""] if name == "swarm" else [])
        with engines.open(repo, environment_name) as engine:
            locked(repo, environment_name, engine)
            first = running(repo, environment_name, engine)
            own_keys(repo, environment_name, engine, first, environs)
            undone(repo, environment_name, engine, first)
            read(repo, environment_name, engine, first)
            stopped(engine)


def test_every_engine_is_held_to_it() -> None:
    """An engine that is added to the registry is added here."""
    assert {*engines.ENGINES, "fake"} == ENGINES.keys()


@contextmanager
def counted() -> Iterator[list[str]]:
    """Give the addresses of the Docker clients that are connected meanwhile."""
    connections: list[str] = []
    connect = docker.connect

    def counting(address: str = "") -> DockerClient:
        connections.append(address)
        return connect(address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(docker, "connect", counting)
        yield connections


@contextmanager
def spawned() -> Iterator[dict[str, set[str]]]:
    """Give the keys that each process of a service is started with meanwhile, in the clear or in its bundle."""
    environs: dict[str, set[str]] = {}
    spawn = command.spawn

    def recording(argv: Sequence[str | Path], **options: Any) -> command.Detached:
        if "--service" in argv:
            service = str(argv[list(argv).index("--service") + 1])
            environs[service] = {*options["env"], *json.loads(options["input"])}
        return spawn(argv, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "spawn", recording)
        yield environs


def own_keys(repo: Repo, name: str, engine: Engine, release: Release, environs: Mapping[str, set[str]]) -> None:
    """What runs has the keys that name its service and no other; of a versioned engine a process tells its own."""
    program = ["python", "-c", "import os; print(*os.environ)"]
    for service in release.services:
        if engine.versioned:
            _, lines = engine.run(release, service, program, environment.sealed(repo, name))
            found = set(" ".join(lines).split())
        else:
            found = environs[service]
        keys = {key.name for key in repo.schema.of(service)}
        assert keys == found & repo.schema.keys.keys() or isinstance(engine, fake.Fake)


def locked(repo: Repo, name: str, engine: Engine) -> None:
    """A second holder is refused while the first works, also by another connection, and is not afterwards."""
    with engines.open(repo, name) as other:
        with engine.lock(), pytest.raises(errors.LockedError, match="is at work on"), other.lock():
            pass
        with other.lock():
            pass
        assert other.unlock()


def running(repo: Repo, name: str, engine: Engine) -> Release:
    """The first release is recorded, its replicas are healthy and complete, and nothing drifts."""
    [release] = engine.history()
    replicas = engine.replicas()
    wanted = {service: about.replicas for service, about in release.services.items()}

    assert (1, HEALTHY) == (release.number, release.result)
    assert wanted == {service: sum(one.service == service for one in replicas) for service in wanted}
    assert {1} == {one.release for one in replicas if one.service in wanted}
    assert all(map(engine.healthy, replicas))
    assert [] == engine.drift()
    assert [] == engine.changes(release, release)
    assert release.settings == engine.recorded
    assert release == Release.parse(release.document())
    assert repo.environments.by_name[name].engine in (*engines.ENGINES, "fake")
    return release


def undone(repo: Repo, name: str, engine: Engine, first: Release) -> None:
    """A release that was started and is undone leaves the current one, all of it and nothing else."""
    sealed = environment.sealed(repo, name)
    schema = (repo.schema_at(first.sha) if engine.versioned else repo.schema).within(name)
    given: dict[str, Any] = {"plain": first.plain, "sealed": sealed, "settings": engine.recorded}
    second = releases.make(repo, name, first.image, schema, **given, number=2)
    second = replace(second, revision=first.revision, lives_with=first.lives_with)
    with engine.lock():
        assert cli.follow(events.result(engine.prepare(second, sealed)))
        assert 0 == engine.run(second, MIGRATE, (), sealed)[0]
        engine.wait(second, engine.apply(second, sealed))
        assert 2 in {one.release for one in engine.replicas()}
        engine.undo(second, "on purpose")

    past = engine.history()
    assert first == current(past)
    assert [one.result for one in past if one.number == 2] in ([], ["failed: on purpose"])
    assert {1} == {one.release for one in engine.replicas() if one.service in first.services}
    assert [] == engine.drift()


def read(repo: Repo, name: str, engine: Engine, release: Release) -> None:
    """Logs come by service; a command runs with a service's environment as it was typed, a job by its own."""
    service, sealed = next(iter(release.services)), environment.sealed(repo, name)
    assert any(line.startswith(service) for line in engine.logs(service, follow=False))

    ended, lines = engine.run(release, service, ["python", "-c", "print(' $HOME '); raise SystemExit(3)"], sealed)
    job = engine.run(release, MIGRATE, (), sealed)

    assert (3, [" $HOME "]) == (ended, lines) or isinstance(engine, fake.Fake)
    assert (0, True) == (job[0], bool(job[1]))


def stopped(engine: Engine) -> None:
    """Stop ends every replica and keeps the history; purge forgets it, and both may be repeated."""
    with engine.lock():
        assert "api" in engine.stop(purge=False)
        assert [] == engine.replicas()
        assert engine.history()
        assert "nothing ran" == engine.stop(purge=True)
        assert [] == engine.history()
