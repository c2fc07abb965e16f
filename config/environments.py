"""environments.yaml: the project's name, and what each environment is run by."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cerberus
import yaml

NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
TEMPLATE = "lockstep-template"  # the project's name before `inv init` made it somebody's own

_RULES: dict[str, Any] = {
    "project": {"type": "string", "required": True, "regex": NAME.pattern},
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
    """How one environment is run."""

    name: str
    engine: str
    follows: str | None = None
    protected: bool = False
    replicas: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Environments:
    """The project's name and its environments by name, in the file's order."""

    project: str
    by_name: Mapping[str, Environment]


def read(path: Path) -> Environments:
    """Read and check the file; an EnvironmentsError names every problem."""
    try:
        document = yaml.safe_load(path.read_bytes())
    except (OSError, yaml.YAMLError):
        raise EnvironmentsError([f"{path.name} cannot be read as YAML"]) from None
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
    if problems:
        raise EnvironmentsError(problems)
    return Environments(document["project"], by_name)
