"""One environment, opened in memory: its plain and its sealed values, checked against the schema."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ci.ground import dotenv, errors
from ci.ground.repo import Repo
from ci.ground.schema import Schema
from ci.sealing import ciphertext, identity
from runtime import Secret


@dataclass(frozen=True)
class Environment:
    """All values of one environment; the sealed ones stay wrapped."""

    name: str
    schema: Schema
    plain: Mapping[str, str]
    sealed: Mapping[str, Secret]

    def stored(self) -> list[Secret]:
        """Return the sealed values but for parts of others: a port or a user's name is in much that is printed."""
        parts = {key.name for key in self.schema.keys.values() if key.source}
        return [value for key, value in self.sealed.items() if key not in parts]


def known(repo: Repo, name: str) -> None:
    """Raise UsageError unless environments.yaml has this environment."""
    names = repo.environments.by_name
    if name not in names:
        raise errors.UsageError(f"no environment {name or 'given'}", f"take one of {', '.join(names)}: --env=…")


def plain(repo: Repo, name: str) -> dict[str, str]:
    """Return an environment's plain values; ConfigurationError lists every line that is wrong."""
    path = repo.plain(name)
    values, faults = dotenv.parse(_read(path))
    if faults:
        hint = "one KEY=value a line, LF at its end; no quotes, blanks or export around it"
        raise errors.ConfigurationError(f"{path.name} cannot be read", hint, [str(problem) for problem in faults])
    return values


def sealed(repo: Repo, name: str) -> dict[str, Secret]:
    """Decrypt an environment's sealed values in memory.

    Raises NotSealedError, NoIdentityError, WrongIdentityError, TamperedError, or ConfigurationError when what
    was sealed can be no key's value.
    """
    path = repo.sealed(name)
    if not path.exists():
        here = repo.environments.outside_git(name)
        hint = f"inv deploy --env={name} makes it" if here else "inv init makes it, inv encrypt fills it"
        raise errors.NotSealedError(f"{path.name} is not there", hint)
    values, faults = ciphertext.opened(repo, path.name, path.read_bytes(), identity.at_hand(repo, name))
    if faults:
        raise errors.ConfigurationError(
            f"{path.name} holds values that no key can have",
            f"inv set --env={name} --key=KEY replaces one",
            faults,
        )
    return {key: Secret(value) for key, value in values.items()}


def decrypt(repo: Repo, name: str) -> Secret:
    """Return an environment's sealed values as KEY=value lines, in the form that `inv encrypt` reads.

    A value that a line cannot hold as it is is a JSON string in double quotes.
    """
    known(repo, name)
    return Secret(dotenv.render({key: value.reveal() for key, value in sealed(repo, name).items()}))


def opened(repo: Repo, name: str) -> Environment:
    """Return the whole environment, every value checked; ConfigurationError names every problem, no value."""
    known(repo, name)
    schema = repo.schema.within(name)
    stored = Environment(name, schema, plain(repo, name), sealed(repo, name))
    urls = {
        key: value for key, value in stored.sealed.items() if key in schema.keys and _valid(schema, key, value)
    }
    parts = {key.name: key.part(urls[key.source].reveal()) for key in schema.parts(urls)}
    secrets = {**stored.sealed, **{key: Secret(part) for key, part in parts.items() if part}}
    environment = replace(stored, sealed=secrets)
    _require(environment, [*problems(environment, repo.schema), *_copies(stored)])
    return environment


def check(environment: Environment, schema: Schema) -> None:
    """Raise ConfigurationError when another schema, such as an older image's, has a key that does not fit."""
    _require(environment, _misfits(schema, environment))


def problems(environment: Environment, schema: Schema) -> list[str]:
    """Say, sorted and without a value, what does not fit: missing, extra, misplaced and refused values.

    A key of a service that exists in other environments alone may have a value: the parity gate wants it.
    """
    strangers = [name for name in {**environment.sealed, **environment.plain} if name not in schema.keys]
    return sorted(
        [*_misfits(environment.schema, environment), *(f"{name} is not in the schema" for name in strangers)]
    )


def _require(environment: Environment, faults: Iterable[str]) -> None:
    if faults := sorted(faults):
        name = environment.name
        fix = f"inv set --env={name} --key=KEY for a secret, config/{name}.env for the rest"
        raise errors.ConfigurationError(f"{name} does not fit the schema", fix, faults)


def _valid(schema: Schema, key: str, value: Secret) -> bool:
    return schema.keys[key].problem(value.reveal()) is None


def _copies(stored: Environment) -> Iterator[str]:
    for key in stored.schema.keys.values():
        if key.source and (key.name in stored.sealed or key.name in stored.plain):
            yield f"{key.name} is part of {key.source} and has no value of its own"


def _misfits(schema: Schema, environment: Environment) -> Iterator[str]:
    values = {**{key: value.reveal() for key, value in environment.sealed.items()}, **environment.plain}
    for key in schema.keys.values():
        if key.name not in values:
            if key.required:
                yield f"{key.name} is missing"
        elif key.secret and key.name in environment.plain:
            yield f"{key.name} is secret and stands in the plain file"
        elif not key.secret and key.name in environment.sealed:
            yield f"{key.name} is plain and stands in the sealed file"
        elif fault := key.problem(values[key.name]):
            yield f"{key.name} {fault}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise errors.ConfigurationError(
            f"{path.name} cannot be read", f"git checkout -- config/{path.name}"
        ) from None
