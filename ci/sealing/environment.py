"""One environment, opened in memory: its plain and its sealed values, checked against the schema."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ci.ground import dotenv, errors
from ci.ground.repo import Repo
from ci.ground.schema import Schema
from ci.sealing import identity, sops
from runtime import Secret


@dataclass(frozen=True)
class Environment:
    """All values of one environment; the sealed ones stay wrapped."""

    name: str
    schema: Schema
    plain: Mapping[str, str]
    sealed: Mapping[str, Secret]


def known(repo: Repo, name: str) -> None:
    """Raise UsageError unless environments.yaml has this environment."""
    names = repo.environments.by_name
    if name not in names:
        raise errors.UsageError(f"no environment {name or 'given'}", f"take one of {', '.join(names)}: --env=…")


def plain(repo: Repo, name: str) -> dict[str, str]:
    """Return an environment's plain values; ConfigurationError lists every line that is wrong."""
    path = repo.plain(name)
    return _lines(path, _read(path))


def sealed(repo: Repo, name: str) -> dict[str, Secret]:
    """Decrypt an environment's sealed values in memory.

    Raises NotSealedError, NoIdentityError, WrongIdentityError, TamperedError, or ConfigurationError when what
    was sealed is not a clean env file.
    """
    path = repo.sealed(name)
    if not path.exists():
        raise errors.NotSealedError(f"{path.name} is not there", "inv init makes it, inv encrypt fills it")
    text = sops.call(repo, sops.decrypt(path), identity=identity.at_hand(repo, name))
    return {key: Secret(value) for key, value in _lines(path, text.encode()).items()}


def decrypt(repo: Repo, name: str) -> Secret:
    """Return an environment's sealed values as KEY=value lines, in the form that `inv encrypt` reads."""
    known(repo, name)
    return Secret(dotenv.render({key: value.reveal() for key, value in sealed(repo, name).items()}))


def opened(repo: Repo, name: str) -> Environment:
    """Return the whole environment, every value checked; ConfigurationError names every problem, no value."""
    known(repo, name)
    environment = Environment(name, repo.schema, plain(repo, name), sealed(repo, name))
    if faults := problems(environment):
        fix = f"inv set --env={name} --key=KEY for a secret, config/{name}.env for the rest"
        raise errors.ConfigurationError(f"{name} does not fit the schema", fix, faults)
    return environment


def problems(environment: Environment) -> list[str]:
    """Say, sorted and without a value, what does not fit: missing, extra, misplaced and refused values."""
    faults = []
    values = {**{key: value.reveal() for key, value in environment.sealed.items()}, **environment.plain}
    for key in environment.schema.keys.values():
        if key.name not in values:
            faults += [f"{key.name} is missing"] if key.required else []
        elif key.secret and key.name in environment.plain:
            faults.append(f"{key.name} is secret and stands in the plain file")
        elif not key.secret and key.name in environment.sealed:
            faults.append(f"{key.name} is plain and stands in the sealed file")
        elif fault := key.problem(values[key.name]):
            faults.append(f"{key.name} {fault}")
    faults += [f"{name} is not in the schema" for name in values if name not in environment.schema.keys]
    return sorted(faults)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise errors.ConfigurationError(
            f"{path.name} cannot be read", f"git checkout -- config/{path.name}"
        ) from None


def _lines(path: Path, data: bytes) -> dict[str, str]:
    values, faults = dotenv.parse(data)
    if faults:
        hint = "one KEY=value a line, LF at its end; no quotes, blanks or export around it"
        raise errors.ConfigurationError(f"{path.name} cannot be read", hint, [str(problem) for problem in faults])
    return values
