"""Docker clients: all connections to Docker are made here."""

import docker
from docker.context import ContextAPI
from docker.errors import DockerException, ImageNotFound
from docker.models.images import Image

from ci.ground import errors

PATIENCE_SECONDS = 600  # a step of a build may be silent for as long


def connect(address: str = "") -> docker.DockerClient:
    """Return a client of the engine at an address (`ssh://…`, `unix://…`) or of a Docker context.

    Without an address it is the engine that `docker` itself would ask. EngineError when it does not answer.
    """
    try:
        return _client(address)  # it asks for the engine's version
    except (DockerException, OSError):
        where = f"at {address}" if address else "here"
        hint = "start it, or name one that runs: docker context ls, DOCKER_HOST=ssh://user@host"
        raise errors.EngineError(f"no docker engine answers {where}", hint) from None


def image(engine: docker.DockerClient, name: str) -> Image | None:
    """Return an engine's image of this name or id, if it has one."""
    try:
        return engine.images.get(name)
    except ImageNotFound:
        return None


def _client(address: str) -> docker.DockerClient:
    if not address:
        return docker.DockerClient.from_env(timeout=PATIENCE_SECONDS, use_ssh_client=True)
    if "://" in address:
        return docker.DockerClient(base_url=address, timeout=PATIENCE_SECONDS, use_ssh_client=True)
    if ContextAPI.get_context(address) is None:  # the SDK would use the default engine instead
        raise errors.EngineError(f"there is no docker context {address}", "docker context ls shows them")
    settings = ContextAPI.kwargs_from_context(address)
    return docker.DockerClient(**settings, timeout=PATIENCE_SECONDS, use_ssh_client=True)
