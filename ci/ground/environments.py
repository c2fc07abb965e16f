"""environments.yaml: the project's name, and what each environment is run by."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cerberus
import yaml

from ci.ground import documents

NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
LONGEST = 40  # an engine's objects are named with both, a number and a service; Docker takes 63 characters
TEMPLATE = "lockstep-template"  # the project's name before `inv init` made it somebody's own

_RULES: dict[str, Any] = {
    "project": {"type": "string", "required": True, "regex": NAME.pattern},
    "registry": {"type": "string"},
    "environments": {
        "type": "dict",
        "required": True,
        "minlength": 1,
        "keysrules": {"type": "string", "regex": NAME.pattern},
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
                "soak_minutes": {"type": "number", "min": 0},
                "keep_releases": {"type": "integer", "min": 2, "max": 100},
                "in_git": {"type": "boolean"},
                "verify": {"type": "boolean"},
                "docker": {"type": "string"},
                "address": {"type": "string"},
                "edge": {
                    "type": "dict",
                    "schema": {
                        "port": {"type": "integer", "required": True, "min": 1, "max": 65535},
                        "image": {"type": "string", "required": True},
                        "certificate": {"type": "string"},
                    },
                },
                "placement": {
                    "type": "dict",
                    "keysrules": {"type": "string"},
                    "valuesrules": {"type": "list", "schema": {"type": "string"}},
                },
                "resources": {
                    "type": "dict",
                    "keysrules": {"type": "string"},
                    "valuesrules": {
                        "type": "dict",
                        "schema": {"cpus": {"type": "number"}, "memory_mb": {"type": "integer", "min": 6}},
                    },
                },
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

    `keep_releases` is how many healthy releases a rollback can reach. `docker` is a Docker context or an
    address (`ssh://…`), empty for the engine of this machine; `address` is where the edge is reached from here.
    `placement` holds swarm constraints and `resources` limits, by service. `in_git` says whether its sealed values
    are kept in the repository; those of another are made on this machine and stay there. `verify` says whether a
    deploy ends by sending messages.
    """

    name: str
    engine: str
    follows: str | None = None
    protected: bool = False
    replicas: Mapping[str, int] = field(default_factory=dict)
    soak_minutes: float = 0
    keep_releases: int = 10
    in_git: bool = True
    verify: bool = False
    docker: str = ""
    address: str = "127.0.0.1"
    edge: Mapping[str, Any] = field(default_factory=dict)
    placement: Mapping[str, Sequence[str]] = field(default_factory=dict)
    resources: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


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
        own = [name for name in self.by_name if self.outside_git(name)]
        return own[0] if len(own) == 1 else ""

    def outside_git(self, name: str) -> bool:
        """Whether it is an environment whose sealed values are made on this machine and stay here."""
        return name in self.by_name and not self.by_name[name].in_git


def read(path: Path) -> Environments:
    """Read and check the file; an EnvironmentsError names every problem."""
    try:
        document = documents.load(path.read_bytes())
    except (OSError, yaml.YAMLError):
        raise EnvironmentsError([f"{path.name} cannot be read as YAML (aliases are not followed)"]) from None
    validator = cerberus.Validator(_RULES)
    if not isinstance(document, dict) or not validator.validate(document):
        raise EnvironmentsError(
            [f"{name}: {what}" for name, what in validator.errors.items()] or ["not a mapping"]
        )
    by_name = {name: Environment(name, **about) for name, about in document["environments"].items()}
    problems = [
        f"{one.name}: follows {one.follows}, which is no environment"
        for one in by_name.values()
        if one.follows is not None and one.follows not in by_name
    ]
    problems += [
        f"{name}: its name and the project's are together longer than {LONGEST} characters"
        for name in by_name
        if len(document["project"] + name) > LONGEST
    ]
    if problems:
        raise EnvironmentsError(problems)
    return Environments(document["project"], by_name, document.get("registry", ""))
