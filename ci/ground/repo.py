"""Where things are in a checkout, or in a commit."""

import errno
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ci.ground import environments, errors, git, programs, schema
from ci.ground.schema import Schema


@dataclass(frozen=True)
class Repo:
    """A checkout that has this layout; all other code gets its paths from here.

    With a `commit`, a full SHA, the gates read that commit's objects, and `root` may be a bare repository.
    """

    root: Path
    commit: str = ""

    def read(self, place: str) -> bytes:
        """Return the content of a file; OSError when there is none, or when a commit has a link there."""
        if not self.commit:
            return (self.root / place).read_bytes()
        if place not in self.versions:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), place)
        version = self.versions[place]
        if version.mode in (git.LINK, git.MODULE):
            raise OSError(errno.ELOOP, "is a link", place)
        [(_, data)] = git.contents(self.root, [version.blob])
        return data

    def exists(self, place: str) -> bool:
        """Whether there is something at a place."""
        return place in self.versions if self.commit else (self.root / place).exists()

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, without those in folders of it."""
        if not self.commit:
            return sorted(path.name for path in (self.root / folder).glob("*"))
        inside = (place.removeprefix(f"{folder}/") for place in self.versions if place.startswith(f"{folder}/"))
        return sorted(name for name in inside if "/" not in name)

    @cached_property
    def versions(self) -> Mapping[str, git.Version]:
        """Every file of the commit by its place."""
        return {version.path: version for version in git.committed(self.root, self.commit)}

    @property
    def declared(self) -> "Repo":
        """What the files themselves say, where a gate reads them more strictly: ci/gates/law.py."""
        return self

    @cached_property
    def schema(self) -> Schema:
        """The checkout's schema; ConfigurationError names everything that is wrong with it."""
        try:
            if self.commit:
                return schema.parse(self._committed("config/schema.yaml"))
            return schema.read(self.file("config/schema.yaml"))
        except schema.SchemaError as error:
            hint = "fix config/schema.yaml; its first lines say what it may hold"
            raise errors.ConfigurationError(f"the schema{self._of} is wrong", hint, error.problems) from None

    def schema_at(self, commit: str) -> Schema:
        """Return a commit's schema; RefusedError when this clone has none, ConfigurationError for its faults."""
        name = "config/schema.yaml"
        shown = git.Git(self.root).attempt("show", f"{commit}:{name}")
        if shown.code:
            hint = "git fetch; an older one than Lockstep's own is built anew from a later commit"
            raise errors.RefusedError(f"this clone has no {name} of commit {commit}", hint)
        if shown.stdout == (self.root / name).read_bytes():
            return self.schema
        try:
            return schema.parse(shown.stdout)
        except schema.SchemaError as error:
            hint = "deploy the image of a later commit"
            raise errors.ConfigurationError(f"the schema of {commit} is wrong", hint, error.problems) from None

    @cached_property
    def environments(self) -> environments.Environments:
        """The checkout's environments; ConfigurationError says what is wrong with them."""
        try:
            if self.commit:
                return environments.parse(self._committed("config/environments.yaml"))
            return environments.read(self.file("config/environments.yaml"))
        except environments.EnvironmentsError as error:
            hint = "fix config/environments.yaml"
            raise errors.ConfigurationError(
                f"the environments{self._of} are wrong", hint, error.problems
            ) from None

    @property
    def _of(self) -> str:
        return f" of commit {self.commit[: git.SHORT]}" if self.commit else ""

    def _committed(self, place: str) -> bytes:
        try:
            return self.read(place)
        except OSError:
            name = self.commit[: git.SHORT]
            hint = "name a commit of a repository that has this layout"
            raise errors.ConfigurationError(f"commit {name} has no {place}", hint) from None

    def file(self, name: str, folder: Path | None = None) -> Path:
        """Return the path of a file that is read; ConfigurationError for a link or a pipe, also above it."""
        path = folder or self.root
        for part in Path(name).parts:
            path /= part
            with suppress(OSError):  # it does not exist, which the one who reads it says better
                if not stat.S_ISREG(mode := path.lstat().st_mode) and not stat.S_ISDIR(mode):
                    hint = "put the file itself there: what it leads to is not what was committed"
                    raise errors.ConfigurationError(f"{path.relative_to(folder or self.root)} is a link", hint)
        return path

    def plain(self, environment: str) -> Path:
        """The plain values of an environment."""
        return self.file(f"config/{environment}.env")

    def vault(self, environment: str) -> Path:
        """The folder that holds .sops.yaml and secrets/: the checkout, or for one that is not in git its state."""
        return self.state_of(environment) if self.environments.outside_git(environment) else self.root

    def sealed(self, environment: str) -> Path:
        """The sealed values of an environment."""
        return self.file(f"secrets/{environment}.enc.env", self.vault(environment))

    @cached_property
    def state(self) -> Path:
        """What is of this machine alone: caches, and a folder for each environment that is not in git.

        TrackedError when git could have put something there.
        """
        git.untracked(self.root, ".local")
        return self.root / ".local"

    def state_of(self, environment: str) -> Path:
        """The folder of an environment on this machine: its values, its identity, what its engine keeps here."""
        return self.state / "environments" / environment

    @property
    def record(self) -> Path:
        """The record of the rotations that have ended, without those of environments that are not in git."""
        return self.root / "config/rotations.jsonl"

    @property
    def tools(self) -> Path:
        """The folder that the pinned programs are installed in."""
        return self.root / ".tools/bin"

    def tool(self, name: str) -> Path:
        """Return a pinned program of the checkout that this code is in: those that another one brings are data.

        ToolMismatchError when it is not what was installed, TrackedError when git could have put it there.
        """
        own = here()
        git.untracked(own.root, own.tools.parent.name)
        return programs.program(own.tools, name)


def here() -> Repo:
    """Return the checkout that this code is in."""
    return Repo(Path(__file__).resolve().parents[2])
