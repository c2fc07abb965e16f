"""Whether a name and a value are a leak: the one judge of what every finder and engine finds.

A value is dismissed only when it is wholly something else: a placeholder, a reference, a name, a type, prose, or
public by nature.
"""

import base64
import re
import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from ci.gates.finding import Rule
from ci.gates.leaks import rules, values
from ci.gates.leaks.names import Kind, kind, open_name
from ci.ground.schema import Key

LEAST = {Kind.PASSWORD: 4, Kind.SECRET: 6, Kind.KEY: 16}  # characters of a value, by what its name says
LONGEST = 4096  # of a value that are judged: no password is longer, and the time of a pattern grows with it
LONG = 16  # characters that one line has at least, of several that are a secret
_TEMPLATE = re.compile(r"%[sdv]|\.(?:pem|key|crt|cert|json|ya?ml|tsx?|jsx?|py|go)\b")
_LISTED = re.compile(r"\w,\w+=\w|^\w+,\d+,")  # options of a declaration, such as a tag of Go's
_GENERATED = re.compile(r"\{(?:secrets|uuid|random|token|os\.urandom)")
# What stands for a password in documentation and tests.
_COMMON = frozenset(
    (  # noqa: SIM905, as a list it is sixty lines
        "user username pass password passwd pwd pw secret token test tester testing guest root admin postgres mysql redis rabbit"
        " rabbitmq example foo bar baz bob alice joe jdoe changeme changeit tiger scott mypass mypassword userpass dbpass letmein"
        " hello world name login auth pass1 pass123 passw0rd hunter2 s3cr3t p4ssw0rd p@ssw0rd p@ssword pass:word u p x xx xxx a b"
        " c abc"
    ).split()
)


@dataclass(frozen=True)
class Candidate:
    """A name and a value that may be a leak, and where they are.

    `line` and `last` are counted from 0. `bare` says that the value had no quotes, `literal` that no code can
    stand at its place, as in an env file, and `first` that it is the first line of several.
    """

    rule: Rule
    name: str
    value: str
    line: int
    last: int
    bare: bool = False
    literal: bool = True
    first: bool = False


class Judge:
    """Knows names and values, and what the schema says of its keys: examples, and what fits them."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self.keys = {key.name: key for key in keys}
        self.examples = {key.meta["example"] for key in self.keys.values()} | self.keys.keys()
        self.secret = [key.name for key in self.keys.values() if key.secret]

    def dismisses(self, candidate: Candidate) -> bool:
        """Say whether a candidate is not a leak."""
        value = _stripped(candidate.value[:LONGEST])
        if candidate.rule is rules.AGE:
            return len(set(value)) <= len("XXX")
        if self._stands_for_one(value):
            return True
        if candidate.rule is rules.SCHEMA_KEY:
            return self._dismisses_key(candidate, value)
        if candidate.bare and not candidate.literal and (values.code(value) or not values.random_looking(value)):
            return True
        return not _SECRET.get(candidate.rule, _assigned)(candidate.name, value)

    def dismisses_known(self, rule: str, name: str, value: str) -> bool:
        """Say whether what an engine found by one of its own rules is not a leak; `generic` rules go by the name."""
        value = value[:LONGEST]
        if value in self.examples or values.documented(value) or values.sealed(value) or values.filled(value):
            return True
        if rule == "kubernetes-secret-yaml":
            value = value.rsplit(maxsplit=1)[-1] if value.split() else ""
            return ":" not in _decoded(value) and values.identifier(_decoded(value))
        if rule == "private-key" and "RSA" in value[:40] and len(re.sub(r"-----[^-]+-----|\s", "", value)) < 100:
            return True  # the beginning of one, in a manual
        if not generic(rule):
            return values.masked(value)
        value = re.sub(r"^[A-Za-z_]\w*=(?=.)", "", value)
        if (value != _decoded(value) and not _assigned(name or "secret", _decoded(value))) or _TEMPLATE.search(
            value
        ):
            return True
        if values.placeholder(value) or values.public(value) or values.reference(value):
            return True
        if (
            values.identifier(value)
            or values.expression(value)
            or values.code(value)
            or re.search(r"[\s(){}\[\]]", value)
        ):
            return True
        return rule == "generic-api-key" and open_name(name.rpartition(".")[2] or name)

    def _dismisses_key(self, candidate: Candidate, value: str) -> bool:
        """Judge the value of a secret key of the schema: whatever fits it, unless it is code or a name of a variable."""
        key = self.keys[candidate.name]
        first = value.split(maxsplit=1)[0] if candidate.bare and value else value
        if len(value) < (4 if not candidate.bare or candidate.literal else 8) or self._stands_for_one(first):
            return True
        if candidate.bare and not candidate.literal and (values.code(first) or values.typed(first)):
            return True
        if candidate.bare and values.prose(value) and not _phrase(value):
            return True
        return not (len(value) >= LONG if candidate.first else self._fits(key, value))

    def _stands_for_one(self, value: str) -> bool:
        if value in self.examples or _GENERATED.search(value) or values.documented(value):
            return True
        return values.sealed(value) or values.filled(value) or values.placeholder(value) or values.reference(value)

    def _fits(self, key: Key, value: str) -> bool:
        """Say whether a value could be the key's: not what the schema refuses, nor a URL with no password."""
        if "\\n" in value:  # several lines in a quoted string
            if max(map(len, value.split("\\n"))) < LONG:
                return False
            value = value.replace("\\r", "\r").replace("\\n", "\n")
        if "url" not in key.rules:
            return key.problem(value) is None
        try:
            password = urlsplit(value).password
        except ValueError:
            return True
        return bool(password) and not self._stands_for_one(password or "")


def generic(rule: str) -> bool:
    """Say whether a rule of an engine goes by a name and not by the form of the value."""
    return rule in ("generic-api-key", "curl-auth-header", "curl-auth-user")


def _decoded(value: str) -> str:
    """Return the text whose base64 a value is, or the value."""
    try:
        text = base64.b64decode(value + "=" * (-len(value) % 4), validate=True).decode("ascii")
    except ValueError:
        return value
    return text.strip() if text.strip().isprintable() and len(text) > 3 else value


def _stripped(value: str) -> str:
    return value.strip().strip("\"'`").rstrip(",;").removesuffix("\\n").strip()


def _phrase(value: str) -> bool:
    """Say whether a value can be a passphrase: four words or more that make no sentence."""
    words = value.split()
    return len(words) >= 4 and all(word.isalnum() and word.islower() for word in words) and not values.prose(value)


def _assigned(name: str, value: str) -> bool:
    """Judge what is assigned to a name that is not the schema's."""
    what = kind(name)
    if what is Kind.NONE or len(value) < LEAST[what] or len(value) > 5_000:
        return False
    if values.public(value) or values.expression(value) or values.masked(value) or _LISTED.search(value):
        return False
    if re.search(r"\s", value):
        return what is not Kind.KEY and (_phrase(value) if values.prose(value) is False else False)
    if value.endswith(("(", "()", "[", "{", ":", "=", "->")) and not values.random_looking(
        value.rstrip("([{:=->")
    ):
        return False
    if what is Kind.PASSWORD:
        return _password(value)
    if values.identifier(value) or values.prose(value) or value.lower() == name.lower():
        return False
    if what is Kind.SECRET:
        return _secret(value)
    return (
        (values.random_looking(value) or (len(value) >= LEAST[what] and value.isalnum() and not value.isdigit()))
        and not values.uuid(value)
        and (name.lower() not in ("key", "keys") or (len(value) >= 24 and _mixed(value)))
    )


def _mixed(value: str) -> bool:
    return value.lower() != value != value.upper() and any(map(str.isdigit, value))


def _password(value: str) -> bool:
    if values.prose(value) or value.lower() in _COMMON:
        return False
    if value.isdigit():
        return len(value) >= 4
    if value.isalpha():
        return len(value) >= 5 and not values.wordlike(value)
    if not any(map(str.isdigit, value)):  # words and signs: auth.password, on-error; not P&ss!Word
        return (len(value) >= 6 and not values.identifier(value)) or _loud(value)
    return not re.fullmatch(r"[a-z]+(?:[-_./:][a-z]+)+[-_./:]?\d{1,2}|[A-Za-z]\d|v?\d+px|#[0-9a-fA-F]{3,8}", value)


def _loud(value: str) -> bool:
    """Say whether a value has letters of both cases and signs that no name has."""
    return (
        len(value) >= 8
        and value != value.lower()
        and value != value.upper()
        and bool(re.search(r"[!@#$%^&*+~?]", value))
        and not re.search(r"[\s(){}\[\]<>]", value)
    )


def _secret(value: str) -> bool:
    if value.isdigit():
        return len(value) >= 10
    if value.isalpha():  # not a name: _assigned has seen to that
        return len(value) >= 10
    if not any(map(str.isdigit, value)):
        return bool(re.fullmatch(r"[\w+/=.~-]+", value)) or _loud(value)
    return bool(re.search(r"[A-Za-z].*\d|\d.*[A-Za-z]", value)) and not re.search(
        r"[()\[\]{}<>].*[()\[\]{}<>]|^\W*$", value
    )


def _url(name: str, value: str) -> bool:
    """Judge the password of a URL; `name` is its scheme and user."""
    user = name.partition("://")[2]
    value = urllib.parse.unquote(value)
    low = value.lower()
    if values.prose(value) or values.masked(value):
        return False
    if low in _COMMON or low == user.lower() or len(value) < 3:
        return False
    if values.code(value) or (values.typed(value) and value.isupper()):
        return False
    return not (value.isalpha() and values.wordlike(value) and len(value) < 6) and not re.fullmatch(
        r"(?:my|your|db|user|the)?_?(?:pass|pwd|secret)\w{0,6}", low
    )


def _header(name: str, value: str) -> bool:
    """Judge what a header carries after Bearer or Basic; `name` tells if the header's own name was there."""
    if (
        len(value) < 8
        or values.identifier(value)
        or values.public(value)
        or values.code(value)
        or values.typed(value)
    ):
        return False
    if values.random_looking(value):
        return True
    return name.lower() == "authorization" and (_secret(value) or value.isdigit())


def _basic(value: str) -> bool:
    return bool(value)


def _typed_in(name: str, value: str) -> bool:
    """Judge a word of a command line, or an argument of a login call."""
    if (
        value.startswith(("-", "$", "/", "<", "&", "|"))
        or value.lower() in _COMMON
        or values.public(value)
        or values.expression(value)
    ):
        return False
    if re.search(r"\s", value):
        return _phrase(value)
    if value.isalpha() or values.identifier(value, 2):
        return len(value) >= 6 and not values.wordlike(value) and not values.identifier(value, 2)
    return len(value) >= 4 and not values.code(value)


_SECRET = {
    rules.URL: _url,
    rules.SCHEMA_URL: _url,
    rules.AUTHORIZATION: _header,
    rules.OPTION: _typed_in,
    rules.LOGIN: _typed_in,
    rules.PGPASS: _typed_in,
    rules.NETRC: _typed_in,
    rules.DOCKER: lambda _, value: len(value) >= 12,
    rules.ENV: _assigned,
    rules.PAIR: _assigned,
    rules.NOTEBOOK: _assigned,
}
