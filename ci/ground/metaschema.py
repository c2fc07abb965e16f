"""The schema of the schema: which rules a key may have, and what its `meta` may say.

The rules are a closed set of Cerberus' own, and `url`: runtime/rules.py judges by them without Cerberus.
"""

import functools
import keyword
import math
import re
import string
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import cerberus

from ci.ground import services

TYPES = {"string": str, "integer": int, "float": float, "boolean": bool}
RULES = ("type", "allowed", "regex", "min", "max", "minlength", "maxlength", "nullable", "url", "default")
PARTS = ("services", "keys", "jobs", "images")  # of schema.yaml: mappings by name; the first two are always there
PROVIDERS = ("generated", "manual", "postgres", "redis")
SCHEMES = {  # of the URLs whose passwords a provider replaces
    "postgres": {"postgres", "postgresql"},
    "redis": {"redis", "rediss"},
}
KEY_NAME = re.compile(r"[A-Z][A-Z0-9_]*")


def finite(field: str, value: Any, error: Callable[[str, str], None]) -> None:
    """Refuse true, .inf, .nan and what is too large for a float: Cerberus takes them for numbers."""
    if value is None:  # `nullable` was checked before
        return
    try:
        finite = math.isfinite(value) and not isinstance(value, bool)
    except OverflowError:
        finite = False
    if not finite:
        error(field, "must be a finite number")


_VALUES: Mapping[str, Any] = {
    "string": {"type": "string", "empty": False},
    "integer": {"type": "integer", "check_with": finite},
    "float": {"type": "float", "check_with": finite},
    "boolean": {"type": "boolean"},
}
_LENGTH = {**_VALUES["integer"], "min": 0}
_SCHEME = {"type": "string", "regex": "[a-z][a-z0-9+.-]*\\Z"}
_RANGE = {"min": _VALUES["float"], "max": _VALUES["float"]}
_BOUNDS: Mapping[str, Any] = {
    "string": {
        "regex": {"type": "string"},
        "minlength": _LENGTH,
        "maxlength": _LENGTH,
        "url": {"type": "list", "minlength": 1, "schema": _SCHEME},
    },
    "integer": _RANGE,
    "float": _RANGE,
    "boolean": {},
}
_META: Mapping[str, Any] = {
    "services": {"type": "list", "required": True, "minlength": 1, "schema": {"type": "string"}},
    "description": {"type": "string", "required": True, "empty": False},
    "example": {"type": "string", "required": True, "empty": False},
    "secret": {"type": "boolean"},
    "generate": {"type": ["string", "dict"]},
    "rotate_days": {"type": "integer", "min": 1},
    "provider": {"type": "string"},
    "several": {"type": "boolean"},
    "checked_at": {"type": "string", "empty": False},
    "part_of": {"type": "string", "excludes": ["generate", "provider", "rotate_days", "several", "checked_at"]},
    "same_everywhere": {"type": "boolean", "excludes": "differs_everywhere"},
    "differs_everywhere": {"type": "boolean", "excludes": "same_everywhere"},
}
PARTS_OF_A_URL = ("user", "password", "host", "port", "name")
_FILLED = {"token", "hex", "port", None}  # None: text alone


def problems(document: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a document that has the parts of schema.yaml."""
    keys = document["keys"].items()
    faults = list(services.problems(document, _differences))
    faults += [problem for name, rules in keys for problem in _shape(name, rules)]
    if faults:
        return faults
    faults = list(services.contradictions(document))
    return faults + [problem for name, rules in keys for problem in _sense(name, rules, document)]


def _shape(name: Any, rules: Any) -> Iterable[str]:
    """Return what keeps a key from being read: its name, an unknown rule, an argument of the wrong kind."""
    if not isinstance(name, str) or not KEY_NAME.fullmatch(name):
        return [f"{name}: a key is named in capitals, digits and _"]
    if keyword.iskeyword(name.lower()):
        return [f"{name}: {name.lower()} is a word of Python's own, which no attribute can have as its name"]
    if not isinstance(rules, dict) or not isinstance(rules.get("meta"), dict):
        return [f"{name}: needs rules and a meta mapping"]
    kind = rules.get("type")
    if not isinstance(kind, str) or kind not in TYPES:
        return [f"{name}: type must be one of {', '.join(TYPES)}"]
    if unknown := [rule for rule in rules if rule not in (*RULES, "meta")]:
        return [f"{name}: compiled keys know only {', '.join(RULES)}; not {rule}" for rule in unknown]
    return [*_differences(f"{name}: ", _rules(kind), rules), *_differences(f"{name}: meta ", _META, rules["meta"])]


def _sense(name: str, rules: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what contradicts itself in a key that can be read."""
    meta = rules["meta"]
    try:
        re.compile(rules.get("regex", ""))
    except (re.error, OverflowError, RecursionError) as error:
        yield f"{name}: regex does not compile, {error}"
    for service in meta["services"]:
        if service not in document["services"]:
            yield f"{name}: meta services names {service}, which is no service"
    provider = meta.get("provider", "manual")
    if provider not in (*PROVIDERS, *document.get("jobs", ())):
        yield f"{name}: meta provider is none of {', '.join(PROVIDERS)}, nor a job"
    schemes = {scheme.partition("+")[0] for scheme in rules.get("url", ())}  # postgresql+asyncpg names a driver
    if provider in SCHEMES and not schemes & SCHEMES[provider]:
        yield f"{name}: meta provider {provider} needs a url of {' or '.join(sorted(SCHEMES[provider]))}"
    generate = meta.get("generate", "")
    for template in generate.values() if isinstance(generate, dict) else [generate]:
        fields = _fields(template)
        if fields is None or not fields <= _FILLED:
            yield f"{name}: meta generate takes a text, with {{token}}, {{hex}} and {{port}} and no other braces"
        elif "port" in fields and "url" not in rules:
            yield f"{name}: meta generate has {{port}}, the port of a server, and the rule url is missing"
    yield from _part(name, rules, document["keys"])
    if meta.get("secret") and rules.get("default") is not None:
        yield f"{name}: a secret cannot have a default but null, it would stand here in clear"


def _part(name: str, rules: Mapping[str, Any], keys: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a key whose value is a part of another key's."""
    if "part_of" not in rules["meta"]:
        return
    source, _, part = rules["meta"]["part_of"].partition(".")
    if part not in PARTS_OF_A_URL:
        yield f"{name}: meta part_of is KEY.PART, PART one of {', '.join(PARTS_OF_A_URL)}"
    if source not in keys or not keys[source]["meta"].get("secret") or "url" not in keys[source]:
        yield f"{name}: meta part_of names {source}, which is not a secret key with the rule url"
    if not rules["meta"].get("secret"):
        yield f"{name}: a part of a secret is secret"


def _fields(template: Any) -> set[str | None] | None:
    """Return what a template of `generate` has in braces; None when it is not one."""
    try:
        return {name for _, name, _, _ in string.Formatter().parse(template)}
    except (TypeError, ValueError):
        return None


@functools.cache
def _rules(kind: str) -> Mapping[str, Any]:
    """Return what the rules of a key of this type may be."""
    value = _VALUES[kind]
    return {
        "type": {},
        "meta": {},
        "nullable": {"type": "boolean"},
        "allowed": {"type": "list", "minlength": 1, "schema": value},
        "default": {**value, "nullable": True},
        **_BOUNDS[kind],
    }


def _differences(start: str, rules: Mapping[str, Any], actual: Mapping[str, Any]) -> Iterator[str]:
    if unnamed := [name for name in actual if not isinstance(name, str)]:
        yield from (f"{start}{name}: unknown field" for name in unnamed)
        return
    checker = cerberus.Validator(rules)
    checker.validate(actual, normalize=False)
    for field, errors in checker.errors.items():
        yield f"{start}{field}: {'; '.join(_words(errors))}"


def _words(errors: Iterable[Any]) -> Iterator[str]:
    """Yield the words of Cerberus' errors, with those of a list's members."""
    for error in errors:
        if isinstance(error, dict):
            for inner in error.values():
                yield from _words(inner)
        else:
            yield str(error)
