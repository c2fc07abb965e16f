"""A release: what was put into an environment, by whom, when and why, numbered per environment.

It holds all that an engine needs to run it again, so that a rollback asks neither the repository nor an identity:
the plain values themselves, and the names of the bundles that the engine keeps.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import urlsplit

from ci.ground import errors, git, machine, services
from ci.ground.repo import Repo
from ci.ground.schema import Schema
from ci.ground.services import MAIN
from runtime import Secret

HEALTHY, FAILED, UNFINISHED = "healthy", "failed", ""
FORMAT = 3  # of the document that an engine keeps; 2 had the module of a service, and one image


@dataclass(frozen=True)
class Image:
    """What a release runs: the commit it was built from, and the ids or digests of its images, by name."""

    sha: str
    ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Service:
    """One service of a release: what it declares, how many replicas it has, its keys, and its bundle's name."""

    declared: services.Service
    replicas: int
    keys: Sequence[str]
    bundle: str = ""


@dataclass(frozen=True)
class Job:
    """One job of a release: what it declares, its keys, and its bundle's name."""

    declared: services.Job
    keys: Sequence[str]
    bundle: str = ""


@dataclass(frozen=True)
class Release:
    """One release. `plain` holds values, `sealed` only names; `when` is UTC, ISO 8601.

    `sha` is the commit of the images, which have a name each; `config` is that of the values; `settings` are what
    the engine recorded of its own. `revision` is the one that the code was written for; `lives_with` are the
    revisions whose code can live with the database as this release leaves it. `rotates` is the key whose value is
    new in it, and whose old value is revoked soon.
    """

    environment: str
    number: int
    sha: str
    plain: Mapping[str, str]
    sealed: Sequence[str]
    who: str
    when: str
    images: Mapping[str, str] = field(default_factory=dict)
    config: str = ""
    services: Mapping[str, Service] = field(default_factory=dict)
    jobs: Mapping[str, Job] = field(default_factory=dict)
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
        running = {
            name: Service(**{**fields, "declared": services.revived(fields["declared"])})
            for name, fields in document["services"].items()
        }
        jobs = {
            name: Job(**{**fields, "declared": services.revived_job(fields["declared"])})
            for name, fields in document["jobs"].items()
        }
        return cls(**{**document, "services": running, "jobs": jobs})

    @property
    def image(self) -> Image:
        """What it runs."""
        return Image(self.sha, self.images)

    def reader(self, name: str) -> Service | Job:
        """Return the service or the job of this name."""
        return self.jobs[name] if name in self.jobs else self.services[name]

    def image_of(self, name: str) -> str:
        """Return the id or digest of the image that a service or a job runs in."""
        return self.images[self.reader(name).declared.image]

    def bundles(self) -> dict[str, str]:
        """Return the names of the bundles, by service or job."""
        return {name: self.reader(name).bundle for name in (*self.services, *self.jobs)}

    def plain_for(self, name: str) -> dict[str, str]:
        """Return the plain values that a service or a job reads."""
        return {key: self.plain[key] for key in self.reader(name).keys if key in self.plain}

    def bundle_for(self, name: str, sealed: Mapping[str, Secret]) -> Secret:
        """Return the sealed values that a service or a job reads, in the form of its entrypoint.

        That is a JSON object for `entry.py`, and lines that a shell reads for `entry.sh`.
        """
        reader = self.reader(name)
        values = {key: sealed[key].reveal() for key in reader.keys if key in sealed}
        if services.python_module(reader.declared.command):
            return Secret(json.dumps(values))
        return Secret("".join(f"{key}={_quoted(value)}\n" for key, value in values.items()))


def _quoted(value: str) -> str:
    """Return a value as one word of a shell's, whatever is in it."""
    return "'" + value.replace("'", "'\\''") + "'"


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
    schema: Schema,
    *,
    plain: Mapping[str, str],
    sealed: Iterable[str],
    settings: Mapping[str, Any],
    number: int,
    config: str = "",
) -> Release:
    """Return a release of the checkout's values and these images.

    `schema` is that of the images' commit, as far as it exists in the environment: values of other keys are left
    out, and an absent key has its default. `settings` are what the engine records; the checkout is at `config`.
    """
    environment, kept = repo.environments.by_name[name], set(sealed)
    keys = {reader: [key.name for key in schema.of(reader)] for reader in (*schema.services, *schema.jobs)}
    bundles = {reader: f"{repo.environments.project}.{name}.{number}.{reader}" for reader in keys}
    running = {
        service: Service(
            _hosted(service, declared, schema.defaults() | dict(plain)),
            environment.replicas.get(service, 1),
            keys[service],
            bundles[service],
        )
        for service, declared in schema.services.items()
    }
    providers = {key.meta.get("provider") for key in schema.keys.values()}  # they run where somebody rotates
    jobs = {
        job: Job(declared, keys[job], bundles[job])
        for job, declared in schema.jobs.items()
        if job not in providers
    }
    return Release(
        environment=name,
        number=number,
        sha=image.sha,
        plain={**schema.defaults(), **{key: value for key, value in plain.items() if key in schema.keys}},
        sealed=sorted({key for key in kept if key in schema.keys} | {key.name for key in schema.parts(kept)}),
        who=person(repo),
        when=now(),
        images=dict(image.ids),
        config=config or git.sha(repo.root),
        services=running,
        jobs=jobs,
        settings=settings,
    )


def _hosted(name: str, declared: services.Service, plain: Mapping[str, str]) -> services.Service:
    """Return a service as a release has it: at the host of the environment, or of a value that is a URL, its host.

    How its packages come to a machine is no part of it.
    """
    declared, public = replace(declared, setup=None), declared.public
    if public is None or not public.host.startswith("{"):
        return declared
    key = public.host[1:-1]
    if key not in plain:
        hint = f"public.host of {name} in config/schema.yaml names a plain key of every environment it exists in"
        raise errors.ConfigurationError(f"{key}, the host of {name}, has no plain value", hint)
    try:
        host = urlsplit(plain[key]).hostname or "" if "://" in plain[key] else plain[key]
    except ValueError:  # the host is then refused by its name
        host = plain[key]
    return replace(declared, public=replace(public, host=host))


def again(repo: Repo, release: Release, number: int, why: str) -> Release:
    """Return a new release that has everything of an old one."""
    return replace(
        release, number=number, who=person(repo), when=now(), why=why, rotates="", result=UNFINISHED, ended=""
    )


def tag(repo: Repo, commit: str, image: str = MAIN) -> str:
    """Return the name of a commit's image."""
    return f"{repo.environments.project}:{version(commit, image)}"


def version(commit: str, image: str = MAIN) -> str:
    """Return what follows the colon in the name of a commit's image."""
    return commit[: git.SHORT] if image == MAIN else f"{image}-{commit[: git.SHORT]}"


def person(repo: Repo) -> str:
    """Return who is at work."""
    return git.user(repo.root) or machine.user()


def now() -> str:
    """Return this moment as releases note it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
