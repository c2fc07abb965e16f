"""Who gives out a secret. A provider is a module that satisfies `Provider` and stands in `PROVIDERS`."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from ci.ground import errors
from ci.ground.repo import Repo
from ci.sealing import environment
from config import Secret


@dataclass(frozen=True)
class Job:
    """What a provider needs to know: whose key it is, the value from before, and this rotation's own name."""

    environment: str
    key: str
    plain: Mapping[str, str]
    old: Secret
    tag: str


class Provider(Protocol):
    """The few things a rotation asks; each may be asked again after a kill, with the same outcome.

    `gap` is empty when the provider holds two values at once, else it says what fails in the meantime.
    """

    gap: str

    def make(self, job: Job) -> Secret:
        """Return a new value; one that an earlier, killed try of this rotation made is taken back first."""

    def admit(self, job: Job, new: Secret) -> None:
        """Make a value valid beside the old one, where `make` has not."""

    def admits(self, job: Job, value: Secret) -> bool:
        """Ask, read-only, whether a value is valid; ProviderError when that cannot be known."""

    def revoke(self, job: Job, gone: Secret, by: Secret) -> None:
        """Make one value invalid, with another that stays."""

    def sweep(self, job: Job) -> None:
        """Take back what this rotation made and nobody knows."""


PROVIDERS: Mapping[str, str] = {
    "sandbox": "ci.rotation.providers.sandbox",
}


def named(repo: Repo, name: str, key: str) -> str:
    """Return the name of a key's provider in an environment; UsageError when the key has none."""
    environment.known(repo, name)
    about = repo.schema.keys.get(key)
    if about is None or not about.secret:
        secrets = ", ".join(one.name for one in repo.schema.secrets())
        raise errors.UsageError(f"{key or 'no key'} is no secret of the schema", f"take one of {secrets}: --key=…")
    provider = str(about.meta.get("provider", ""))
    if provider in repo.schema.keys:
        provider = environment.plain(repo, name).get(provider, "")
    if provider not in PROVIDERS:
        hint = f"providers here are {', '.join(PROVIDERS)}; inv set replaces the value alone"
        raise errors.UsageError(f"{key} of {name} has the provider {provider or 'none'}, which is not there", hint)
    return provider


def of(name: str) -> Provider:
    """Return a provider by its name."""
    return cast("Provider", import_module(PROVIDERS[name]))
