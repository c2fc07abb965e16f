"""One-off commands: on this machine with the values of an environment, or in the engine of one."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ci.delivery import engines
from ci.delivery import release as releases
from ci.ground import command, errors, product
from ci.ground.events import Events
from ci.ground.redaction import Redaction
from ci.ground.repo import Repo
from ci.sealing import environment


@dataclass(frozen=True)
class Reader:
    """Whose keys a command gets: those of a service or of a job; one of the two is named."""

    service: str = ""
    job: str = ""


@dataclass(frozen=True)
class Given:
    """The environment of a command on this machine, and what hides the sealed values in what it prints."""

    environ: Mapping[str, str] = field(repr=False)
    redaction: Redaction


def given(repo: Repo, name: str, service: str, argv: Sequence[str]) -> Events[Given]:
    """Return what a command gets: the values of a service or a job, or all values of the environment.

    Beside them it gets what the shell has, without the keys of the schema; where the sealed values are of this
    machine alone, the product's packages are first on PATH.
    """
    _require(argv, f"inv exec --env={name} -- COMMAND …")
    environment.known(repo, name)
    schema = repo.schema.within(name)
    if service and service not in (*schema.services, *schema.jobs):
        raise _stranger(f"service or job {service}", name, [*schema.services, *schema.jobs], "service")
    in_git = repo.environments.by_name[name].in_git
    if not in_git and not repo.sealed(name).exists():
        raise errors.NotSealedError(f"{name} has no values yet", f"inv deploy --env={name} makes them")
    opened = environment.opened(repo, name)
    keys = schema.of(service) if service else schema.keys.values()
    values = {**schema.defaults(), **opened.plain, **{key: value.reveal() for key, value in opened.sealed.items()}}
    environ = {variable: value for variable, value in os.environ.items() if variable not in repo.schema.keys}
    if not in_git:
        setup = schema.setup_of(service) if service else schema.setup
        environ |= yield from product.environment(repo, setup)
    environ |= {key.name: values[key.name] for key in keys if key.name in values}
    return Given(environ, Redaction(opened.stored()))


def here(given: Given, argv: Sequence[str], write: Callable[[int, bytes], None] | None = None) -> int:
    """Run a command on this machine and return its exit code.

    `write` gets what it prints: 1 for stdout or 2 for stderr, and bytes, none at the end. Without it the command
    has the terminal itself.
    """
    return command.attended(argv, environ=given.environ, write=write)


def run(repo: Repo, name: str, reader: Reader, argv: Sequence[str]) -> tuple[int, list[str]]:
    """Run a command once in the engine, beside the current release; return its exit code and what it printed.

    Without a command it is the job's own.
    """
    if bool(reader.service) == bool(reader.job):
        what = "both a service and a job are given" if reader.job else "no service and no job given"
        raise errors.UsageError(what, f"inv run --env={name} --service=SERVICE -- COMMAND …, or --job=JOB")
    if reader.service:
        _require(argv, f"inv run --env={name} --service={reader.service} -- COMMAND …")
    with engines.open(repo, name) as engine:
        release = releases.current(engine.history())
        if release is None:
            raise errors.NotRunningError(f"{name} has no release", f"inv deploy --env={name} makes one")
        if reader.service and reader.service not in release.services:
            raise _stranger(f"service {reader.service}", name, list(release.services), "service")
        if reader.job and reader.job not in release.jobs:
            raise _stranger(f"job {reader.job}", name, list(release.jobs), "job")
        sealed = {} if engine.versioned else environment.opened(repo, name).sealed
        return engine.run(release, reader.job or reader.service, argv, sealed)


def _require(argv: Sequence[str], usage: str) -> None:
    if not argv:
        raise errors.UsageError("no command to run", usage)


def _stranger(what: str, name: str, known: Sequence[str], option: str) -> errors.UsageError:
    return errors.UsageError(f"{name} has no {what}", f"take one of {', '.join(known) or 'none'}: --{option}=…")
