"""The schema: every key with its Cerberus rules and its `meta`, and what the product declares beside them.

ci/ground/metaschema.py says what a key may say, ci/ground/services.py what else there is.
"""

import posixpath
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import cerberus
import yaml
from cerberus.errors import ErrorDefinition

from ci.ground import documents, metaschema, services
from ci.ground.metaschema import KEY_NAME, PROVIDERS, TYPES
from ci.ground.services import Image, Job, Service, Setup
from runtime import rules
from runtime.rules import explain

__all__ = [
    "KEY_NAME",
    "PATH",
    "PROVIDERS",
    "TYPES",
    "Key",
    "Schema",
    "SchemaError",
    "Validator",
    "build",
    "parse",
    "read",
]

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
        """Check that the value is a URL of one of the schemes, with a host that every client reads alike.

        The rule's arguments are validated against this schema:
        {'type': 'list', 'minlength': 1, 'schema': {'type': 'string'}}
        """
        if value is None:  # `nullable` was checked before, and skips only Cerberus' own rules
            return
        if rules.url_problem(schemes, value):
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
    def source(self) -> str:
        """The key that this one is a part of, and has its value from; empty when it has a value of its own."""
        return str(self.meta.get("part_of", "")).partition(".")[0]

    def part(self, url: str) -> str:
        """Return this key's part of its source's value; empty when that URL does not have it."""
        parts = urlsplit(url)
        found = {
            "user": unquote(parts.username or ""),
            "password": unquote(parts.password or ""),
            "host": parts.hostname or "",
            "port": str(parts.port or ""),
            "name": unquote(parts.path.removeprefix("/")),
        }
        return found[self.meta["part_of"].partition(".")[2]]

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

    @property
    def default(self) -> str | None:
        """The default as the text of an environment variable; None without one."""
        value = self.rules.get("default")
        return None if value is None else rules.text(value)

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
        if rules.unseen(text):
            return "holds a character that cannot be seen"
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
        if rule == "url":
            return rules.url_problem(self.rules[rule], value)
        return "is null, and the key is not nullable" if rule == "nullable" else explain(rule, self.rules[rule])

    @cached_property
    def _validator(self) -> Validator:
        return Validator({self.name: dict(self.rules)})


@dataclass(frozen=True)
class Schema:
    """Every key, service, job and image by name, in the file's order, and how packages are set up.

    `settings` are the product's modules that may read the environment by themselves, by their places.
    """

    keys: Mapping[str, Key]
    services: Mapping[str, Service]
    jobs: Mapping[str, Job]
    images: Mapping[str, Image]
    setup: Setup
    settings: tuple[str, ...] = ()

    @property
    def brought(self) -> set[str]:
        """The folders that a build puts the packages of images into, by hash; a commit has nothing there."""
        images = [image for image in self.images.values() if image.packages]
        return {posixpath.normpath(posixpath.join(image.context, services.PACKAGES)) for image in images}

    def of(self, reader: str) -> list[Key]:
        """Return the keys that a service reads, or a job with the keys of services."""
        services = self.jobs[reader].keys if reader in self.jobs else (reader,)
        return [key for key in self.keys.values() if not set(services).isdisjoint(key.services)]

    def secrets(self) -> list[Key]:
        """Return the keys whose values are sealed; a part of one is not sealed once more."""
        return [key for key in self.keys.values() if key.secret and not key.source]

    def parts(self, sealed: Collection[str]) -> list[Key]:
        """Return the keys that are parts of sealed ones."""
        return [key for key in self.keys.values() if key.source in sealed]

    def defaults(self) -> dict[str, str]:
        """Return the defaults, as the texts of environment variables, by key."""
        return {key.name: key.default for key in self.keys.values() if key.default is not None}

    def within(self, environment: str) -> Self:
        """Return the part that exists in an environment: services, jobs, and the keys that they read."""
        services = {name: about for name, about in self.services.items() if _exists(about, environment)}
        jobs = {
            name: about
            for name, about in self.jobs.items()
            if _exists(about, environment) and all(reader in services for reader in about.keys)
        }
        keys = {name: key for name, key in self.keys.items() if not services.keys().isdisjoint(key.services)}
        return replace(self, keys=keys, services=services, jobs=jobs)

    def setup_of(self, reader: str) -> Setup:
        """Return how the packages of a service or a job are set up, also of one that only a release still has."""
        service = self.services.get(self.jobs[reader].keys[0] if reader in self.jobs else reader)
        return (service and service.setup) or self.setup


def _exists(about: Service | Job, environment: str) -> bool:
    return not about.environments or environment in about.environments


def read(path: Path = PATH) -> Schema:
    """Read a schema and check all of it, with `meta`; a SchemaError names every problem."""
    try:
        return parse(path.read_bytes(), path.name)
    except OSError as error:
        raise SchemaError([f"{path.name} cannot be read: {error.strerror}"]) from None


def parse(data: bytes, name: str = PATH.name) -> Schema:
    """Return the schema that a file holds; a SchemaError names every problem."""
    try:
        document = documents.load(data)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise SchemaError([f"{name} cannot be read as YAML (aliases are not followed){where}"]) from None
    known = (*metaschema.PARTS, "setup", "settings")
    if not isinstance(document, dict) or not {"services", "keys"} <= document.keys() <= set(known):
        raise SchemaError([f"{name} must hold services and keys, may hold {', '.join(known[2:])}, nothing else"])
    return build(document)


def build(document: Mapping[str, Any]) -> Schema:
    """Make the schema of a document; a SchemaError names every problem."""
    if wrong := [name for name, part in document.items() if name != "settings" and not isinstance(part, dict)]:
        raise SchemaError([f"{', '.join(wrong)} must be mappings"])
    if problems := metaschema.problems(document):
        raise SchemaError(problems)
    keys = [
        Key(name, {rule: value for rule, value in rules.items() if rule != "meta"}, rules["meta"])
        for name, rules in document["keys"].items()
    ]
    defaults = ((key, key.breach(key.rules["default"])) for key in keys if "default" in key.rules)
    if problems := [f"{key.name}: the default {breach}" for key, breach in defaults if breach]:
        raise SchemaError(problems)
    declared = services.read(document)
    return Schema({key.name: key for key in keys}, **vars(declared))
