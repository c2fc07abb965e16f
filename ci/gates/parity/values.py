"""What values say: those that the schema refuses, placeholders, and those of another environment."""

import re
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import unquote, urlsplit

from ci.gates.finding import Finding, Rule, finding
from ci.gates.parity import rules
from ci.ground.environments import Environment
from ci.ground.schema import Key, Schema

Values = Mapping[str, str]
Place = tuple[str, int]  # a file, and a line of it

_PLACEHOLDER = re.compile(
    r"""(?ix)
    change[-_. ]?me | replace[-_. ]?(?:me|this|with) | fill[-_. ]?(?:me|this)[-_. ]?in | fix[-_. ]?me
    | (?<![a-z0-9])(?:todo|tbd|placeholder)(?![a-z0-9]) | \A(?:your|insert)[-_. ] | [-_./@:]your[-_.]
    | x{5,} | \.{3} | \*{3} | \A(?:none|null|nil|undefined|n/a|dummy|-+|\?+|_+)\Z
    | <[^<>]+> | \$\{ | \$\( | \{\{ | \A\$[A-Z_]+\Z | \A%[A-Z_]+%\Z
    """
)
_LOCALHOST = re.compile(
    r"(?i)(?<![\w.-])(?:localhost(?:\.localdomain)?|127(?:\.[0-9]{1,3}){3}|host\.docker\.internal)(?![\w-]|\.\w)"
    r"|\[(?:0*:)*0*1\]|\A(?:0*:)+0*1\Z"
)
_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_NAMES = {  # what hosts call the environments that many projects have
    "local": ("localdev",),
    "dev": ("development",),
    "staging": ("stage", "stg"),
    "prod": ("production", "prd"),
}
_DOMAINS = frozenset({"dev", "local", "test"})  # top-level domains that read like environments


def judged(key: Key, value: str) -> tuple[Rule, str] | None:
    """Say what is wrong with a value by itself, without repeating it."""
    if not value:
        return None  # a finding of its line
    if "allowed" not in key.rules and "\n" not in value and _PLACEHOLDER.search(value):
        return rules.PLACEHOLDER, "only stands for a value"
    problem = key.problem(value)
    return (rules.VALUE, problem) if problem else None


def everywhere(schema: Schema, values: Mapping[str, Values], at: Callable[[str, str], Place]) -> Iterator[Finding]:
    """Yield what breaks same_everywhere and differs_everywhere; `at` returns the place of an environment's key."""
    for key in schema.keys.values():
        having = {name: entries[key.name] for name, entries in values.items() if key.name in entries}
        first: dict[str, str] = {}
        for name, value in having.items():
            other = first.setdefault(value, name)
            if key.meta.get("differs_everywhere") and other != name:
                yield _at(rules.DIFFERS, at(name, key.name), f"is the same as in {other}", key)
        if key.meta.get("same_everywhere") and len(first) > 1:
            usual = max(first, key=list(having.values()).count)
            for name, value in having.items():
                if value != usual:
                    yield _at(rules.SAME, at(name, key.name), f"differs from {first[usual]}", key)


def pointing(
    environment: Environment, value: str, others: list[str], foreign: Mapping[str, str]
) -> tuple[Rule, str] | None:
    """Say whether a value points at another environment; `foreign` has the hosts that only another one has."""
    if _LOCALHOST.search(value):
        return rules.LOCALHOST, "points at the machine itself"
    for host in hosts(value):
        if host in foreign:
            return rules.HOST, f"points at a host of {foreign[host]}"
        labels = _labels(host)
        if labels.isdisjoint(_aliases(environment.name)):
            whose = next((name for name in others if not labels.isdisjoint(_aliases(name))), None)
            if whose:
                return rules.HOST, f"points at a host of {whose}"
    return None


def foreign(schema: Schema, values: Mapping[str, Values], name: str) -> dict[str, str]:
    """Return the hosts that other environments have in keys that differ everywhere, and whose each is."""
    own = {key.name for key in schema.keys.values() if key.meta.get("differs_everywhere")}
    mine = {host for key in own for host in hosts(values.get(name, {}).get(key, ""))}
    return {
        host: other
        for other, entries in values.items()
        if other != name
        for key in own
        for host in hosts(entries.get(key, ""))
        if "." in host and host not in mine
    }


def hosts(value: str) -> set[str]:
    """Return what may be a host in a value: of a URL, of an address, or the whole of it."""
    names = set()
    for part in re.split(r"[,\s]", value.lower()):
        try:
            host = urlsplit(part).hostname if "://" in part else part.rpartition("@")[2].partition(":")[0]
        except ValueError:
            host = None
        if host and _HOST.fullmatch(host) and ("://" in part or "." in host or "-" in host):
            names.add(host.rstrip("."))
    return names


def material(key: Key, value: str) -> set[str]:
    """Return what is secret in a value: the password of a URL, each of several tokens, or all of it."""
    if "url" in key.rules:
        try:
            password = urlsplit(value).password
        except ValueError:
            password = None
        return {unquote(password)} if password else {value}
    return {part for part in value.split(",") if part} if key.several else {value}


def _labels(host: str) -> set[str]:
    labels = host.split(".")
    if len(labels) > 1 and labels[-1] in _DOMAINS:
        labels.pop()
    return {part for label in labels for part in re.split(r"[-_]", label)} | set(labels)


def _aliases(name: str) -> set[str]:
    return {name, *_NAMES.get(name, ())}


def _at(rule: Rule, place: Place, message: str, key: Key) -> Finding:
    return finding(rule, place[0], message, line=place[1], key=key.name)
