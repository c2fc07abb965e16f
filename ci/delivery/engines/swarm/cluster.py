"""One environment's place in a swarm: the connection to a manager, and what its objects are called."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any

from docker import DockerClient
from docker.errors import APIError, DockerException

from ci.ground import errors

PREFIX = "lockstep"
NOT_FOUND, CONFLICT = 404, 409
OUTDATED = "out of sequence"
NO_LEADER, LATE = "does not have a leader", "context deadline exceeded"  # as the engine says it
REMOVAL_SECONDS = 30
ELECTION_SECONDS = 45  # managers took 12 to 35 s to agree on a leader after one was lost or came back


class Manager:
    """A swarm manager's API; what it refuses, and silence, become EngineErrors that say which call it was.

    It waits while the managers elect a leader: to give up a deploy then would restore replicas of the old release
    that the swarm still believes in, on the node that was lost, and remove those that run.

    Three errors are passed on: an object does not exist, its name is taken, a service was changed meanwhile.
    """

    def __init__(self, api: Any) -> None:  # an APIClient, whose types are written down in part only
        self._api = api

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return a call of the API."""
        method = getattr(self._api, name)

        @wraps(method)
        def call(*arguments: Any, **options: Any) -> Any:
            deadline = time.monotonic() + ELECTION_SECONDS
            while True:
                try:
                    return method(*arguments, **options)
                except APIError as error:
                    if not _leaderless(name, error) or time.monotonic() > deadline:
                        raise _refusal(name, error) from None
                    time.sleep(1)
                except (DockerException, OSError):
                    hint = "is it there, and has the swarm a majority of managers? docker node ls"
                    raise errors.EngineError(f"the engine did not answer to {_words(name)}", hint) from None

        return call


def _leaderless(name: str, error: APIError) -> bool:
    """Say whether a call met no leader and so did nothing; of calls that timed out only reads did nothing."""
    explanation = str(error.explanation)
    reads = not name.startswith(("create_", "update_", "remove_"))
    return NO_LEADER in explanation or (reads and LATE in explanation)


def _refusal(name: str, error: APIError) -> Exception:
    explanation = str(error.explanation)
    if error.status_code in (NOT_FOUND, CONFLICT) or OUTDATED in explanation:
        return error
    if NO_LEADER in explanation or LATE in explanation:  # late: a leader may not know that it lost the majority
        hint = "too few managers are up: start those that are down, docker node ls"
        return errors.EngineError("the swarm has no leader", hint, [explanation])
    hint = "the lines above are the engine's own words"
    return errors.EngineError(f"the engine refused to {_words(name)}", hint, [explanation])


def _words(name: str) -> str:
    return name.replace("_", " ")


@dataclass(frozen=True)
class Cluster:
    """What every call needs: the connection, and the project's and the environment's names."""

    api: Manager
    project: str
    environment: str

    def name(self, part: str) -> str:
        """Return the name of a service or network, which is also its host name for the others."""
        return f"{self.project}-{self.environment}-{part}"

    def key(self, *parts: object) -> str:
        """Return the name of a config or secret."""
        return ".".join(map(str, (self.project, self.environment, *parts)))

    def labels(self, **more: object) -> dict[str, str]:
        """Return the labels by which an object is known as this environment's."""
        own = {"project": self.project, "environment": self.environment, **more}
        return {f"{PREFIX}.{name}": str(value) for name, value in own.items()}

    def filters(self, **more: object) -> dict[str, list[str]]:
        """Return the filter that finds the objects which have these labels."""
        return {"label": [f"{name}={value}" for name, value in self.labels(**more).items()]}

    @cached_property
    def network(self) -> str:
        """The id of the network that the services share; it is created if it does not exist."""
        name = self.name("net")
        for network in self.api.networks(names=[name]):
            if network["Name"] == name:
                return str(network["Id"])
        created = self.api.create_network(name, driver="overlay", labels=self.labels())
        return str(created["Id"])

    def drop_network(self) -> None:
        """Remove the network."""
        with absent():
            self.api.remove_network(self.name("net"))

    def drop_volumes(self) -> None:
        """Remove the volumes of the node that this is connected to, but for those that something still uses.

        The swarm removes a container some time after it has ended, and until then that uses its volumes.
        """
        deadline = time.monotonic() + REMOVAL_SECONDS
        while volumes := self.api.volumes(filters=self.filters(kind="volume"))["Volumes"]:
            for volume in volumes:
                with absent(NOT_FOUND, CONFLICT):
                    self.api.remove_volume(volume["Name"])
            if time.monotonic() > deadline:
                return
            time.sleep(0.1)

    def services(self) -> list[dict[str, Any]]:
        """Return the environment's services as the swarm has them."""
        return list(self.api.services(filters=self.filters()))


def connect(client: DockerClient, project: str, environment: str) -> Cluster:
    """Return an environment's place in the swarm of a client; EngineError when that is not a manager's."""
    api = Manager(client.api)
    swarm = api.info()["Swarm"]
    if not swarm.get("ControlAvailable"):
        hint = "docker swarm init makes it one; config/environments.yaml names the client of each environment"
        raise errors.EngineError(f"the docker client of {environment} is not a manager of a swarm", hint)
    return Cluster(api, project, environment)


def label(labelled: Mapping[str, Any], name: str) -> str:
    """Return one of our labels of a service, config or secret, empty when it has none."""
    return str((labelled["Spec"].get("Labels") or {}).get(f"{PREFIX}.{name}", ""))


@contextmanager
def absent(*codes: int) -> Iterator[None]:
    """Ignore that an object does not exist any more, or other answers by their code."""
    try:
        yield
    except APIError as error:
        if error.status_code not in (codes or (NOT_FOUND,)):
            raise
