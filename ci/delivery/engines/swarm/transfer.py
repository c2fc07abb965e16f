"""An image without a registry: the one node of a swarm gets it from the engine that has it."""

from collections.abc import Iterator
from typing import Any

import docker as sdk
from docker.errors import DockerException

from ci.delivery import docker
from ci.delivery.engines.swarm.cluster import Cluster
from ci.delivery.release import Release
from ci.ground import errors
from ci.ground.repo import Repo


def find(repo: Repo, name: str, tag: str) -> str:
    """Return the id of the image with this tag, at the environment's engine or where `inv build` makes it."""
    for _, engine in _engines(repo, name):
        if found := docker.image(engine, tag):
            return str(found.id)
    raise errors.EngineError(f"there is no image {tag}", "inv build makes it")


def bring(repo: Repo, cluster: Cluster, release: Release) -> str:
    """Have a release's image where it will run, and say from where it came; EngineError when it cannot be had."""
    if "@" in release.image:
        return ""  # a registry's, which each node asks for by its digest
    if len(cluster.api.nodes()) > 1:
        hint = "registry: in config/environments.yaml, then inv build --push"
        raise errors.EngineError(f"the swarm has several nodes, and only one would have {release.sha}", hint)
    (_, here), *others = _engines(repo, release.environment)
    if docker.image(here, release.image):
        return ""
    for where, engine in others:
        if docker.image(engine, release.image):
            _copy(engine, here, release)
            return f"its image, from {where}"
    hint = f"inv build --sha={release.sha} makes it again"
    raise errors.EngineError(f"no engine at hand has the image {release.sha}", hint)


def _copy(source: sdk.DockerClient, target: sdk.DockerClient, release: Release) -> None:
    try:
        saved: Any = source.images.get(release.image).save(named=True)  # the stub does not know that it may stream
        target.images.load(saved)
    except DockerException as error:
        hint = "is there room on both disks?"
        raise errors.EngineError(f"the image {release.sha} could not be brought", hint, [str(error)]) from None


def _engines(repo: Repo, name: str) -> Iterator[tuple[str, sdk.DockerClient]]:
    """Yield the environment's engine, then those others that answer: this machine's, that of the one before."""
    about = repo.environments.by_name[name]
    yield about.docker, docker.connect(about.docker)
    before = repo.environments.by_name.get(about.follows or "")
    for address in dict.fromkeys(["", before.docker if before else ""]):
        if address != about.docker:
            try:
                yield address or "this machine", docker.connect(address)
            except errors.EngineError:
                continue
