"""The schema: every key, its Cerberus rules and what `meta` may say about it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cerberus
import yaml
from cerberus.errors import ErrorDefinition

from ci.ground import documents

PATH = Path(__file__).parents[2] / "config/schema.yaml"
TYPES = {"string": str, "integer": int, "float": float, "boolean": bool}
PROVIDERS = ("generated", "manual", "postgres", "redis", "sandbox", "twilio")
BAD_URL = ErrorDefinition(0x100, "url")  # Cerberus leaves the codes from 0x100 to its users
KEY_NAME = re.compile(r"[A-Z][A-Z0-9_]*")

_NUMBER = {"integer": re.compile(r"[+-]?[0-9]+"), "float": re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")}
_META: dict[str, Any] = {
    "services": {"type": "list", "required": True, "minlength": 1, "schema": {"type": "string"}},
    "description": {"type": "string", "required": True, "empty": False},
    "example": {"type": "string", "required": True, "empty": False},
    "secret": {"type": "boolean"},
    "generate": {"type": ["string", "dict"]},
    "rotate_days": {"type": "integer", "min": 1},
    "provider": {"type": "string"},
    "several": {"type": "boolean"},
    "same_everywhere": {"type": "boolean", "excludes": "differs_everywhere"},
    "differs_everywhere": {"type": "boolean", "excludes": "same_everywhere"},
}


class SchemaError(Exception):
    """The schema itself is wrong; `problems` lists every reason, sorted."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = sorted(problems)
        super().__init__("\n".join(self.problems))


class Validator(cerberus.Validator):  # type: ignore[misc]
    """Cerberus with one more rule: `url`, the schemes that a URL may have."""

    def _validate_url(self, schemes: list[str], field: str, value: str) -> None:
        """Check that the value is a URL of one of the schemes, with a host.

        The rule's arguments are validated against this schema:
        {'type': 'list', 'minlength': 1, 'schema': {'type': 'string'}}
        """
        try:
            parts = urlsplit(value)
            good = parts.scheme in schemes and parts.hostname and parts.port != 0
        except ValueError:
            good = False
        if not good or any(c.isspace() for c in value):
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
        if not _NUMBER[kind].fullmatch(text) or not text.isascii():
            raise ValueError("is not a whole number" if kind == "integer" else "is not a number")
        return TYPES[kind](text)

    def problem(self, text: str) -> str | None:
        """Say what is wrong with the text of a value, without repeating it; None when it is good."""
        if not text:
            return "is empty"
        try:
            value = self.parse(text)
        except ValueError as error:
            return str(error)
        if self._validator.validate({self.name: value}):
            return None
        rule = self._validator._errors[0].rule  # noqa: SLF001, the rendered errors would hold the value
        return _explain(rule, self.rules)

    @cached_property
    def _validator(self) -> Validator:
        return Validator({self.name: dict(self.rules)})


def _explain(rule: str, rules: Mapping[str, Any]) -> str:
    bound = rules.get(rule)
    match rule:
        case "regex":
            return f"does not match {bound}"
        case "allowed":
            return "is none of " + ", ".join(map(str, bound or ()))
        case "min" | "minlength":
            return f"is below {bound}" if rule == "min" else f"is shorter than {bound} characters"
        case "max" | "maxlength":
            return f"is above {bound}" if rule == "max" else f"is longer than {bound} characters"
        case "url":
            return "is not a URL that starts with " + " or ".join(f"{scheme}://" for scheme in bound or ())
        case _:
            return f"breaks the rule {rule}"


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
    """Read the schema and check it whole, `meta` too; a SchemaError names every problem."""
    document = parse(path, documents.load)
    problems = [
        problem for name, rules in document["keys"].items() for problem in _problems(name, rules, document)
    ]
    if problems:
        raise SchemaError(problems)
    return build(document)


def _trusted(data: bytes) -> Any:
    return yaml.load(data, Loader=documents.LOADER)  # noqa: S506, it is a safe one


def parse(path: Path = PATH, load: Callable[[bytes], Any] = _trusted) -> dict[str, Any]:
    """Return the YAML document; a SchemaError when it is no mapping of `services` and `keys`.

    A service starts with the file of its own image, which needs no second look.
    """
    try:
        document = load(path.read_bytes())
    except (OSError, yaml.YAMLError):
        raise SchemaError([f"{path.name} cannot be read as YAML (aliases are not followed)"]) from None
    shape = isinstance(document, dict) and document.keys() == {"services", "keys"}
    if not shape or not all(isinstance(part, dict) for part in document.values()):
        raise SchemaError([f"{path.name} must hold two mappings, services and keys, and nothing else"])
    return dict(document)


def build(document: Mapping[str, Any]) -> Schema:
    """Make the schema of a parsed document that is known to be good."""
    keys = {
        name: Key(name, {rule: value for rule, value in rules.items() if rule != "meta"}, rules["meta"])
        for name, rules in document["keys"].items()
    }
    return Schema(keys, {name: about["module"] for name, about in document["services"].items()})


def _problems(name: str, rules: Any, document: Mapping[str, Any]) -> list[str]:
    if not isinstance(name, str) or not KEY_NAME.fullmatch(name):
        return [f"{name}: a key is named in capitals, digits and _"]
    if not isinstance(rules, dict) or not isinstance(rules.get("meta"), dict):
        return [f"{name}: needs rules and a meta mapping"]
    if rules.get("type") not in TYPES:
        return [f"{name}: type must be one of {', '.join(TYPES)}"]
    try:
        Validator({name: rules})
    except cerberus.SchemaError:
        return [f"{name}: a rule is unknown to Cerberus or has the wrong kind of argument"]
    meta, checker = rules["meta"], cerberus.Validator(_META)
    problems = [] if checker.validate(meta) else [f"{name}: meta {k}: {v}" for k, v in checker.errors.items()]
    if "regex" in rules:
        try:
            re.compile(rules["regex"])
        except re.error as error:
            problems.append(f"{name}: regex does not compile, {error}")
    problems += [
        f"{name}: meta services names {service}, which is no service"
        for service in meta.get("services") or ()
        if service not in document["services"]
    ]
    provider = meta.get("provider")
    if provider is not None and provider not in PROVIDERS and provider not in document["keys"]:
        problems.append(f"{name}: meta provider is none of {', '.join(PROVIDERS)}, nor a key that names one")
    if meta.get("secret") and "default" in rules:
        problems.append(f"{name}: a secret cannot have a default, it would stand here in clear")
    return problems
