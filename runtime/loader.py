"""The one way in: a service's keys from the environment, checked, typed, frozen."""

from __future__ import annotations

import os

from runtime import rules
from runtime.secret import Secret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, NoReturn

    from runtime.keys import Keys
else:
    Keys = object  # ci imports this module, and must run where runtime/keys.py is missing or broken

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
    from runtime.keys import KEYS, SERVICES  # noqa: PLC0415, as for Keys above

    if service not in SERVICES:
        raise ConfigError(service, [f"{service} is no service, those are {', '.join(SERVICES)}"])
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, key in KEYS.items():
        if service not in key["services"]:
            continue
        text = environ.get(name)
        problem = _absence(name, key, environ) if text is None else _problem(key, text)
        if problem:
            problems.append(f"{name} {problem}")
        else:
            values[name] = key["default"] if text is None else _value(key, text)
    if problems:
        raise ConfigError(service, problems)
    return Config(service, values)


def near(name: str, others: Iterable[str]) -> str | None:
    """Return the one of the others that is nearly this name, if there is one."""
    import difflib  # noqa: PLC0415, only what fails pays for it

    matches = difflib.get_close_matches(name, list(others), cutoff=NEAR)
    return matches[0] if matches else None


def _absence(name: str, key: Mapping[str, Any], environ: Mapping[str, str]) -> str | None:
    """Say why a key may not be absent: it has no default, or a variable's name is a slip of its name."""
    from runtime.keys import KEYS  # noqa: PLC0415, as for Keys above

    slip = near(name, (variable for variable in environ if variable not in KEYS))
    if slip:
        return f"is not set, {slip} is set, did you mean {name}?"
    return None if "default" in key else "is not set"


def _value(key: Mapping[str, Any], text: str) -> Any:
    return Secret(text) if key.get("secret") else rules.parse(key["type"], text)


def _problem(key: Mapping[str, Any], text: str) -> str | None:
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes that are not UTF-8 are lone surrogates in os.environ
        return "is not UTF-8"
    return rules.problem(key, text)
