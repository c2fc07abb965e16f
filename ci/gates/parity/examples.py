"""Examples and templates of the schema that hold what may be a real secret: everybody reads the schema."""

import re
import string
from collections.abc import Iterator, Mapping
from itertools import pairwise
from urllib.parse import unquote, urlsplit

from ci.gates.finding import Finding, finding
from ci.gates.parity import rules
from ci.ground.schema import Key, Schema

_PLACE = "config/schema.yaml"
_WORDS = re.compile(  # what people write where a secret belongs
    r"(?i)x{3,}|(.)\1{3,}|pass(?:word|wd|phrase)?|secret|token|example|sample|placeholder|change[-_. ]?me|your"
    r"|dummy|credentials?|private|public|begin|end|0123456789|123456789?|abcdef(?:ghij)?|api|key|value|user|test|fake|here"
)
_LONG, _VARIED = 8, 10  # characters of what may be random, and different ones of what is in small letters alone
_CHANGES = 3  # from small letters to capitals and back, of what is not words put together


def look(schema: Schema, lines: Mapping[str, int], shared: list[str]) -> Iterator[Finding]:
    """Yield each key whose example or template may hold a secret; `shared` are environments that are in git."""
    for key in schema.keys.values():
        for text in (key.meta["example"], key.default or "", *_literals(key)):
            if any(map(_is_random, re.split(r"[\s,:;@/]+", _secret(key, text)))):
                yield _at(key, lines, "has an example or a template that may be a real secret")
                break
        else:
            if key.secret and any(_is_constant(key, template) for template in _templates(key, shared)):
                yield _at(key, lines, "has a template that makes the same secret for everybody")


def _at(key: Key, lines: Mapping[str, int], message: str) -> Finding:
    return finding(rules.REAL, _PLACE, message, key=key.name, line=lines.get(key.name, 1))


def _templates(key: Key, environments: list[str]) -> list[str]:
    """Return what makes a key's value in these environments."""
    return [template for name in environments if (template := key.generator(name))]


def _literals(key: Key) -> Iterator[str]:
    """Yield what is written out in each of a key's templates."""
    template = key.meta.get("generate", "")
    for each in template.values() if isinstance(template, dict) else [template]:
        yield "".join(literal + ("x" if field is not None else "") for literal, field, _, _ in _parsed(each))


def _is_constant(key: Key, template: str) -> bool:
    fields = {field for _, field, _, _ in _parsed(_secret(key, template) or template)}
    return fields.isdisjoint({"token", "hex"})


def _parsed(template: str) -> list[tuple[str, str | None, str | None, str | None]]:
    return list(string.Formatter().parse(template))


def _secret(key: Key, text: str) -> str:
    """Return what may be secret in a text: the password of a URL, and of a secret key all of what is no URL."""
    if "://" not in text:
        return text if key.secret else ""
    try:
        return unquote(urlsplit(text).password or "")
    except ValueError:
        return text


def _is_random(text: str) -> bool:
    """Whether a text, without the words that stand for a secret, looks like something that a machine made."""
    left = re.sub(r"[\W_]", "", _WORDS.sub("", text))
    if len(left) < _LONG:
        return False
    letters = "".join(character for character in left if character.isalpha())
    changes = sum(before.isupper() != after.isupper() for before, after in pairwise(letters))
    digits = len(left) - len(letters)
    return bool(digits) or changes > _CHANGES or (len(left) >= 2 * _LONG and len(set(left)) >= _VARIED)
