"""Where things are in a checkout."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ci.ground import environments, errors, schema
from ci.ground.git import Git
from ci.ground.schema import Schema


@dataclass(frozen=True)
class Repo:
    """A checkout that has this layout; all other code gets its paths from here."""

    root: Path

    @cached_property
    def schema(self) -> Schema:
        """The checkout's schema; ConfigurationError names everything that is wrong with it."""
        try:
            return schema.read(self.root / "config/schema.yaml")
        except schema.SchemaError as error:
            hint = "fix config/schema.yaml; its first lines say what it may hold"
            raise errors.ConfigurationError("the schema is wrong", hint, error.problems) from None

    def schema_at(self, commit: str) -> Schema:
        """Return a commit's schema; RefusedError when this clone has none, ConfigurationError for its faults."""
        name = "config/schema.yaml"
        shown = Git(self.root).attempt("show", f"{commit}:{name}")
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
            return environments.read(self.root / "config/environments.yaml")
        except environments.EnvironmentsError as error:
            hint = "fix config/environments.yaml"
            raise errors.ConfigurationError("the environments are wrong", hint, error.problems) from None

    def plain(self, environment: str) -> Path:
        """The plain values of an environment."""
        return self.root / f"config/{environment}.env"

    def vault(self, environment: str) -> Path:
        """The folder that holds .sops.yaml and secrets/: the checkout, or for one that is not in git its state."""
        return self.state_of(environment) if self.environments.outside_git(environment) else self.root

    def sealed(self, environment: str) -> Path:
        """The sealed values of an environment."""
        return self.vault(environment) / f"secrets/{environment}.enc.env"

    @property
    def state(self) -> Path:
        """What is of this machine alone: caches, and a folder for each environment that is not in git."""
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
        """The folder of the pinned programs."""
        return self.root / ".tools/bin"

    def tool(self, name: str) -> Path:
        """Return the path of a pinned program."""
        return self.tools / name


def here() -> Repo:
    """Return the checkout that this code is in."""
    return Repo(Path(__file__).resolve().parents[2])
