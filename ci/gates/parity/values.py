"""What values say: each by itself, as `inv set` judges it, and against those of other environments."""

from collections.abc import Callable, Iterator, Mapping
from urllib.parse import unquote, urlsplit

from ci.gates.finding import Finding, Rule, finding
from ci.gates.parity import rules
from ci.ground.environments import Environment
from ci.ground.schema import Key, Schema
from ci.sealing import judge
from ci.sealing.judge import Kind

Values = Mapping[str, str]
Place = tuple[str, int]  # a file, and a line of it

_RULES = {
    Kind.VALUE: rules.VALUE,
    Kind.PLACEHOLDER: rules.PLACEHOLDER,
    Kind.LOCALHOST: rules.LOCALHOST,
    Kind.HOST: rules.HOST,
    Kind.CLEAR: rules.CLEAR,
}


def judged(
    environment: Environment, key: Key, value: str, others: list[str], foreign: Mapping[str, str]
) -> tuple[Rule, str] | None:
    """Say what is wrong with a value, as `inv set` does; an empty one is a finding of its line."""
    found = judge.judged(environment, key, value, others, foreign) if value else None
    return (_RULES[found.kind], found.what) if found else None


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


def material(key: Key, value: str) -> set[str]:
    """Return what is secret in a value: the password of a URL, each of several tokens, or all of it."""
    if "url" in key.rules:
        try:
            password = urlsplit(value).password
        except ValueError:
            password = None
        return {unquote(password)} if password else {value}
    return {part for part in value.split(",") if part} if key.several else {value}


def _at(rule: Rule, place: Place, message: str, key: Key) -> Finding:
    return finding(rule, place[0], message, line=place[1], key=key.name)
