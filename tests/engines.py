"""What tests of images share: a clone that is a project of its own on the engine, its images, and a registry."""

import secrets
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import docker
import yaml
from docker.errors import ImageNotFound

from ci.delivery import image
from ci.delivery.image import REVISION
from ci.delivery.image.source import Source
from ci.ground import git, ports
from ci.ground.repo import Repo
from tests import checkouts, services
from tests.checkouts import Clone

BASE = "python:3.11-slim-bookworm"


def client() -> Any:
    """Return a client of the engine, which the stubs describe in part only; without one the test fails."""
    return docker.from_env()


@contextmanager
def project(folder: Path, cloned: Callable[[Path], Clone] = checkouts.clone) -> Iterator[Repo]:
    """Make a clone, of this repository or another, with a random project's name; its images go at the end."""
    repo = cloned(folder).repo
    name = f"t{secrets.token_hex(4)}"
    path = repo.root / "config/environments.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"project": name}, sort_keys=False))
    commit(repo)
    yield Repo(repo.root)
    for built in client().images.list(name):
        client().images.remove(built.id, force=True)


def commit(repo: Repo, files: Mapping[str, str] = MappingProxyType({})) -> str:
    """Write files, commit everything, and return the full SHA."""
    for name, text in files.items():
        (repo.root / name).write_text(text)
    checkouts.git(repo.root, "add", "-A")
    checkouts.git(repo.root, "commit", "-qm", "a change", "--allow-empty")
    return git.commit(repo.root, "HEAD")


@contextmanager
def packages(repo: Repo) -> Iterator[Path]:
    """Give the folder of packages that a build of HEAD puts into its image."""
    source = Source(repo, git.commit(repo.root, "HEAD"))
    with source.packages(client().version()["Arch"], image._python(client(), source)) as folder:
        yield folder


def of(revision: str) -> list[Any]:
    """Return every image of a commit, with a name or without."""
    found: list[Any] = client().images.list(filters={"label": f"{REVISION}={revision}"})
    return found


def gone(image: str) -> bool:
    """Say whether the engine has no such image."""
    try:
        client().images.get(image)
    except ImageNotFound:
        return True
    return False


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """Run a registry and give its address."""
    program = shutil.which("docker-registry")
    assert program, "docker-registry is not installed, .ci/engine does it"
    port = ports.free()
    address = f"127.0.0.1:{port}"
    settings = {
        "version": 0.1,
        "http": {"addr": address},
        "storage": {"filesystem": {"rootdirectory": str(folder)}},
    }
    (folder / "config.yml").write_text(yaml.safe_dump(settings))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", folder / "config.yml"], stdout=log, stderr=log)
    try:
        services.until(lambda: _listens(port))
        yield address
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
