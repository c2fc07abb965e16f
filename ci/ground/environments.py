"""environments.yaml: the project's name, and how each environment is run."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cerberus
import yaml

from ci.ground import documents
from ci.ground.metaschema import finite

NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
LONGEST = 40  # an engine's objects are named with both, a number and a service; Docker takes 63 characters
TEMPLATE = "lockstep-template"  # the project's name until `inv init` gives it a team's

_WHOLE = rf"{NAME.pattern}\Z"  # Cerberus adds $, which a line end may follow
_RULES: dict[str, Any] = {
    "project": {"type": "string", "required": True, "regex": _WHOLE},
    "registry": {"type": "string"},
    "environments": {
        "type": "dict",
        "required": True,
        "minlength": 1,
        "keysrules": {"type": "string", "regex": _WHOLE},
        "valuesrules": {
            "type": "dict",
            "schema": {
                "engine": {"type": "string", "required": True},
                "follows": {"type": "string"},
                "protected": {"type": "boolean"},
                "replicas": {
                    "type": "dict",
                    "keysrules": {"type": "string"},
                    "valuesrules": {"type": "integer", "min": 0, "max": 1000},
                },
                "soak_minutes": {"type": "number", "min": 0, "check_with": finite},
                "keep_releases": {"type": "integer", "min": 2, "max": 100},
                "in_git": {"type": "boolean"},
            },
        },
    },
}


class EnvironmentsError(Exception):
    """environments.yaml is wrong; `problems` lists every reason."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


@dataclass(frozen=True)
class Environment:
    """How one environment is run.

    `settings` are those under the engine's name; the engine validates them. `in_git` says whether its sealed
    values are kept in the repository; if not, they are made on this machine and stay there.
    `keep_releases` is how many healthy releases a rollback can reach.
    """

    name: str
    engine: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    follows: str | None = None
    protected: bool = False
    replicas: Mapping[str, int] = field(default_factory=dict)
    soak_minutes: float = 0
    keep_releases: int = 10
    in_git: bool = True


@dataclass(frozen=True)
class Environments:
    """The project's name, its environments by name, in the file's order, and where its images are pushed."""

    project: str
    by_name: Mapping[str, Environment]
    registry: str = ""

    @property
    def in_git(self) -> list[str]:
        """The environments whose sealed values are kept in the repository."""
        return [name for name, environment in self.by_name.items() if environment.in_git]

    @property
    def default(self) -> str:
        """The environment that a command means when none is given: the one of this machine; empty without one."""
        local = [name for name in self.by_name if self.outside_git(name)]
        return local[0] if len(local) == 1 else ""

    def outside_git(self, name: str) -> bool:
        """Whether it is an environment whose sealed values are made on this machine and stay here."""
        return name in self.by_name and not self.by_name[name].in_git


def read(path: Path) -> Environments:
    """Read and check the file; an EnvironmentsError names every problem."""
    try:
        return parse(path.read_bytes(), path.name)
    except OSError:
        raise EnvironmentsError([f"{path.name} cannot be read"]) from None


def parse(data: bytes, name: str = "environments.yaml") -> Environments:
    """Return the environments that a file holds; an EnvironmentsError names every problem."""
    try:
        document = documents.load(data)
    except yaml.YAMLError:
        raise EnvironmentsError([f"{name} cannot be read as YAML (aliases are not followed)"]) from None
    if not isinstance(document, dict):
        raise EnvironmentsError(["not a mapping"])
    if unnamed := list(documents.unnamed(document)):
        raise EnvironmentsError([f"{where}: a name must be a text, write it in quotes" for where in unnamed])
    environments, settings = _split(document.get("environments"))
    validator = cerberus.Validator(_RULES)
    if "environments" in document:
        document = {**document, "environments": environments}
    if not validator.validate(document):
        raise EnvironmentsError([_with_engine(problem, environments) for problem in flat("", validator.errors)])
    by_name = {name: Environment(name, settings=settings[name], **fields) for name, fields in environments.items()}
    if problems := list(_problems(document["project"], by_name)):
        raise EnvironmentsError(problems)
    return Environments(document["project"], by_name, document.get("registry", ""))


def _with_engine(problem: str, environments: Any) -> str:
    """Name the engine beside an unknown field of an environment: the field may be another engine's settings."""
    match = re.fullmatch(r"environments\.([^.]+)\.[^.]+: unknown field", problem)
    return f"{problem}; its engine is {environments[match[1]].get('engine')}" if match else problem


def _split(document: Any) -> tuple[Any, dict[str, Any]]:
    """Return the environments without their engines' settings, and these by environment."""
    if not isinstance(document, dict):
        return document, {}
    settings, rest = {}, {}
    for name, fields in document.items():
        engine = fields.get("engine") if isinstance(fields, dict) else None
        settings[name] = fields.get(engine, {}) if isinstance(engine, str) else {}
        rest[name] = (
            {key: value for key, value in fields.items() if key != engine} if isinstance(fields, dict) else fields
        )
    return rest, settings


def _problems(project: str, by_name: Mapping[str, Environment]) -> Iterator[str]:
    for name, environment in by_name.items():
        if environment.follows is not None and environment.follows not in by_name:
            yield f"{name}: follows {environment.follows}, which is not an environment"
        if not isinstance(environment.settings, dict):
            yield f"{name}.{environment.engine}: must be a mapping, the settings of the engine"
        if len(project + name) > LONGEST:
            yield f"{name}: its name and the project's are together longer than {LONGEST} characters"


def flat(where: str, errors: Any) -> Iterator[str]:
    """Yield each of Cerberus' errors as `path: what`."""
    for key, whats in errors.items():
        place = f"{where}.{key}" if where else str(key)
        for what in whats:
            yield from flat(place, what) if isinstance(what, dict) else [f"{place}: {what}"]
