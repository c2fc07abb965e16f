"""The schema: every key, its Cerberus rules and its `meta`; ci/ground/metaschema.py says what these may be."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cerberus
import yaml
from cerberus.errors import ErrorDefinition

from ci.ground import documents, metaschema
from ci.ground.metaschema import KEY_NAME, PROVIDERS, TYPES
from runtime.rules import explain

__all__ = ["KEY_NAME", "PATH", "PROVIDERS", "TYPES", "Key", "Schema", "SchemaError", "Validator", "build", "read"]

PATH = Path(__file__).parents[2] / "config/schema.yaml"
BAD_URL = ErrorDefinition(0x100, "url")  # Cerberus leaves the codes from 0x100 to its users
_NUMBER = {"integer": re.compile(r"[+-]?[0-9]+"), "float": re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")}


class SchemaError(Exception):
    """The schema itself is wrong; `problems` lists every reason, sorted."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = sorted(problems)
        super().__init__("\n".join(self.problems))


class Validator(cerberus.Validator):  # type: ignore[misc]
    """Cerberus with one more rule: `url`, the schemes that a URL may have."""

    def _validate_url(self, schemes: list[str], field: str, value: str | None) -> None:
        """Check that the value is a URL of one of the schemes, with a host.

        The rule's arguments are validated against this schema:
        {'type': 'list', 'minlength': 1, 'schema': {'type': 'string'}}
        """
        if value is None:  # `nullable` was checked before, and skips only Cerberus' own rules
            return
        try:
            parts = urlsplit(value)
            valid = parts.scheme in schemes and parts.hostname and parts.port != 0
        except ValueError:
            valid = False
        if not valid or any(c.isspace() for c in value):
            self._error(field, BAD_URL)


@dataclass(frozen=True)
class Key:
    """One key of the schema: its Cerberus rules without `meta`, and `meta`."""

    name: str
    rules: Mapping[str, Any]
    meta: Mapping[str, Any]

    @property
    def secret(self) -> bool:
        """Whether the value may only be stored sealed."""
        return bool(self.meta.get("secret"))

    @property
    def several(self) -> bool:
        """Whether the value is a list, separated by commas, of which each is valid."""
        return bool(self.meta.get("several"))

    @property
    def services(self) -> tuple[str, ...]:
        """The services that get the value."""
        return tuple(self.meta["services"])

    @property
    def required(self) -> bool:
        """Whether a value must be set."""
        return "default" not in self.rules

    def generator(self, environment: str) -> str | None:
        """Return the template that `inv init` and a first local deploy fill in, if this key has one."""
        template = self.meta.get("generate")
        return template.get(environment) if isinstance(template, dict) else template

    def parse(self, text: str) -> Any:
        """Turn the text of a value into its type, strictly; a ValueError says what it is not."""
        kind = self.rules["type"]
        if kind == "boolean":
            if text not in ("true", "false"):
                raise ValueError("is neither true nor false")
            return text == "true"
        if kind == "string":
            return text
        if not _NUMBER[kind].fullmatch(text):
            raise ValueError("is not a whole number" if kind == "integer" else "is not a number")
        try:
            return TYPES[kind](text)
        except ValueError:
            raise ValueError("has too many digits") from None

    def problem(self, text: str) -> str | None:
        """Say what is wrong with the text of a value, without repeating it; None when it is good."""
        if not text:
            return "is empty"
        try:
            value = self.parse(text)
        except ValueError as error:
            return str(error)
        return self.breach(value)

    def breach(self, value: Any) -> str | None:
        """Say which rule a value of the right type breaks, by Cerberus; None when it breaks none."""
        if self._validator.validate({self.name: value}, normalize=False):
            return None
        rule = self._validator._errors[0].rule  # noqa: SLF001, the rendered errors would hold the value
        return "is null, and the key is not nullable" if rule == "nullable" else explain(rule, self.rules[rule])

    @cached_property
    def _validator(self) -> Validator:
        return Validator({self.name: dict(self.rules)})


@dataclass(frozen=True)
class Schema:
    """Every key by name, in the file's order, and every service with the module that it runs."""

    keys: Mapping[str, Key]
    services: Mapping[str, str]

    def of(self, service: str) -> list[Key]:
        """Return the keys that name this service."""
        return [key for key in self.keys.values() if service in key.services]

    def secrets(self) -> list[Key]:
        """Return the keys whose values are sealed."""
        return [key for key in self.keys.values() if key.secret]


def read(path: Path = PATH) -> Schema:
    """Read a schema and check all of it, with `meta`; a SchemaError names every problem."""
    try:
        document = documents.load(path.read_bytes())
    except OSError as error:
        raise SchemaError([f"{path.name} cannot be read: {error.strerror}"]) from None
    except yaml.YAMLError:
        raise SchemaError([f"{path.name} cannot be read as YAML (aliases are not followed)"]) from None
    shape = isinstance(document, dict) and document.keys() == {"services", "keys"}
    if not shape or not all(isinstance(part, dict) for part in document.values()):
        raise SchemaError([f"{path.name} must hold two mappings, services and keys, and nothing else"])
    return build(document)


def build(document: Mapping[str, Mapping[str, Any]]) -> Schema:
    """Make the schema of a mapping of services and one of keys; a SchemaError names every problem."""
    if problems := metaschema.problems(document):
        raise SchemaError(problems)
    keys = [
        Key(name, {rule: value for rule, value in rules.items() if rule != "meta"}, rules["meta"])
        for name, rules in document["keys"].items()
    ]
    defaults = ((key, key.breach(key.rules["default"])) for key in keys if "default" in key.rules)
    if problems := [f"{key.name}: the default {breach}" for key, breach in defaults if breach]:
        raise SchemaError(problems)
    modules = {name: service["module"] for name, service in document["services"].items()}
    return Schema({key.name: key for key in keys}, modules)
