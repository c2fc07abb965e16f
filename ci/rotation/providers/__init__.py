"""Providers give out secrets. A provider is a module that satisfies `Provider` and is listed in `PROVIDERS`."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from ci.delivery import confirm
from ci.ground import errors
from ci.ground.events import Events
from ci.ground.repo import Repo
from ci.ground.schema import Key
from ci.sealing import environment
from runtime import Secret


@dataclass(frozen=True)
class Job:
    """What a provider needs to know: the key and its environment, the value from before, this rotation's own name.

    After a leak (`leaked`) those who use the old value get no time to change. `yes` says that no person is asked.
    """

    environment: str
    about: Key
    plain: Mapping[str, str]
    old: Secret
    tag: str
    leaked: bool = False
    yes: bool = False

    @property
    def key(self) -> str:
        """The key's name."""
        return self.about.name

    def confirm(self, what: str) -> Events[None]:
        """Have a person confirm that it may go on; NotConfirmedError otherwise."""
        if not self.yes:
            yield from confirm.typed(self.environment, what)


class Provider(Protocol):
    """The few things a rotation asks; each may be asked again after a kill, with the same outcome.

    `gap` is empty when the provider holds two values at once, else it says what fails in the meantime. A key whose
    value is a list of `several` has no gap with any provider.
    """

    gap: str

    def make(self, job: Job) -> Secret | Events[Secret]:
        """Return a new value; first revoke one that an earlier, killed attempt at this rotation made."""

    def admit(self, job: Job, new: Secret) -> None:
        """Make a value valid beside the old one, where `make` has not."""

    def admits(self, job: Job, value: Secret) -> bool | None:
        """Ask, read-only, whether a value is valid; None if that cannot be asked, ProviderError for no answer."""

    def revoke(self, job: Job, value: Secret, by: Secret) -> Secret | Events[Secret]:
        """Make one value invalid, using another that stays valid, and return what is to be sealed from now on.

        That is `by`, unless `by` contains both: then it is what is left of it, and valid once deployed.
        """

    def sweep(self, job: Job) -> None:
        """Revoke what this rotation made and lost."""


PROVIDERS: Mapping[str, str] = {
    "generated": "ci.rotation.providers.generated",
    "manual": "ci.rotation.providers.manual",
    "postgres": "ci.rotation.providers.postgres",
    "redis": "ci.rotation.providers.redis",
    "sandbox": "ci.rotation.providers.sandbox",
    "twilio": "ci.rotation.providers.twilio",
}


def named(repo: Repo, name: str, key: str) -> str:
    """Return the name of a key's provider in an environment; UsageError when the key has none."""
    environment.known(repo, name)
    definition = repo.schema.keys.get(key)
    if definition is None or not definition.secret:
        secrets = ", ".join(secret.name for secret in repo.schema.secrets())
        raise errors.UsageError(f"{key or 'no key'} is no secret of the schema", f"take one of {secrets}: --key=…")
    provider = str(definition.meta.get("provider", ""))
    if provider in repo.schema.keys:
        provider = environment.plain(repo, name).get(provider, "")
    if provider not in PROVIDERS:
        hint = f"providers here are {', '.join(PROVIDERS)}; inv set replaces the value alone"
        raise errors.UsageError(f"{key} of {name} has the provider {provider or 'none'}, which is not there", hint)
    return provider


def of(name: str) -> Provider:
    """Return a provider by its name."""
    return cast("Provider", import_module(PROVIDERS[name]))
