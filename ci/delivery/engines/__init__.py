"""What runs releases: `with engines.open(repo, name) as engine:`. An engine is a class that satisfies `Engine`.

Its module is imported when an environment names it, so that a project pays only for the engines that it uses.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, Self

import cerberus

from ci.delivery.engines.processes.settings import RULES as PROCESSES_RULES
from ci.delivery.engines.swarm.settings import RULES as SWARM_RULES
from ci.delivery.release import Image, Release
from ci.ground import errors
from ci.ground.environments import Environment, flat
from ci.ground.events import Events
from ci.ground.repo import Repo
from ci.sealing.environment import known
from runtime import Secret

Sealed = Mapping[str, Secret]  # values by key; empty where the engine holds the release's bundles already


@dataclass(frozen=True)
class Replica:
    """One running replica of a service: where it runs, since when (Unix time), the port it has here."""

    service: str
    release: int
    pid: int
    address: str
    since: float
    state: str = ""
    port: int = 0


class Engine(Protocol):
    """What a deploy asks of an environment's engine; it connects once, at the first need, until it is closed."""

    @property
    def versioned(self) -> bool:
        """Whether it runs an image that was built from a commit; if not, it runs the working tree."""

    @property
    def recorded(self) -> Mapping[str, Any]:
        """Its settings that are part of a release, as JSON can hold them."""

    @property
    def images(self) -> str | None:
        """The address of the Docker client that holds the environment's images, None when it runs none."""

    def __init__(self, repo: Repo, environment: Environment) -> None:
        """Take the environment's settings, which have been validated; nothing is connected yet."""

    def __enter__(self) -> Self:
        """Return the engine."""

    def __exit__(self, *_: object) -> None:
        """Close the connection."""

    def lock(self) -> AbstractContextManager[None]:
        """Hold the environment against other deploys; LockedError names the holder."""

    def unlock(self) -> str:
        """Remove a lock whose holder has ended, and return who that was."""

    def image(self, sha: str, names: Sequence[str]) -> Image:
        """Return the images of a commit that have these names; an error says how to make them."""

    def prepare(self, release: Release, sealed: Sealed) -> str | Events[str]:
        """Remove what a killed deploy left, start what the services rely on, and return what that is."""

    def apply(self, release: Release, sealed: Sealed) -> list[Replica]:
        """Start the release beside what runs, and return its replicas; StartError shows why not."""

    def wait(self, release: Release, replicas: Iterable[Replica]) -> None:
        """Wait until all are healthy; StartError shows the log of one that is not."""

    def url(self, release: Release, service: str) -> str:
        """Return the URL at which the proxy that leads to a service is reached from here; empty without one."""

    def record(self, release: Release) -> None:
        """Make it the current release, and let the previous one drain and end."""

    def undo(self, release: Release, why: str) -> None:
        """Remove everything that is not of the current release, and note why this one failed."""

    def history(self) -> list[Release]:
        """Return the recorded releases, oldest first; FormatError when another version recorded one."""

    def changes(self, before: Release | None, after: Release) -> list[str]:
        """Return, one line each, how the engine's own part differs between two releases."""

    def replicas(self) -> list[Replica]:
        """Return what runs now."""

    def healthy(self, replica: Replica) -> bool:
        """Return whether one replica is ready."""

    def drift(self) -> list[str]:
        """Return, one line each, where what runs differs from the current release."""

    def logs(self, service: str | None, *, follow: bool) -> Iterator[str]:
        """Yield the log's lines, of one service or of all."""

    def run(self, release: Release, reader: str, argv: Sequence[str], sealed: Sealed) -> tuple[int, list[str]]:
        """Run a job, or a command with the environment of a service or a job, once; to its end.

        Without words in `argv` it is the job's own command. Returns its exit code and the lines that it printed.
        """

    def stop(self, *, purge: bool) -> str:
        """Stop everything of the environment and return what that was; `purge` deletes its data as well."""


@dataclass(frozen=True)
class Kind:
    """An engine that environments may name: the rules of its settings (Cerberus'), and what imports its class.

    A rule with `services: True` is of a mapping by service, each of which must be one of the schema.
    """

    rules: Mapping[str, Any]
    load: Callable[[], type[Engine]]


def _processes() -> type[Engine]:
    from ci.delivery.engines.processes.engine import Processes  # noqa: PLC0415

    return Processes


def _swarm() -> type[Engine]:
    from ci.delivery.engines.swarm.engine import Swarm  # noqa: PLC0415

    return Swarm


ENGINES: dict[str, Kind] = {"processes": Kind(PROCESSES_RULES, _processes), "swarm": Kind(SWARM_RULES, _swarm)}


def open(repo: Repo, name: str) -> Engine:  # noqa: A001, `engines.open`
    """Return the engine of an environment; use it as a context manager.

    Raises UsageError when there is no such environment, and ConfigurationError for everything that is wrong in
    environments.yaml, in other environments as well.
    """
    known(repo, name)
    check(repo)
    environment = repo.environments.by_name[name]
    return ENGINES[environment.engine].load()(repo, environment)


def check(repo: Repo) -> None:
    """Raise ConfigurationError, which names every problem, unless the engines exist and accept their settings."""
    problems: list[str] = []
    for name, environment in repo.environments.by_name.items():
        if environment.engine in ENGINES:
            problems += _settings(repo, environment, ENGINES[environment.engine].rules)
        else:
            problems.append(f"{name}.engine: unknown engine {environment.engine}, use one of {', '.join(ENGINES)}")
        problems += _strangers(repo, f"{name}.replicas", environment.replicas)
        problems += [
            f"{name}.replicas.{service}: {service} is single, two may never run at once"
            for service, count in environment.replicas.items()
            if count > 1 and service in repo.schema.services and repo.schema.services[service].single
        ]
    declared = [(reader, about.environments) for reader, about in repo.schema.services.items()]
    declared += [(reader, about.environments) for reader, about in repo.schema.jobs.items()]
    problems += [
        f"{reader} of the schema: there is no environment {name}"
        for reader, names in declared
        for name in names
        if name not in repo.environments.by_name
    ]
    if problems:
        raise errors.ConfigurationError("the environments are wrong", "fix config/environments.yaml", problems)


def _settings(repo: Repo, environment: Environment, rules: Mapping[str, Any]) -> Iterator[str]:
    where = f"{environment.name}.{environment.engine}"
    validator = cerberus.Validator(
        {name: {key: value for key, value in rule.items() if key != "services"} for name, rule in rules.items()}
    )
    if not validator.validate(environment.settings):
        yield from flat(where, validator.errors)
        return
    for name, rule in rules.items():
        if rule.get("services"):
            yield from _strangers(repo, f"{where}.{name}", environment.settings.get(name, {}))


def _strangers(repo: Repo, where: str, by_service: Mapping[str, Any]) -> Iterator[str]:
    strangers = (service for service in by_service if service not in repo.schema.services)
    yield from (f"{where}.{service}: there is no service {service}" for service in strangers)
