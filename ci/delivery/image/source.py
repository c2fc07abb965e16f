"""What an image is built from: git's objects of a commit, never the working tree, and a lock file's packages."""

import hashlib
import io
import os
import posixpath
import re
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from docker.utils.build import PatternMatcher

from ci.delivery.process import FOLDER
from ci.ground import command, errors, git
from ci.ground.git import Version
from ci.ground.repo import Repo
from ci.ground.services import MAIN, PACKAGES

RUNTIME = "runtime"
SCHEMA = "config/schema.yaml"
IGNORE = ".dockerignore"
HIDDEN = ".lockstep.dockerfile"  # the name of a Dockerfile that is not the context's own
_FROM = re.compile(r"^\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?\s*$", re.MULTILINE | re.IGNORECASE)
_ARGUMENT = re.compile(r"^\s*ARG\s+(\w+)=(\S+)", re.MULTILINE | re.IGNORECASE)
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::-([^}]*))?\})")
_STAGE = re.compile(rf"^FROM (\S+) AS {PACKAGES}$.*?(?=^FROM )", re.MULTILINE | re.DOTALL)
_COPY = re.compile(r"^\s*(?:COPY|ADD)\s+(.*)\s\S+\s*$", re.MULTILINE | re.IGNORECASE)
_SHEBANG = re.compile(
    rb"\A#!(/bin/sh\n'''exec' .*\n' '''|\S*python\S*)\n"
)  # uv has sh find a Python at a long path
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}  # the engine's words for them, and the wheels'
_INDEX = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_CACHE_DIR", "PIP_INDEX_URL", "UV_SYSTEM_CERTS")
_EXECUTABLE, _REGULAR = "100755", "100644"  # git's modes


@dataclass(frozen=True)
class Context:
    """The tar of a build, and the name of the Dockerfile in it."""

    tar: IO[bytes]
    dockerfile: str = "Dockerfile"


class Source:
    """What one image of a commit is built from: a Dockerfile, and the files of a folder that Docker would see."""

    def __init__(self, repo: Repo, commit: str, name: str = MAIN) -> None:
        self.repo, self.commit, self.name = repo, commit, name
        self.declared = repo.schema_at(commit).images[name]
        self._tree = {version.path: version for version in git.committed(repo.root, commit)}
        self.folder = posixpath.normpath(self.declared.context)
        self.dockerfile = self._text(self.declared.dockerfile)
        self._ignore = self._ignoring()
        self._ignored = ignores(self._text(self._ignore) if self._ignore else "")
        self.files = dict(self._files())
        if self.declared.packages:
            self._text(self.declared.packages)

    @property
    def version(self) -> str:
        """The version of the product, as pyproject.toml has it; empty when it has none."""
        if "pyproject.toml" not in self._tree:
            return ""
        return str(tomllib.loads(self._text("pyproject.toml")).get("project", {}).get("version", ""))

    @property
    def bases(self) -> list[str]:
        """The images that the Dockerfile builds on, in its order, as far as they can be read."""
        arguments = dict(_ARGUMENT.findall(self.dockerfile))
        stages, bases = {"scratch"}, []
        for base, stage in _FROM.findall(self.dockerfile):
            name = _VARIABLE.sub(lambda found: str(arguments.get(found[1] or found[2], found[3] or "")), base)
            if name not in stages:
                bases.append(name)
            stages.add(stage)
        return bases

    def differing(self) -> list[str]:
        """Return the paths that decide about the image and differ from HEAD in the tree, with new ones."""
        return [path for path in git.differing(self.repo.root) if self._matters(path)]

    def stage(self, machine: str) -> str:
        """Return a name for the result of the Dockerfile's stage `packages`: the same for the same lock file.

        The name is empty if the Dockerfile has no such stage, if the stage is not the first one, or if it copies
        more than the packages and their lock file.
        """
        found, lock = _STAGE.search(self.dockerfile), self.declared.packages
        if not found or not lock or _FROM.search(self.dockerfile, 0, found.start()):
            return ""
        taken = " ".join(_COPY.findall(found[0].replace("\\\n", " "))).split()
        if not set(taken) <= {self._relative(lock), PACKAGES, f"{PACKAGES}/", f"{PACKAGES}*"}:
            return ""
        parts = (self._text(lock), platform(machine), *self.bases, self.dockerfile[: found.end()])
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    @contextmanager
    def packages(self, machine: str, python: str) -> Iterator[Path]:
        """Give a folder of the packages that the lock file names, installed by hash for an engine and a Python."""
        lock = self._text(self.declared.packages).encode()
        with tempfile.TemporaryDirectory(prefix="lockstep-packages-") as folder:
            _install(self.declared.packages, lock, Path(folder), platform(machine), python)
            yield Path(folder)

    def context_of_stage(self, packages: Path) -> Context:
        """Return the context of the stage `packages` alone: what else the commit has is not in its result."""
        lock = self._relative(self.declared.packages)
        tar = Tar()
        tar.add("Dockerfile", self.dockerfile.encode())
        if lock:
            tar.add(lock, self._text(self.declared.packages).encode())
        tar.add_packages(packages)
        return Context(tar.closed())

    def context(self, packages: Path | None = None, stage: str = "") -> Context:
        """Return the build's context: the same bytes for the same commit and packages.

        `packages` is a folder of installed ones. `stage` names an image that was made of the stage `packages`
        and replaces it.
        """
        own = self._relative(self.declared.dockerfile)
        dockerfile, replaced = own or HIDDEN, self.dockerfile
        if stage:
            dockerfile, replaced = HIDDEN, _STAGE.sub(f"FROM {stage} AS {PACKAGES}\n\n", self.dockerfile)
        tar = Tar()
        for version, content in _read(self.repo.root, self.files):
            if version.path != IGNORE:
                tar.add(version.path, content, version.mode)
        tar.add(IGNORE, self._ignore_for(dockerfile))
        if dockerfile not in self.files:
            tar.add(dockerfile, replaced.encode())
        if packages:
            tar.add_packages(packages)
        return Context(tar.closed(), dockerfile)

    def last_layer(self, image: str, labels: Mapping[str, str]) -> Context:
        """Return the context of what is put on the team's image: runtime/ with the compiled keys, and labels."""
        versions = git.committed(self.repo.root, self.commit, RUNTIME)
        if f"{RUNTIME}/keys.py" not in (version.path for version in versions):
            raise self._missing(f"{RUNTIME}/keys.py")
        for version in versions:
            _regular(version)
        tar = Tar()
        words = " ".join(f"{name}={_quoted(value)}" for name, value in labels.items())
        tar.add("Dockerfile", f"FROM {image}\nCOPY {RUNTIME} {FOLDER}\nLABEL {words}\n".encode())
        for version, content in _read(self.repo.root, {version.path: version for version in versions}):
            tar.add(version.path, content, version.mode)
        return Context(tar.closed())

    def _files(self) -> Iterator[tuple[str, Version]]:
        """Yield the files that Docker would see, by their path in the context, which no link may leave."""
        for version in self._tree.values():
            path = self._relative(version.path)
            if not path or self._ignored(path):
                continue
            if self.declared.packages and path.partition("/")[0] == PACKAGES:
                hint = f"git mv it: `inv build` puts what {self.declared.packages} names there, by hash"
                raise errors.BuildError(f"{version.path} would be taken for a package", hint)
            if version.mode == git.MODULE:
                hint = f"its files are in another repository: copy them, or name {path} in {IGNORE}"
                raise errors.BuildError(f"{version.path} is a submodule", hint)
            if version.mode == git.LINK:
                target = posixpath.join(posixpath.dirname(path), self._read_one(version).decode(errors="replace"))
                if posixpath.normpath(target).startswith(("/", "..")):
                    hint = f"copy what it points to, or name {path} in {IGNORE}"
                    raise errors.BuildError(f"the link {version.path} leads out of the image's context", hint)
            yield path, Version(version.mode, version.blob, path)

    def _relative(self, path: str) -> str:
        """Return a path of the commit as the context has it; empty for one outside of it."""
        path = posixpath.normpath(path)
        if self.folder == ".":
            return path
        return path.removeprefix(f"{self.folder}/") if path.startswith(f"{self.folder}/") else ""

    def _ignoring(self) -> str:
        """Return the path of the file that excludes files: the Dockerfile's own before the context's."""
        names = (f"{self.declared.dockerfile}{IGNORE}", posixpath.normpath(posixpath.join(self.folder, IGNORE)))
        return next((name for name in map(posixpath.normpath, names) if name in self._tree), "")

    def _ignore_for(self, dockerfile: str) -> bytes:
        """Return a .dockerignore by which the engine removes from the context what this image must not copy."""
        own = self.files.get(IGNORE)
        text = self._read_one(own).decode() if own else f"{IGNORE}\n"
        unseen = dockerfile not in self.files and not ignores(text)(dockerfile)
        return (f"{text}\n{dockerfile}\n" if unseen else text).encode()

    def _matters(self, path: str) -> bool:
        if path in (SCHEMA, self.declared.dockerfile, self.declared.packages, self._ignore):
            return True
        inside = self._relative(path)
        return path.startswith(f"{RUNTIME}/") or bool(inside and not self._ignored(inside))

    def _text(self, path: str) -> str:
        """Return what a file of the commit says; BuildError when it has none of this name, or a link."""
        name = posixpath.normpath(path)
        if name not in self._tree:
            raise self._missing(path)
        _regular(self._tree[name])
        return self._read_one(self._tree[name]).decode()

    def _read_one(self, version: Version) -> bytes:
        return next(content for _, content in git.contents(self.repo.root, [version.blob]))

    def _missing(self, path: str) -> errors.BuildError:
        hint = f"`images` of {SCHEMA} says which Dockerfile and lock file there are; build a commit that has them"
        return errors.BuildError(f"commit {self.commit[: git.SHORT]} has no {path}", hint)


class Tar:
    """A tar whose members have no owner and no time, so that the same files give the same bytes."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115, the reader closes it
        # Not the default format, which cannot hold a name that is no UTF-8.
        self._archive = tarfile.open(fileobj=self._file, mode="w", format=tarfile.GNU_FORMAT)  # noqa: SIM115
        self._folders: set[str] = set()

    def add(self, name: str, content: bytes = b"", mode: str = _REGULAR) -> None:
        """Add a file or a link, as git has it, and the folders above it."""
        folder = posixpath.dirname(name)
        if folder and folder not in self._folders:
            self._folders.add(folder)
            self.add(folder, mode=git.FOLDER)
        member = tarfile.TarInfo(name)
        member.mode = 0o755 if mode in (git.FOLDER, _EXECUTABLE) else 0o644
        if mode == git.FOLDER:
            self._folders.add(name)
            member.type = tarfile.DIRTYPE
        elif mode == git.LINK:
            member.type, member.linkname = tarfile.SYMTYPE, os.fsdecode(content)
        else:
            member.size = len(content)
        self._archive.addfile(member, io.BytesIO(content))

    def copy(self, path: Path, name: str) -> None:
        """Add a file, a link or a folder of this machine, without what is below it."""
        if path.is_symlink():
            self.add(name, os.fsencode(path.readlink()), git.LINK)
        elif path.is_dir():
            self.add(name, mode=git.FOLDER)
        else:
            self.add(name, path.read_bytes(), _EXECUTABLE if path.stat().st_mode & 0o100 else _REGULAR)

    def add_packages(self, folder: Path) -> None:
        """Add a folder of installed packages."""
        for path in sorted(folder.rglob("*")):
            self.copy(path, f"{PACKAGES}/{path.relative_to(folder)}")

    def closed(self) -> IO[bytes]:
        """Return the whole of it, to be read from its beginning."""
        self._archive.close()
        self._file.seek(0)
        return self._file


def platform(machine: str) -> str:
    """Return the wheels' word for an engine's machine."""
    return f"{_MACHINES.get(machine, machine)}-manylinux_2_28"


def ignores(text: str) -> Callable[[str], bool]:
    """Return a function that says whether a .dockerignore excludes a path."""
    lines = (line.strip() for line in text.splitlines() if not line.startswith("#"))
    matcher = PatternMatcher([line for line in lines if line])
    return lambda path: bool(matcher.matches(path))  # type: ignore[arg-type]  # the stub is wrong: it takes a str


def _regular(version: Version) -> None:
    """Raise BuildError for a link, or a submodule, where a file is needed."""
    if version.mode in (git.LINK, git.MODULE):
        raise errors.BuildError(f"{version.path} is a link", "commit the file itself there")


def _quoted(value: str) -> str:
    """Return a value as a Dockerfile's word in which no variable is filled in."""
    return '"' + re.sub(r'(["\\$])', r"\\\1", value) + '"'


def _read(root: Path, files: dict[str, Version]) -> Iterator[tuple[Version, bytes]]:
    """Yield each file with its content, in the order of their blobs: so few of them are in memory at a time."""
    by_blob: dict[str, list[Version]] = {}
    for version in files.values():
        by_blob.setdefault(version.blob, []).append(version)
    for blob, content in git.contents(root, by_blob):
        yield from ((version, content) for version in by_blob[blob])


def _install(name: str, lock: bytes, folder: Path, wheels: str, python: str) -> None:
    """Install wheels by hash for the image's Python and platform, not for this one's."""
    words = f"pip install --quiet --python-version {python} --python-platform {wheels} --link-mode copy".split()
    words += "--no-deps --require-hashes --only-binary :all: --requirement - --target".split()  # noqa: SIM905
    env = {name: os.environ[name] for name in _INDEX if name in os.environ}
    argv = [sys.executable, "-P", "-m", "uv", *words, str(folder)]  # and no uv.py of the folder that we are in
    result = command.attempt([*argv, "--offline"], input=lock, env=env, timeout=600)
    if result.code:  # not all of it was fetched before
        result = command.attempt(argv, input=lock, env=env, timeout=600)
    if result.code:
        raise errors.BuildError(
            "the packages of the image cannot be fetched",
            f"{name} names them; is the network there?",
            result.stderr.decode(errors="replace").splitlines()[-10:],
        )
    for path in folder.glob("bin/*"):  # commands of packages name this machine's Python, which no image has
        path.write_bytes(_SHEBANG.sub(b"#!/usr/bin/env python3\n", path.read_bytes(), count=1))
