"""A release: what was put into an environment, by whom, when and why, numbered per environment.

It holds all that an engine needs to run it again, so that a rollback asks neither the repository nor an identity:
the plain values themselves, and the names of the bundles that the engine keeps.
"""

import getpass
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Self

from ci.ground import errors, git
from ci.ground.repo import Repo
from runtime import Secret

HEALTHY, FAILED, UNFINISHED = "healthy", "failed", ""
FORMAT = 2  # of the document that an engine keeps; 1 had the swarm's settings in the services


@dataclass(frozen=True)
class Image:
    """What a release runs: the commit it was built from, and the id or digest that the engine starts."""

    sha: str
    id: str = ""


@dataclass(frozen=True)
class Service:
    """One service of a release: its module, how many replicas it has, its keys, and its bundle's name."""

    module: str
    replicas: int
    keys: Sequence[str]
    bundle: str = ""


@dataclass(frozen=True)
class Release:
    """One release. `plain` holds values, `sealed` only names; `when` is UTC, ISO 8601.

    `sha` is the commit of the image, `config` that of the values; `settings` are what the engine recorded of its
    own. `revision` is the one that the code was written for; `lives_with` are the revisions whose code can live
    with the database as this release leaves it. `rotates` is the key whose value is new in it, and whose old value
    is revoked soon.
    """

    environment: str
    number: int
    sha: str
    plain: Mapping[str, str]
    sealed: Sequence[str]
    who: str
    when: str
    image: str = ""
    config: str = ""
    services: Mapping[str, Service] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    revision: str = ""
    lives_with: Sequence[str] = ()
    why: str = ""
    rotates: str = ""
    result: str = UNFINISHED
    ended: str = ""
    format: int = FORMAT

    def document(self) -> dict[str, Any]:
        """Return the release as JSON can hold it."""
        return asdict(self)

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """Return the release that `document()` made; FormatError when another version of Lockstep made it."""
        if (number := document.get("format", 1)) != FORMAT:
            release = f"release {document.get('number')} of {document.get('environment')}"
            older = (
                f"inv stop --env={document.get('environment')} --purge removes all that it left, then deploy again"
            )
            newer = "use the version that recorded it, or a later one"
            raise errors.FormatError(
                f"{release} was recorded in format {number}, this version reads format {FORMAT}",
                older if isinstance(number, int) and number < FORMAT else newer,
            )
        services = {name: Service(**fields) for name, fields in document.get("services", {}).items()}
        return cls(**{**document, "services": services})

    def plain_for(self, service: str) -> dict[str, str]:
        """Return the plain values of the keys that name this service."""
        return {key: self.plain[key] for key in self.services[service].keys if key in self.plain}

    def bundle_for(self, service: str, sealed: Mapping[str, Secret]) -> Secret:
        """Return the service's bundle: a JSON object of the sealed values whose keys name it."""
        keys = [key for key in self.services[service].keys if key in sealed]
        return Secret(json.dumps({key: sealed[key].reveal() for key in keys}))


def current(history: Sequence[Release]) -> Release | None:
    """Return the release that should run: the last one that became healthy."""
    return next((release for release in reversed(history) if release.result == HEALTHY), None)


def following(history: Sequence[Release]) -> int:
    """Return the number of the next release."""
    return max((release.number for release in history), default=0) + 1


def make(
    repo: Repo,
    name: str,
    image: Image,
    plain: Mapping[str, str],
    sealed: Sequence[str],
    *,
    settings: Mapping[str, Any],
    number: int,
    config: str = "",
) -> Release:
    """Return a release of the checkout, which is at `config`, and this image; the engine records `settings`."""
    environment = repo.environments.by_name[name]
    services = {
        service: Service(
            module=module,
            replicas=environment.replicas.get(service, 1),
            keys=[key.name for key in repo.schema.of(service)],
            bundle=bundle_name(repo, name, number, service),
        )
        for service, module in repo.schema.services.items()
    }
    return Release(
        environment=name,
        number=number,
        sha=image.sha,
        plain=dict(plain),
        sealed=sorted(sealed),
        who=person(repo),
        when=now(),
        image=image.id,
        config=config or git.sha(repo.root),
        services=services,
        settings=settings,
    )


def again(repo: Repo, release: Release, number: int, why: str) -> Release:
    """Return a new release that has everything of an old one."""
    return replace(
        release, number=number, who=person(repo), when=now(), why=why, rotates="", result=UNFINISHED, ended=""
    )


def tag(repo: Repo, commit: str) -> str:
    """Return the name of a commit's image."""
    return f"{repo.environments.project}:{commit[: git.SHORT]}"


def bundle_name(repo: Repo, name: str, number: int, service: str) -> str:
    """Return what the engine calls a bundle."""
    return f"{repo.environments.project}.{name}.{number}.{service}"


def person(repo: Repo) -> str:
    """Return who is at work."""
    return git.user(repo.root) or getpass.getuser()


def now() -> str:
    """Return this moment as releases note it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
