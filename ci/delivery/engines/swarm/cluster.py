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
NO_LEADER, LATE = "does not have a leader", "code = DeadlineExceeded"  # as the engine says it
ELECTION_SECONDS = 45  # what managers took to agree on a leader, when one was lost or came back, was 12 to 35 s


class Manager:
    """A swarm manager's API; what it refuses, and silence, become EngineErrors that say which call it was.

    It waits while the managers elect a leader: to give up a deploy then would put replicas of the old release back
    that the swarm still believes in, on the node that was lost, and take away those that run.

    Left as they are: that something is not there, that a name is taken, that somebody changed a service meanwhile.
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
    """Say whether a call met no leader and so did nothing; of one that was cut off only a question did nothing."""
    said = str(error.explanation)
    asks = not name.startswith(("create_", "update_", "remove_"))
    return NO_LEADER in said or (asks and LATE in said)


def _refusal(name: str, error: APIError) -> Exception:
    said = str(error.explanation)
    if error.status_code in (NOT_FOUND, CONFLICT) or OUTDATED in said:
        return error
    if NO_LEADER in said or LATE in said:  # a leader that lost the majority does not know it for some seconds
        hint = "too few managers are up: start those that are down, docker node ls"
        return errors.EngineError("the swarm has no leader", hint, [said])
    hint = "the lines above are the engine's own words"
    return errors.EngineError(f"the engine refused to {_words(name)}", hint, [said])


def _words(name: str) -> str:
    return name.replace("_", " ")


@dataclass(frozen=True)
class Cluster:
    """What every call needs: the connection, and the project's and the environment's names."""

    api: Manager
    project: str
    environment: str

    def name(self, part: str) -> str:
        """Return the name of a service or network, which is a host name to the others, too."""
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
        """The id of the network that the services share; it is made when it is not there."""
        name = self.name("net")
        for found in self.api.networks(names=[name]):
            if found["Name"] == name:
                return str(found["Id"])
        made = self.api.create_network(name, driver="overlay", labels=self.labels())
        return str(made["Id"])

    def drop_network(self) -> None:
        """Remove the network."""
        with absent():
            self.api.remove_network(self.name("net"))

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
def absent() -> Iterator[None]:
    """Pass over an object that is gone already."""
    try:
        yield
    except APIError as error:
        if error.status_code != NOT_FOUND:
            raise
