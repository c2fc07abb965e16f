"""The image: one of each commit, built once, inspected before it gets its tag, deployed by digest."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from docker import DockerClient
from docker import errors as refusals
from docker.models.images import Image as Built

from ci.delivery import docker
from ci.delivery.image import parts
from ci.delivery.image.inspection import inspect
from ci.delivery.image.source import Source
from ci.delivery.release import tag
from ci.ground import errors, files, git
from ci.ground.repo import Repo

OCI = "org.opencontainers.image"
REVISION = f"{OCI}.revision"
LAST_LINES = 25


@dataclass(frozen=True)
class Made:
    """An image that may be pushed and deployed: its tag, its id, its size in bytes, whether it is a new one."""

    tag: str
    id: str
    size: int
    new: bool


def build(repo: Repo, revision: str = "", name: str = "") -> Made:
    """Return the image of a commit: the one that exists here, or in a registry under `name`, else a new one.

    Only an inspected image gets the tag. RefusedError when HEAD is meant and the tree differs from it.
    """
    commit = git.commit(repo.root, revision or "HEAD")
    source = Source(repo, commit)
    _committed(source)
    engine, wanted = docker.connect(), tag(repo, commit)
    with _translated():
        image, new = _there(engine, wanted, commit), False
        document = sbom(repo, commit)
        if image and document.exists() and parts.described(document.read_text()) == image.id:  # inspected before
            return Made(wanted, str(image.id), image.attrs["Size"], new)
        if image is None and not (image := _fetched(engine, commit, name)):
            image, new = _built(engine, source), True
        _inspected(engine, repo, commit, image)
        if rival := _there(engine, wanted, commit):  # another build was faster, and may be deployed already
            image, new = rival, False
        image.tag(*wanted.split(":"))
    return Made(wanted, str(image.id), image.attrs["Size"], new)


def push(image: Made, name: str) -> str:
    """Push an image to REGISTRY/NAME and return what it is deployed by, REGISTRY/NAME@DIGEST."""
    with _translated():
        engine, short = docker.connect(), image.tag.rpartition(":")[2]
        engine.images.get(image.id).tag(name, short)
        digest = ""
        for step in engine.images.push(name, short, stream=True, decode=True):
            if "error" in step:
                raise errors.PushError(f"{name} did not take the image", "docker login?", [step["error"]])
            digest = step.get("aux", {}).get("Digest", digest)
    return f"{name}@{digest}"


def registry(repo: Repo, push: str | Literal[True]) -> str:
    """Return where to push an image: nowhere, to a name, or (True) to the registry of environments.yaml."""
    if push is not True:
        return push or ""
    if not repo.environments.registry:
        hint = "--push=REGISTRY/NAME, or registry: at the top of config/environments.yaml"
        raise errors.UsageError("there is no registry", hint)
    return repo.environments.registry


def sbom(repo: Repo, commit: str) -> Path:
    """Return the path of the list of a commit's image's parts."""
    return repo.state / f"sbom/{commit}.cdx.json"


def labels(source: Source) -> dict[str, str]:
    """Return the labels of a commit's image."""
    values = {
        "revision": source.commit,
        "created": git.when(source.repo.root, source.commit),
        "source": git.origin(source.repo.root),
        "title": source.repo.environments.project,
        "version": source.version,
    }
    return {f"{OCI}.{name}": value for name, value in values.items() if value}


def _there(engine: DockerClient, name: str, commit: str) -> Built | None:
    """Return the image that has this name; OtherImageError when it is not this commit's."""
    image = docker.image(engine, name)
    if image and image.labels.get(REVISION) != commit:
        hint = f"find out who made it, then docker rmi {name} and build again"
        raise errors.OtherImageError(f"{name} is not an image of commit {commit}", hint)
    return image


def _fetched(engine: DockerClient, commit: str, name: str) -> Built | None:
    """Return the commit's image from a registry that has it already, if one was built elsewhere."""
    if not name:
        return None
    short = commit[: git.SHORT]
    try:
        engine.images.pull(name, short)
    except refusals.NotFound:
        return None
    except refusals.APIError as error:
        raise errors.PushError(f"{name} does not answer", "docker login?", [str(error.explanation)]) from None
    return _there(engine, f"{name}:{short}", commit)


def _committed(source: Source) -> None:
    """Raise RefusedError when HEAD is meant, and the tree differs in what an image of it would hold."""
    changed = source.differing() if source.commit == git.commit(source.repo.root, "HEAD") else []
    if changed:
        hint = "commit it, or git stash --include-untracked: an image is built of a commit alone"
        raise errors.RefusedError("the working tree differs from HEAD", hint, changed[:LAST_LINES])


def _built(engine: DockerClient, source: Source) -> Built:
    """Build a commit's image on the packages of its lock file, which are an image of their own, made once."""
    machine = engine.version()["Arch"]
    packages = f"{source.repo.environments.project}:packages-{source.stage(machine)}"
    if docker.image(engine, packages) is None:
        with source.context(machine) as context:
            _run(engine, source, context, target="packages", tag=packages)
    with source.context(machine, packages) as context:
        return _run(engine, source, context, labels=labels(source))


def _run(engine: DockerClient, source: Source, context: IO[bytes], **options: Any) -> Built:
    try:
        image, _ = engine.images.build(
            fileobj=context,
            custom_context=True,
            rm=True,
            forcerm=True,
            timeout=docker.PATIENCE_SECONDS,
            **options,
        )
    except refusals.BuildError as error:
        if docker.image(engine, source.base) is None:
            hint = f"docker pull {source.base}, or docker load it from a machine that has it"
            raise errors.BaseImageError(f"the engine has no {source.base}", hint, [error.msg]) from None
        lines = "".join(step.get("stream", "") for step in error.build_log).splitlines()
        raise _fault([*lines[-LAST_LINES:], str(error.msg)]) from None
    return image


def _inspected(engine: DockerClient, repo: Repo, commit: str, image: Built) -> None:
    """Inspect an image and write down what it is made of; one that is refused is removed."""
    try:
        contents = inspect(repo, engine, image)
    except errors.UncleanImageError:
        for name in image.tags or [str(image.id)]:
            engine.images.remove(name, force=True)
        raise
    repo.state.mkdir(mode=0o700, exist_ok=True)
    document = parts.document(str(image.id), tag(repo, commit), git.when(repo.root, commit), contents)
    files.replace(sbom(repo, commit), document)


@contextmanager
def _translated() -> Iterator[None]:
    """Turn errors of the engine and of the disk into this project's."""
    try:
        yield
    except refusals.DockerException as error:
        raise _fault([str(getattr(error, "explanation", None) or error)]) from None
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise _fault([str(error)]) from None


def _fault(lines: list[str]) -> errors.LockstepError:
    if any("no space left on device" in line.lower() for line in lines):
        return errors.DiskFullError(
            "there is no room left on the disk", "docker system df, docker image prune", lines
        )
    return errors.BuildError("the image could not be built", "the lines above are the engine's own words", lines)
