"""An image without a registry: the one node of a swarm gets it from the Docker client that has it."""

from collections.abc import Iterator, Sequence
from typing import Any

import docker as sdk
from docker.errors import DockerException

from ci.delivery import docker
from ci.delivery.engines.swarm.cluster import Cluster
from ci.delivery.release import Release
from ci.ground import errors


def find(clients: "Clients", tag: str) -> str:
    """Return the id of the image with this tag, at the environment's client or where `inv build` makes it."""
    for _, client in clients:
        if image := docker.image(client, tag):
            return str(image.id)
    raise errors.EngineError(f"there is no image {tag}", "inv build makes it")


def bring(clients: "Clients", cluster: Cluster, release: Release) -> str:
    """Bring a release's images to where they will run, and return from where they came.

    Other clients than the environment's own are asked only when that has no such image. EngineError when none has.
    """
    # A registry's image is asked for by its digest, by each node.
    local = {name: image for name, image in release.images.items() if "@" not in image and _used(release, name)}
    if local and len(cluster.api.nodes()) > 1:
        hint = "registry: in config/environments.yaml, then inv build --push"
        raise errors.EngineError(f"the swarm has several nodes, and only one would have {release.sha}", hint)
    origins = {name: _bring(clients, release.sha, image) for name, image in local.items()}
    return ", ".join(f"image {name} from {origin}" for name, origin in origins.items() if origin)


def _used(release: Release, image: str) -> bool:
    return any(release.reader(name).declared.image == image for name in release.bundles())


def _bring(clients: "Clients", sha: str, image: str) -> str:
    for number, (where, client) in enumerate(clients):
        if docker.image(client, image):
            if number:
                _copy(client, clients.own, sha, image)
            return where if number else ""
    hint = f"inv build --sha={sha} makes it again"
    raise errors.EngineError(f"no docker client at hand has the image {sha}", hint)


class Clients:
    """The environment's own Docker client, then those others that answer, connected one after another."""

    def __init__(self, own: sdk.DockerClient, address: str, others: Sequence[str]) -> None:
        self.own, self._address = own, address
        self._others = [other for other in dict.fromkeys(others) if other != address]

    def __iter__(self) -> Iterator[tuple[str, sdk.DockerClient]]:
        """Yield the name of each client's place, and the client."""
        yield self._address, self.own
        for address in self._others:
            try:
                client = docker.connect(address)
            except errors.EngineError:
                continue
            try:
                yield address or "this machine", client
            finally:
                client.close()


def _copy(source: sdk.DockerClient, target: sdk.DockerClient, sha: str, image: str) -> None:
    try:
        saved: Any = source.images.get(image).save(named=True)  # the stub does not know that it may stream
        target.images.load(saved)
    except DockerException as error:
        hint = "is there room on both disks?"
        raise errors.EngineError(f"the image {sha} could not be brought", hint, [str(error)]) from None
