"""What runs a release. An engine is a module that satisfies `Engine` and stands in `ENGINES`."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from ci.delivery.release import Release
from ci.ground import errors
from ci.ground.repo import Repo
from ci.sealing.environment import Environment, known


@dataclass(frozen=True)
class Replica:
    """One running process of a service: where it runs, where it tells its own health, since when (Unix time)."""

    service: str
    release: int
    pid: int
    address: str
    since: float


class Engine(Protocol):
    """The few things a deploy asks of what runs it."""

    def lock(self, repo: Repo, name: str) -> AbstractContextManager[None]:
        """Hold the environment against other deploys; LockedError names who has it."""

    def prepare(self, repo: Repo, environment: Environment) -> str:
        """Clear away what a killed deploy left, bring up what the services stand on, and say what that is."""

    def migrate(self, repo: Repo, environment: Environment) -> None:
        """Bring the database to the release's revision; MigrationError shows why not."""

    def apply(self, repo: Repo, environment: Environment, release: Release) -> list[Replica]:
        """Start the release beside what runs, and return its replicas; StartError shows why not."""

    def wait(self, repo: Repo, replicas: Iterable[Replica]) -> None:
        """Wait until all are healthy; StartError shows the log of one that is not."""

    def record(self, repo: Repo, release: Release) -> None:
        """Make it the current release, and let what ran before drain and leave."""

    def undo(self, repo: Repo, name: str) -> None:
        """Take away whatever is not of the current release."""

    def history(self, repo: Repo, name: str) -> list[Release]:
        """Return the recorded releases, oldest first."""

    def replicas(self, repo: Repo, name: str) -> list[Replica]:
        """Return what runs now."""

    def healthy(self, replica: Replica) -> bool:
        """Ask one replica whether it is ready."""

    def logs(self, repo: Repo, name: str, service: str | None, *, follow: bool) -> Iterator[str]:
        """Yield the log's lines, of one service or of all."""

    def stop(self, repo: Repo, name: str, *, purge: bool) -> str:
        """Stop everything of the environment and say what that was; `purge` deletes its data, too."""


ENGINES: Mapping[str, str] = {"local": "ci.delivery.engines.local"}


def of(repo: Repo, name: str) -> Engine:
    """Return the engine that environments.yaml gives an environment; UsageError when there is none of either."""
    known(repo, name)
    engine = repo.environments.by_name[name].engine
    if engine not in ENGINES:
        raise errors.UsageError(
            f"{name} is run by {engine}, which this version cannot do",
            f"engines here are {', '.join(ENGINES)}; config/environments.yaml says which one runs what",
        )
    return cast("Engine", import_module(ENGINES[engine]))
