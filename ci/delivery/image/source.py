"""What an image is built from: a commit, never the working tree, and the packages that its lock file names."""

import hashlib
import io
import os
import re
import shutil
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import IO

from docker.utils.build import PatternMatcher

from ci.ground import command, errors, git
from ci.ground.repo import Repo

LOCK = "requirements/services.txt"
PACKAGES = "packages"
_BASE = re.compile(r"^ARG BASE=(\S*?python:(\d+\.\d+)\S*)$", re.MULTILINE)
_STAGE = re.compile(r"^FROM \S+ AS packages$.*?(?=^FROM )", re.MULTILINE | re.DOTALL)
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}  # the engine's words for them, and the wheels'
_INDEX = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_CACHE_DIR", "PIP_INDEX_URL", "UV_SYSTEM_CERTS")


class Source:
    """The files of a commit that its .dockerignore lets through, by path."""

    def __init__(self, repo: Repo, commit: str) -> None:
        self.repo, self.commit = repo, commit
        packed = git.archive(repo.root, commit)
        self.files: dict[str, tuple[tarfile.TarInfo, bytes]] = {}
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                if not member.isdir():
                    self.files[member.name] = (member, content.read() if content else b"")
        missing = [
            name for name in ("Dockerfile", ".dockerignore", "pyproject.toml", LOCK) if name not in self.files
        ]
        if missing:
            raise errors.BuildError(
                f"commit {commit[: git.SHORT]} has no {missing[0]}",
                "it is older than the image: build a later one",
            )
        self.version = str(tomllib.loads(self.text("pyproject.toml"))["project"]["version"])
        self._ignored = ignores(self.text(".dockerignore"))
        self.files = {name: file for name, file in self.files.items() if not self._ignored(name)}

    def text(self, name: str) -> str:
        """Return what a file of the commit says."""
        return self.files[name][1].decode()

    @property
    def base(self) -> str:
        """The image that this one is built on."""
        return self._base[1]

    @property
    def _base(self) -> re.Match[str]:
        match = _BASE.search(self.text("Dockerfile"))
        if not match:
            raise errors.BuildError("the Dockerfile names no base image", "ARG BASE=python:3.11-slim-bookworm")
        return match

    def differing(self) -> list[str]:
        """Return the paths that the image would hold and that differ from HEAD in the tree, with new ones."""
        return [path for path in git.differing(self.repo.root) if not self._ignored(path)]

    def stage(self, machine: str) -> str:
        """Return a name for the result of the Dockerfile's stage `packages`: the same for the same lock file."""
        stage = _STAGE.search(self.text("Dockerfile"))
        parts = (self.files[LOCK][1], self._platform(machine).encode(), self.base.encode())
        return hashlib.sha256(b"\0".join((*parts, (stage[0] if stage else "").encode()))).hexdigest()[:16]

    def context(self, machine: str, packages: str = "") -> IO[bytes]:
        """Return the build's context as a tar: the same bytes for the same commit and packages.

        `packages` names an image that was made of the stage of this name and replaces it.
        """
        spooled = tempfile.TemporaryFile()  # noqa: SIM115, the caller closes it
        with tarfile.open(fileobj=spooled, mode="w") as archive:
            for name, (member, content) in self.files.items():
                if packages and name == "Dockerfile":
                    content = _STAGE.sub(f"FROM {packages} AS packages\n\n", content.decode()).encode()  # noqa: PLW2901
                    member.size = len(content)
                archive.addfile(_plain(member), io.BytesIO(content))
            if not packages:
                folder = self._packages(machine)
                for path in sorted(folder.rglob("*")):
                    archive.add(path, f"{PACKAGES}/{path.relative_to(folder)}", recursive=False, filter=_plain)
        spooled.seek(0)
        return spooled

    def _platform(self, machine: str) -> str:
        return f"{_MACHINES.get(machine, machine)}-manylinux_2_28"

    def _packages(self, machine: str) -> Path:
        """Return the folder of the installed packages; it is made once for a lock file, an engine and a Python."""
        lock, python = self.files[LOCK][1], self._base[2]
        platform = self._platform(machine)
        key = hashlib.sha256(lock + platform.encode() + python.encode()).hexdigest()[:16]
        folder = self.repo.state / PACKAGES / key
        if folder.exists():
            return folder
        self.repo.state.mkdir(mode=0o700, exist_ok=True)
        folder.parent.mkdir(exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".part-", dir=folder.parent))
        try:
            _install(lock, part, platform, python)
            part.replace(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return folder


def ignores(text: str) -> Callable[[str], bool]:
    """Return a function that says whether a .dockerignore excludes a path."""
    lines = (line.strip() for line in text.splitlines())
    matcher = PatternMatcher([line for line in lines if line and not line.startswith("#")])
    return lambda path: bool(matcher.matches(path))  # type: ignore[arg-type]  # the stub is wrong: it takes a str


def _install(lock: bytes, folder: Path, platform: str, python: str) -> None:
    """Install wheels by hash for the image's Python and platform, not for this one's."""
    words = f"pip install --quiet --python-version {python} --python-platform {platform} --link-mode copy".split()
    words += "--no-deps --require-hashes --only-binary :all: --requirement - --target".split()  # noqa: SIM905
    env = {name: os.environ[name] for name in _INDEX if name in os.environ}
    result = command.attempt([sys.executable, "-m", "uv", *words, folder], input=lock, env=env, timeout=600)
    if result.code:
        raise errors.BuildError(
            "the packages of the image cannot be fetched",
            f"{LOCK} names them; is the network there?",
            result.stderr.decode(errors="replace").splitlines()[-10:],
        )


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return member
