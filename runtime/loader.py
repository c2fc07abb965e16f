"""The one way in: a service's keys from the environment, checked, typed, frozen."""

import os
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from ci.ground import schema as schemas
from runtime.keys import Keys
from runtime.secret import Secret

NEAR = 0.86  # a name of ten letters with one dropped, doubled or swapped scores above this


class ConfigError(Exception):
    """A service cannot start with this environment; `problems` names every key, and no value."""

    def __init__(self, service: str, problems: Iterable[str]) -> None:
        self.service = service
        self.problems = sorted(problems)
        lines = "".join(f"\n  {problem}" for problem in self.problems)
        super().__init__(f"{service} cannot start, its configuration has problems:{lines}")


class Config(Keys):
    """The values of one service's keys as attributes in lower case; secrets wrapped, all frozen."""

    def __init__(self, service: str, values: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_service", service)
        for name, value in values.items():
            object.__setattr__(self, name.lower(), value)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"config is frozen, {name} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"config is frozen, {name} cannot be deleted")

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"no key {name.upper()} for the service {self.__dict__.get('_service')}")

    def __repr__(self) -> str:
        shown = (f"{name}={value!r}" for name, value in sorted(vars(self).items()) if name != "_service")
        return f"Config({self.__dict__.get('_service')}: {', '.join(shown)})"


def load(service: str, environ: Mapping[str, str] = os.environ) -> Config:
    """Return the config of `service`, made of nothing but `environ`.

    Only keys that name the service are read. Types are strict (`true`/`false`, decimal numbers). Raises
    ConfigError with every problem at once, names only; a name that is nearly right is pointed out.
    """
    schema = schemas.build(schemas.parse())
    if service not in schema.services:
        raise ConfigError(service, [f"{service} is no service, those are {', '.join(schema.services)}"])
    values: dict[str, Any] = {}
    problems: list[str] = []
    for key in schema.of(service):
        text = environ.get(key.name)
        if text is None:
            other = near(key.name, (one for one in environ if one not in schema.keys))
            if key.required or other:
                hint = f", {other} is set, did you mean {key.name}?" if other else ""
                problems.append(f"{key.name} is not set{hint}")
            else:
                values[key.name] = key.rules["default"]
        elif problem := ("is not UTF-8" if _broken(text) else key.problem(text)):
            problems.append(f"{key.name} {problem}")
        else:
            values[key.name] = Secret(text) if key.secret else key.parse(text)
    if problems:
        raise ConfigError(service, problems)
    return Config(service, values)


def _broken(text: str) -> bool:
    """Whether bytes that are no UTF-8 came through as lone surrogates."""
    return any("\ud800" <= c <= "\udfff" for c in text)


def near(name: str, others: Iterable[str]) -> str | None:
    """Return the one of the others that is nearly this name, if there is one."""
    import difflib  # noqa: PLC0415, only what fails pays for it

    found = difflib.get_close_matches(name, list(others), n=1, cutoff=NEAR)
    return found[0] if found else None
