"""Providers give out secrets: a module that is listed in `PROVIDERS`, or a job of the product."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from ci.delivery import confirm
from ci.ground import errors, product
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
}


def named(repo: Repo, name: str, key: str) -> str:
    """Return the name of a key's provider in an environment; UsageError when the key has none."""
    environment.known(repo, name)
    definition = repo.schema.within(name).keys.get(key)
    if definition is None or not definition.secret or definition.source:
        secrets = ", ".join(secret.name for secret in repo.schema.within(name).secrets())
        raise errors.UsageError(f"{key or 'no key'} is not a secret of {name}", f"take one of {secrets}: --key=…")
    provider = str(definition.meta.get("provider", ""))
    if provider not in PROVIDERS and provider not in repo.schema.within(name).jobs:
        hint = f"providers are {', '.join(PROVIDERS)} and jobs of {name}; inv set replaces the value alone"
        what = f"the provider {provider}, which {name} does not have" if provider else "no provider"
        raise errors.UsageError(f"{key} of {name} has {what}", hint)
    return provider


def of(repo: Repo, provider: str) -> Events[Provider]:
    """Return a provider by its name; the packages of the product are installed where it is a job."""
    if provider in PROVIDERS:
        return cast("Provider", import_module(PROVIDERS[provider]))
    from ci.rotation.providers import job  # noqa: PLC0415, it imports this module

    variables = yield from product.environment(repo, repo.schema.setup_of(provider))
    return job.Provider(repo, provider, variables)
