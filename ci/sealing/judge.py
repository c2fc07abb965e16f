"""What is wrong with a value: the one judge of `inv set`, `inv encrypt`, `inv edit` and of the parity gate."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from urllib.parse import unquote, urlsplit

from ci.ground import dotenv
from ci.ground.environments import Environment
from ci.ground.repo import Repo
from ci.ground.schema import Key
from ci.sealing import hosts

_PLACEHOLDER = re.compile(
    r"""(?ix)
    change[-_. ]?me | replace[-_. ]?(?:me|this|with) | fill[-_. ]?(?:me|this)[-_. ]?in | fix[-_. ]?me
    | (?<![a-z0-9])(?:todo|tbd|placeholder)(?![a-z0-9]) | \A(?:your|insert)[-_. ] | [-_./@:]your[-_.]
    | x{5,} | \.{3} | \*{3} | \A(?:none|null|nil|undefined|n/a|dummy|-+|\?+|_+)\Z
    | <[^<>]+> | \$\{ | \$\( | \{\{ | \A\$[A-Z_]+\Z | \A%[A-Z_]+%\Z
    """
)
# A secret is random, and can hold any of these signs: it is one only if it is nothing else.
_WHOLLY = re.compile(
    r"""(?ix)
    (?:change|replace|fill|fix)[-_. ]?(?:me|this|with|in)(?:[-_. ](?:in|now|please|later|before[-_. ]\w+))?[!.]*
    | todo | tbd | placeholder | none | null | nil | undefined | n/a | dummy
    | (?:your|insert|enter|some|my|the|a)[-_. ](?:[a-z]+[-_. ])*[a-z]+
    | (?:(?:db|api|app|user)[-_. ]?)?(?:password|passwd|secret|token|key|credentials?)(?:[-_. ]?here)?
    | x{5,64} | \.{3,} | …+ | \*{3,} | -+ | \?+ | _+ | \#+
    | <[^<>]*> | \$\{[^{}]*\} | \$\([^()]*\) | \{\{[^{}]*\}\} | \$[A-Z_]+ | %[A-Z_]+%
    """
)
_WITHOUT_TLS = re.compile(
    r"(?i)(?:^|[?&;\s])(?:ssl[-_]?mode|ssl|tls|use_?ssl|encrypt)\s*=\s*(?:disabled?|allow|false|none|off|no|0)(?!\w)"
)
_IN_CLUSTER = re.compile(r"[^.]+|.*\.svc(?:\.cluster\.local)?\.?")  # a service of the engine's own network


class Kind(Enum):
    """What a fault is; the parity gate has a rule for each."""

    VALUE = auto()
    PLACEHOLDER = auto()
    LOCALHOST = auto()
    HOST = auto()
    CLEAR = auto()


@dataclass(frozen=True)
class Fault:
    """What is wrong with a value, without repeating it."""

    kind: Kind
    what: str


def fault(repo: Repo, name: str, key: Key, value: str) -> Fault | None:
    """Say what is wrong with a value of an environment that a person gives for a key."""
    names = repo.environments.by_name
    plain = {each: dotenv.parse(repo.plain(each).read_bytes())[0] for each in names if repo.plain(each).exists()}
    foreign = hosts.foreign(repo.schema, plain, name)
    return judged(names[name], key, value, [each for each in names if each != name], foreign)


def judged(
    environment: Environment, key: Key, value: str, others: list[str], foreign: Mapping[str, str]
) -> Fault | None:
    """Say what is wrong with a value; `foreign` has the hosts that only one of the other environments has."""
    if "allowed" not in key.rules and "\n" not in value and _stands_for_one(key, value):
        return Fault(Kind.PLACEHOLDER, "only stands for a value")
    if problem := key.problem(value):
        return Fault(Kind.VALUE, problem)
    if not environment.protected or key.rules["type"] != "string":
        return None
    if hosts.here(key.name, value):
        return Fault(Kind.LOCALHOST, "points at the machine itself")
    if whose := hosts.elsewhere(environment.name, value, others, foreign):
        return Fault(Kind.HOST, f"points at a host of {whose}")
    return _in_clear(key, value)


def _stands_for_one(key: Key, value: str) -> bool:
    if not key.secret:
        return bool(_PLACEHOLDER.search(value))
    return value == key.meta["example"] or any(map(_WHOLLY.fullmatch, _material(key, value)))


def _material(key: Key, value: str) -> Iterator[str]:
    """Yield what a person fills in: user, password and host of a URL, each of several, or all of it."""
    if "url" not in key.rules:
        yield from value.split(",") if key.several else [value]
        return
    try:
        parts = urlsplit(value)
        yield from (unquote(part) for part in (parts.username, parts.password, parts.hostname) if part)
    except ValueError:  # a finding of its own
        yield value


def _in_clear(key: Key, value: str) -> Fault | None:
    """Say whether a value asks for a connection without TLS where the schema has one with it."""
    if _WITHOUT_TLS.search(value):
        return Fault(Kind.CLEAR, "turns encryption off")
    scheme = value.partition("://")[0].lower()
    other = {"nats": "tls"}.get(scheme, f"{scheme}s")
    if other in key.rules.get("url", ()) and not _IN_CLUSTER.fullmatch(urlsplit(value).hostname or ""):
        return Fault(Kind.CLEAR, f"is not encrypted on its way, {other}:// is")
    return None
