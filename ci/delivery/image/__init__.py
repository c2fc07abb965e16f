"""Images: those of a commit, each built once, inspected before it gets its tag, deployed by digest."""

import errno
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from docker import DockerClient
from docker import errors as refusals
from docker.models.images import Image as Built

from ci.delivery import docker
from ci.delivery.image import commands, parts
from ci.delivery.image.inspection import inspect
from ci.delivery.image.source import Context, Source
from ci.delivery.release import tag, version
from ci.ground import errors, files, git
from ci.ground.repo import Repo
from ci.ground.services import MAIN, PACKAGES

OCI = "org.opencontainers.image"
REVISION = f"{OCI}.revision"
LAST_LINES = 25
_PYTHON = re.compile(r"\bpython:(\d+\.\d+)")  # the name of a base image says its version


@dataclass(frozen=True)
class Made:
    """An image that may be pushed and deployed: its tag, its id, its size in bytes, whether it is a new one."""

    tag: str
    id: str
    size: int
    new: bool


def build(repo: Repo, revision: str = "", registry: str = "") -> Iterator[Made]:
    """Yield the images of a commit: those that exist here, or in a registry, else new ones.

    Only an inspected image gets its tag. RefusedError when HEAD is meant and the tree differs from it.
    """
    commit = git.commit(repo.root, revision or "HEAD")
    sources = [Source(repo, commit, name) for name in repo.schema_at(commit).images]
    _committed(repo, commit, sources)
    engine = docker.connect()
    for source in sources:
        with _translated():
            yield _made(engine, source, registry)


def push(image: Made, registry: str) -> str:
    """Push an image to a registry, such as ghcr.io/acme/notify, and return what it is deployed by, NAME@DIGEST."""
    with _translated():
        engine, short = docker.connect(), image.tag.rpartition(":")[2]
        engine.images.get(image.id).tag(registry, short)
        digest = ""
        for step in engine.images.push(registry, short, stream=True, decode=True):
            if "error" in step:
                raise errors.PushError(f"{registry} did not take the image", "docker login?", [step["error"]])
            digest = step.get("aux", {}).get("Digest", digest)
    return f"{registry}@{digest}"


def registry(repo: Repo, push: str | Literal[True]) -> str:
    """Return where to push an image: nowhere, to a name, or (True) to the registry of environments.yaml."""
    if push is not True:
        return push or ""
    if not repo.environments.registry:
        hint = "--push=REGISTRY/NAME, or registry: at the top of config/environments.yaml"
        raise errors.UsageError("there is no registry", hint)
    return repo.environments.registry


def sbom(repo: Repo, commit: str, name: str = MAIN) -> Path:
    """Return the path of the list of the parts of a commit's image."""
    return repo.state / f"sbom/{commit if name == MAIN else f'{name}-{commit}'}.cdx.json"


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


def _made(engine: DockerClient, source: Source, registry: str) -> Made:
    """Return one image of a commit: the one that exists, once it is inspected, else a new one."""
    repo, commit, wanted = source.repo, source.commit, tag(source.repo, source.commit, source.name)
    image, new = _existing(engine, wanted, commit), False
    document = sbom(repo, commit, source.name)
    if image and document.exists() and parts.described(document.read_text()) == image.id:  # inspected before
        return Made(wanted, str(image.id), image.attrs["Size"], new)
    if image is None and not (image := _fetched(engine, source, registry)):
        image, new = _built(engine, source), True
    _inspected(engine, source, image)
    if rival := _existing(engine, wanted, commit):  # another build was faster, and may be deployed already
        image, new = rival, False
    image.tag(*wanted.split(":"))
    return Made(wanted, str(image.id), image.attrs["Size"], new)


def _existing(engine: DockerClient, name: str, commit: str) -> Built | None:
    """Return the image that has this name; OtherImageError when it is not this commit's."""
    image = docker.image(engine, name)
    if image and image.labels.get(REVISION) != commit:
        hint = f"find out who made it, then docker rmi {name} and build again"
        raise errors.OtherImageError(f"{name} is not an image of commit {commit}", hint)
    return image


def _fetched(engine: DockerClient, source: Source, registry: str) -> Built | None:
    """Return the commit's image from a registry that has it already, if one was built elsewhere."""
    if not registry:
        return None
    short = version(source.commit, source.name)
    try:
        engine.images.pull(registry, short)
    except refusals.NotFound:
        return None
    except refusals.APIError as error:
        words = [str(error.explanation)]
        raise errors.PushError(f"{registry} does not answer", "docker login?", words) from None
    return _existing(engine, f"{registry}:{short}", source.commit)


def _committed(repo: Repo, commit: str, sources: Sequence[Source]) -> None:
    """Raise RefusedError when HEAD is meant, and the tree differs in what its images would hold."""
    if commit != git.commit(repo.root, "HEAD"):
        return
    if changed := sorted({path for source in sources for path in source.differing()}):
        hint = "commit it, or git stash --include-untracked: an image is built of a commit alone"
        raise errors.RefusedError("the working tree differs from HEAD", hint, changed[:LAST_LINES])


def _built(engine: DockerClient, source: Source) -> Built:
    """Build the team's Dockerfile, and put the last layer on it."""
    base = _of_the_team(engine, source)
    return _run(engine, source, source.last_layer(str(base.id), labels(source)))


def _of_the_team(engine: DockerClient, source: Source) -> Built:
    """Build the team's Dockerfile on the packages of its lock file, an image of their own that is made once."""
    if not source.declared.packages:
        return _run(engine, source, source.context())
    machine = engine.version()["Arch"]
    if not (stage := source.stage(machine)):
        with source.packages(machine, _python(engine, source)) as packages:
            return _run(engine, source, source.context(packages))
    name = f"{source.repo.environments.project}:{PACKAGES}-{stage}"
    if docker.image(engine, name) is None:
        with source.packages(machine, _python(engine, source)) as packages:
            _run(engine, source, source.context_of_stage(packages), target=PACKAGES, tag=name)
    return _run(engine, source, source.context(stage=name))


def _python(engine: DockerClient, source: Source) -> str:
    """Return the version of Python of an image, which the Dockerfile or its last base names."""
    if not (found := _PYTHON.search("\n".join(reversed(source.bases)))):
        ask = ("-c", "import sys; print('%d.%d' % sys.version_info[:2])")
        said = source.bases and commands.run(engine, source.bases[-1], "python3", *ask)
        found = re.match(r"(\d+\.\d+)\s*$", said[1]) if said else None
    if not found:
        hint = "build it on an image that has Python, such as python:3.11-slim-bookworm"
        raise errors.BuildError(f"the image {source.name} has packages, and its base has no Python", hint)
    return found[1]


def _run(engine: DockerClient, source: Source, context: Context, **options: Any) -> Built:
    try:
        with context.tar as tar:
            image, _ = engine.images.build(
                fileobj=tar,
                custom_context=True,
                dockerfile=context.dockerfile,
                rm=True,
                forcerm=True,
                timeout=docker.PATIENCE_SECONDS,
                **options,
            )
    except refusals.BuildError as error:
        lines = "".join(step.get("stream", "") for step in error.build_log).splitlines()
        missing = next((base for base in source.bases if docker.image(engine, base) is None), "")
        if missing and re.match(r"Step \d+/\d+ : FROM ", "".join(lines[-1:])):
            hint = f"docker pull {missing}, or docker load it from a machine that has it"
            raise errors.BaseImageError(f"the engine has no {missing}", hint, [error.msg]) from None
        raise _fault([*lines[-LAST_LINES:], str(error.msg)]) from None
    return image


def _inspected(engine: DockerClient, source: Source, image: Built) -> None:
    """Inspect an image and write down what it is made of; one that is refused is removed."""
    repo, commit = source.repo, source.commit
    try:
        contents = inspect(source, engine, image)
    except errors.UncleanImageError:
        for name in image.tags or [str(image.id)]:
            engine.images.remove(name, force=True)
        raise
    repo.state.mkdir(mode=0o700, exist_ok=True)
    name = tag(repo, commit, source.name)
    document = parts.document(str(image.id), name, git.when(repo.root, commit), contents)
    files.replace(sbom(repo, commit, source.name), document)


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
