"""What runs a release. An engine is a module that satisfies `Engine` and stands in `ENGINES`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from ci.delivery.release import Image, Release
from ci.ground import errors
from ci.ground.repo import Repo
from ci.sealing.environment import known
from runtime import Secret

Sealed = Mapping[str, Secret]  # values by key; empty where the engine holds the release's bundles already


@dataclass(frozen=True)
class Replica:
    """One running replica of a service: where it runs, where it tells its own health, since when (Unix time)."""

    service: str
    release: int
    pid: int
    address: str
    since: float
    state: str = ""


class Engine(Protocol):
    """The few things a deploy asks of what runs it."""

    def lock(self, repo: Repo, name: str) -> AbstractContextManager[None]:
        """Hold the environment against other deploys; LockedError names who has it."""

    def unlock(self, repo: Repo, name: str) -> str:
        """Take away a lock whose holder is gone, and say whose it was."""

    def image(self, repo: Repo, name: str, sha: str) -> Image:
        """Return the image of a commit; an error says how to make it."""

    def prepare(self, repo: Repo, release: Release, sealed: Sealed) -> str:
        """Clear away what a killed deploy left, bring up what the services stand on, and say what that is."""

    def migrate(self, repo: Repo, release: Release, sealed: Sealed) -> None:
        """Bring the database to the release's revision; MigrationError shows why not."""

    def apply(self, repo: Repo, release: Release, sealed: Sealed) -> list[Replica]:
        """Start the release beside what runs, and return its replicas; StartError shows why not."""

    def wait(self, repo: Repo, release: Release, replicas: Iterable[Replica]) -> None:
        """Wait until all are healthy; StartError shows the log of one that is not."""

    def edge(self, repo: Repo, release: Release) -> str:
        """Return the URL at which the edge is reached from here; empty when there is no edge."""

    def record(self, repo: Repo, release: Release) -> None:
        """Make it the current release, and let what ran before drain and leave."""

    def undo(self, repo: Repo, release: Release, why: str) -> None:
        """Take away whatever is not of the current release, and note why this one failed."""

    def history(self, repo: Repo, name: str) -> list[Release]:
        """Return the recorded releases, oldest first."""

    def replicas(self, repo: Repo, name: str) -> list[Replica]:
        """Return what runs now."""

    def healthy(self, replica: Replica) -> bool:
        """Say whether one replica is ready."""

    def drift(self, repo: Repo, name: str) -> list[str]:
        """Say, one line each, where what runs differs from the current release."""

    def logs(self, repo: Repo, name: str, service: str | None, *, follow: bool) -> Iterator[str]:
        """Yield the log's lines, of one service or of all."""

    def run(self, repo: Repo, release: Release, service: str, argv: Sequence[str]) -> tuple[int, list[str]]:
        """Run a module once with a service's environment; return its exit code and what it printed."""

    def stop(self, repo: Repo, name: str, *, purge: bool) -> str:
        """Stop everything of the environment and say what that was; `purge` deletes its data, too."""


ENGINES: Mapping[str, str] = {
    "local": "ci.delivery.engines.processes",
    "swarm": "ci.delivery.engines.swarm",
    "fake": "ci.delivery.engines.fake",
}


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
