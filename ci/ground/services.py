"""What a product declares of itself beside its keys: services, jobs, images, and how its packages are set up.

The seam to a product is a process contract: a command, an environment, a port, signals.
"""

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

MAIN = "main"  # the image of a service that names none
NAME = re.compile(r"[a-z]([a-z0-9_-]*[a-z0-9])?")
PACKAGES = "packages"  # the folder of a context that the wheels are put into, and the stage that installs them
RESERVED = ("proxy", "job")  # what engines call their own services
MIGRATE, VERIFY = "migrate", "verify"
BEFORE_MIGRATE, AFTER_RELEASE, ON_FAILURE = "before_migrate", "after_release", "on_failure"


@dataclass(frozen=True)
class Health:
    """How a service's health is asked: at HTTP paths of its port, or by a command; by nothing when all are empty.

    It is ready when `ready` answers, and alive afterwards for as long as `alive` does. `version` answers with JSON
    that has its release's number as `release`.
    """

    ready: str = ""
    alive: str = ""
    version: str = ""
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class Public:
    """How the proxy leads to a service: requests of this host (empty: of any) below this path; never to `private`.

    `host` may be `{KEY}`, the value of a plain key.
    """

    host: str = ""
    path: str = "/"
    private: tuple[str, ...] = ()


@dataclass(frozen=True)
class Setup:
    """How a product's packages come to this machine: lock files of Python's, then commands.

    The commands run again when one of the files in `watch` has changed; without any they run each time.
    """

    python: tuple[str, ...] = ()
    run: tuple[tuple[str, ...], ...] = ()
    watch: tuple[str, ...] = ()


@dataclass(frozen=True)
class Image:
    """What an image is built from: its Dockerfile, the folder it may copy from, and a lock file.

    The wheels that the lock file names are fetched by hash and put into the folder's `packages/` for the build.
    """

    dockerfile: str = "Dockerfile"
    context: str = "."
    packages: str = ""


@dataclass(frozen=True)
class Service:
    """A process that runs for long. `port` is the one it listens at in a container.

    `{port}`, `{sha}`, `{release}` and `{environment}` in the command are filled in when it starts. `single`: two
    may never run at once. It is ready within `start_seconds`. After its connections have ended, or after
    `drain_seconds`, it is asked to stop, and has as long for it. `temporary` are folders it may write to, `kept`
    those that outlive it, by the name of their volume.
    `environments` are those it exists in, all when empty.
    """

    command: tuple[str, ...]
    description: str = ""
    port: int = 0
    public: Public | None = None
    health: Health = field(default_factory=Health)
    single: bool = False
    start_seconds: int = 30
    drain_seconds: int = 30
    temporary: tuple[str, ...] = ()
    kept: Mapping[str, str] = field(default_factory=dict)
    image: str = MAIN
    environments: tuple[str, ...] = ()
    setup: Setup | None = None


@dataclass(frozen=True)
class Job:
    """A process that runs once, with the keys of the services that it names.

    `when` says at which moment of a deploy; `migrate` and `verify` have their own, another runs when it is asked
    for. `alembic` is the folder of the migrations, when they are Alembic's. `inherits` are variables of the
    person's shell that a job gets when it runs on this machine.
    """

    command: tuple[str, ...]
    keys: tuple[str, ...]
    when: str = ""
    image: str = MAIN
    environments: tuple[str, ...] = ()
    alembic: str = ""
    inherits: tuple[str, ...] = ()


@dataclass(frozen=True)
class Declared:
    """All of it, by name."""

    services: Mapping[str, Service]
    jobs: Mapping[str, Job]
    images: Mapping[str, Image]
    setup: Setup
    settings: tuple[str, ...]


def splits(field: str, value: Any, error: Callable[[str, str], None]) -> None:
    """Refuse a command that is empty, whose quotes do not match, or that is a list of other things than words."""
    if not isinstance(value, str | list):  # as `type` says
        return
    if isinstance(value, list) and not all(isinstance(word, str) and word for word in value):
        error(field, "must be words")
        return
    try:
        empty = not words(value)
    except ValueError as fault:
        error(field, f"cannot be split into words, {str(fault).lower()}")
        return
    if empty:
        error(field, "must not be empty")


def words(command: str | Iterable[str]) -> tuple[str, ...]:
    """Return a command as words: a text is split as a shell would, a list is taken as it is."""
    return tuple(shlex.split(command) if isinstance(command, str) else command)


def python_module(command: tuple[str, ...]) -> str:
    """Return the module that a command has Python run; empty for any other command."""
    runs = len(command) > 2 and re.fullmatch(r"python(3(\.\d+)?)?", command[0]) and command[1] == "-m"  # noqa: PLR2004
    return command[2] if runs else ""


_TEXT = {"type": "string", "empty": False}
_TEXTS = {"type": "list", "schema": _TEXT}
_PATH = {"type": "string", "regex": r"/\S*\Z"}
_PATHS = {"type": "list", "schema": _PATH}
_COMMAND = {"type": ["string", "list"], "check_with": splits}
_IMAGE = {"type": "string"}
_SETUP = {
    "type": "dict",
    "schema": {"python": _TEXTS, "run": {"type": "list", "schema": _COMMAND}, "watch": _TEXTS},
}
_RULES: Mapping[str, Any] = {
    "service": {
        "command": {**_COMMAND, "required": True},
        "description": {"type": "string"},
        "port": {"type": "integer", "min": 1, "max": 65535},
        "public": {
            "type": "dict",
            "schema": {"host": {"type": "string", "regex": r"[^\s/:]*\Z"}, "path": _PATH, "private": _PATHS},
        },
        "health": {
            "type": ["string", "dict"],
            "regex": r"/\S*\Z",
            "schema": {"ready": _PATH, "alive": _PATH, "version": _PATH, "command": _COMMAND},
        },
        "single": {"type": "boolean"},
        "start_seconds": {"type": "integer", "min": 1, "max": 3600},
        "drain_seconds": {"type": "integer", "min": 0, "max": 3600},
        "writes": {
            "type": "dict",
            "schema": {
                "temporary": _PATHS,
                "kept": {
                    "type": "dict",
                    "keysrules": {"type": "string", "regex": r"[a-z][a-z0-9_-]*\Z"},
                    "valuesrules": _PATH,
                },
            },
        },
        "image": _IMAGE,
        "environments": _TEXTS,
        "setup": _SETUP,
    },
    "job": {
        "command": {**_COMMAND, "required": True},
        "keys": {"type": ["string", "list"], "required": True, "empty": False, "schema": {"type": "string"}},
        "when": {"type": "string", "allowed": [BEFORE_MIGRATE, AFTER_RELEASE, ON_FAILURE]},
        "image": _IMAGE,
        "environments": _TEXTS,
        "alembic": _TEXT,
        "inherits": {"type": "list", "schema": {"type": "string", "regex": r"[A-Za-z_][A-Za-z0-9_]*\Z"}},
    },
    "image": {"dockerfile": _TEXT, "context": _TEXT, "packages": _TEXT},
    "setup": _SETUP["schema"],
    "settings": {
        "settings": {"type": "list", "schema": {"type": "string", "regex": r"(?!/|(.*/)?\.\.?/)\S+\.py\Z"}}
    },
}


def problems(document: Mapping[str, Any], differences: Callable[..., Iterable[str]]) -> Iterator[str]:
    """Yield what is wrong; `differences` compares one part with its rules."""
    parts = [(kind, name, fields) for kind in ("service", "job", "image") for name, fields in _of(document, kind)]
    for kind, name, fields in parts:
        where = f"{kind} {name}: "
        if not isinstance(name, str) or not NAME.fullmatch(name) or name in RESERVED:
            yield f"{where}a {kind} is named in small letters, digits, - and _, and not {' or '.join(RESERVED)}"
        elif not isinstance(fields, dict):
            yield f"{where}needs a mapping" + (" with a command" if kind != "image" else "")
        else:
            yield from differences(where, _RULES[kind], fields)
    yield from differences("setup: ", _RULES["setup"], document.get("setup", {}))
    yield from differences("", _RULES["settings"], {"settings": document.get("settings", [])})


def contradictions(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what contradicts itself in parts that can be read."""
    declared = read(document)
    for name, service in declared.services.items():
        health = service.health
        if not service.port and (service.public or health.ready or health.alive or health.version):
            yield f"service {name}: needs a port, for it is public or its health is asked by a path"
        if health.command and (health.ready or health.alive):
            yield f"service {name}: health takes paths or a command, not both"
        if service.image not in declared.images:
            yield f"service {name}: image {service.image} is not one of {', '.join(declared.images)}"
    for name, job in declared.jobs.items():
        if name in declared.services:
            yield f"job {name}: a service has this name"
        yield from (
            f"job {name}: keys names {reader}, which is no service"
            for reader in job.keys
            if reader not in declared.services
        )
        if job.when and name in (MIGRATE, VERIFY):
            yield f"job {name}: has a moment of its own, leave out when"
        if job.alembic and name != MIGRATE:
            yield f"job {name}: alembic is for {MIGRATE} alone"
        if job.image not in declared.images:
            yield f"job {name}: image {job.image} is not one of {', '.join(declared.images)}"


def read(document: Mapping[str, Any]) -> Declared:
    """Return what a document without problems declares."""
    services = {name: _service(fields) for name, fields in _of(document, "service")}
    jobs = {name: _job(fields, services) for name, fields in _of(document, "job")}
    images = {name: Image(**fields) for name, fields in _of(document, "image")} or {MAIN: Image()}
    settings = tuple(document.get("settings", ()))
    return Declared(services, jobs, images, _setup(document.get("setup", {})), settings)


def revived(document: Mapping[str, Any]) -> Service:
    """Return the service that `dataclasses.asdict` and JSON made a document of."""
    fields = _tuples(document)
    fields["health"] = Health(**_tuples(document["health"]))
    fields["public"] = Public(**_tuples(document["public"])) if document["public"] else None
    fields["setup"] = None
    return Service(**fields)


def revived_job(document: Mapping[str, Any]) -> Job:
    """Return the job that `dataclasses.asdict` and JSON made a document of."""
    return Job(**_tuples(document))


def _of(document: Mapping[str, Any], kind: str) -> Iterable[tuple[Any, Any]]:
    parts: Mapping[Any, Any] = document.get(f"{kind}s", {})
    return parts.items()


def _service(fields: Mapping[str, Any]) -> Service:
    health, public, writes = fields.get("health", {}), fields.get("public"), fields.get("writes", {})
    values: dict[str, Any] = {name: value for name, value in fields.items() if name != "writes"}
    if isinstance(health, str):
        health = {"ready": health, "alive": health}
    values |= {
        "command": words(fields["command"]),
        "health": Health(**{**_tuples(health), "command": words(health.get("command", ()))}),
        "public": Public(**_tuples(public)) if public is not None else None,
        "temporary": tuple(writes.get("temporary", ())),
        "kept": dict(writes.get("kept", {})),
        "environments": tuple(fields.get("environments", ())),
        "setup": _setup(fields["setup"]) if "setup" in fields else None,
    }
    return Service(**values)


def _job(fields: Mapping[str, Any], services: Mapping[str, Service]) -> Job:
    keys = fields["keys"]
    readers = (keys,) if isinstance(keys, str) else tuple(keys)
    image = services[readers[0]].image if readers[0] in services else MAIN
    return Job(**{"image": image, **_tuples(fields), "command": words(fields["command"]), "keys": readers})


def _setup(fields: Mapping[str, Any]) -> Setup:
    return Setup(**{**_tuples(fields), "run": tuple(words(command) for command in fields.get("run", ()))})


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
