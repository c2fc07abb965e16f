"""What a leak looks like: the expressions that gitleaks gets beside its own, by hand and from the schema.

An expression serves twice, so it stays within what Go's RE2 and Python's re share. gitleaks finds; then the group
`value` (quoted) or `bare` (not), matched again in Python, says whether it is only a placeholder. What gitleaks
takes for the secret is the group *before* the value, `name`: its built-in allow-list, which drops every secret
that contains "false" or starts with "true", then never sees the value.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from ci.gates.finding import Rule
from ci.gates.leaks import rules
from ci.ground.schema import Key

KEY_FILES = re.compile(r"(?i)\.(?:p12|pfx|jks|keystore|kdbx|agekey|ppk)$|(?:^|/)id_(?:rsa|dsa|ecdsa|ed25519)$")

# Names of secrets end with one of these; NAMED are the parts of them that gitleaks looks for first.
WORDS = r"(?:pass(?:word|wd|phrase|code)?|pwd|secret|token|(?:api|access|secret|private)[_-]?key|credentials?)"
NAME = rf"[A-Za-z0-9_.-]*{WORDS}"
UPPER = (
    r"(?:[A-Z0-9_]+_)?[A-Z]*(?:PASS(?:WORD|WD|PHRASE|CODE)?|PWD|SECRET|TOKEN|(?:API|ACCESS|SECRET|PRIVATE)_?KEY)"
)
NAMED = ("pass", "pwd", "secret", "token", "key", "credential")
Q = r"""["'`]"""
# No counted repetitions beyond a few: RE2 copies what is counted, and gets slow.
QUOTED = r"""(?:"(?P<value>(?:[^"\\\n]|\\.){4,})"|'(?P<value1>(?:[^'\\\n]|\\.){4,})'|`(?P<value2>[^`\n]{4,})`)"""
WORD = r"""[^\s"'`\\]"""  # a character of a value without quotes
PLAIN = r"""[^\s"'`\\,;(){}\[\]<>]"""  # the same, where it might as well be code
LOUD = rf"{PLAIN}*[0-9!@#$%^&*+~?/-]{PLAIN}*"
USER = rf"[^\s{Q[1:-1]}/@:<>]*"
SECRET = rf"(?P<bare>[^\s{Q[1:-1]}/@]{{3,}})@[^\s{Q[1:-1]}@]"
_SHELL = re.compile(rb"(?:.*\s)?(?:export|ENV|ARG|-e|--env|-|)\s*")
_TIGHT = re.compile(rb"=\S")


@dataclass(frozen=True)
class Match:
    """The name (or what takes its place), the value, and what was around it.

    `line` is the name's line, counted from 0, and `before` what is in it before the name; `bare` says that the
    value had no quotes, `shell` that it is written as in a shell or an env file, where no code can be, and `first`
    that it is the first line of several.
    """

    name: str
    value: str
    line: int
    bare: bool
    before: bytes
    shell: bool
    first: bool


@dataclass(frozen=True)
class Pattern:
    """One rule of the gitleaks config: its id in it, the gate's rule, expression, keywords and a marker."""

    id: str
    rule: Rule
    expression: str
    keywords: tuple[str, ...]
    example: str

    @cached_property
    def compiled(self) -> re.Pattern[bytes]:
        """The expression for bytes, whose classes mean what they mean in Go."""
        return re.compile(self.expression.encode())

    def matches(self, text: bytes) -> Iterator[Match]:
        """Give what the expression finds in a text."""
        for match in self.compiled.finditer(text):
            groups = {name: part.decode(errors="replace") for name, part in match.groupdict().items() if part}
            name = groups.pop("name", "")
            group, value = next(iter(groups.items()), ("", ""))
            start, end = match.span("name")
            before = text[text.rfind(b"\n", 0, start) + 1 : start]
            shell = bool(_SHELL.fullmatch(before) and _TIGHT.match(text, end))
            bare, first = group.startswith("bare"), group.startswith("first")
            yield Match(name, value, text.count(b"\n", 0, start), bare, before, shell, first)


def every(keys: Iterable[Key]) -> list[Pattern]:
    """Return all patterns: those of the schema's keys, and those by hand."""
    return [*of_schema(list(keys)), *by_hand()]


def of_schema(keys: Sequence[Key]) -> list[Pattern]:
    """Return the patterns for the names of all secret keys."""
    names = [key.name for key in keys if key.secret]
    patterns = []
    if names:
        words = tuple(name.lower() for name in names)
        name = rf"(?P<name>{'|'.join(names)})"
        assigned = (
            rf"(?m)\b{name}\b(?:\\?{Q})?\]?\)?(?:"
            rf"[ \t]*(?:=>|:=|[=:,])[ \t]*[a-z]?{QUOTED}"
            rf'|[ \t]*(?:=>|:=|[=:,])[ \t]*\\"(?P<value3>[^"\\\n]{{4,}})\\"'
            rf"|[ \t]?=[ \t]?(?P<bare>{WORD}{{4,}}(?:[ \t]+{WORD}+)*)"
            rf"|:[ \t]+(?P<bare1>{WORD}{{8,}})[ \t\r]*$"
            rf"|:[ \t]+[|>][0-9+-]*[ \t\r]*\n[ \t]+(?P<first>[^\n]{{8,}})"
            rf"|[ \t]?=[ \t]?[\"'](?P<first1>[^\"'\n]{{8,}})\n"
            r"|>(?P<value4>[^<>\n]{4,})<)"
        )
        setting = rf"\b(?:ENV|ARG|setenv|set -[gxU]+)[ \t]+{name}[ \t]+(?:{QUOTED}|(?P<bare>{WORD}{{4,}}))"
        key = rules.SCHEMA_KEY
        patterns = [
            Pattern("lockstep-schema-key", key, assigned, words, f"{names[0]}={{random}}"),
            Pattern("lockstep-schema-key-set", key, setting, words, f"ENV {names[0]} {{random}}"),
        ]
    return patterns


def schemes(keys: Iterable[Key]) -> set[str]:
    """Return the schemes of all secret keys that are URLs; the pattern for URLs finds them all."""
    return {scheme for key in keys if key.secret for scheme in key.rules.get("url", ())}


def by_hand() -> list[Pattern]:
    """Return the patterns for what gitleaks' own rules miss."""
    return [
        Pattern(f"lockstep-{rule.id.partition('/')[2]}{variant}", rule, expression, words, example or rule.example)
        for rule, variant, expression, words, example in _TABLE
    ]


def toml(patterns: Iterable[Pattern]) -> str:
    """Return the gitleaks config: its own rules and these."""
    lines = ['title = "lockstep"', "[extend]", "useDefault = true"]
    for pattern in patterns:
        # A JSON string is a TOML string.
        words = json.dumps(pattern.keywords)
        lines += ["[[rules]]", f"id = {json.dumps(pattern.id)}", f"description = {json.dumps(pattern.rule.what)}"]
        lines += [f"regex = {json.dumps(pattern.expression)}", "secretGroup = 1", f"keywords = {words}"]
    return "\n".join([*lines, ""])


_TABLE: tuple[tuple[Rule, str, str, tuple[str, ...], str], ...] = (
    (rules.URL, "", rf"(?i)\b(?P<name>[a-z][a-z0-9+.-]{{1,20}}://){USER}:{SECRET}", ("://",), ""),
    (
        rules.AGE,
        "",
        r"(?P<name>AGE-(?:SECRET-KEY|PLUGIN-[A-Z0-9]+)-(?:PQ-)?1)(?P<value>[0-9A-Z]{16,})",
        ("age-secret-key-", "age-plugin-"),
        "",
    ),
    (
        rules.AUTHORIZATION,
        "",
        (
            rf"(?i)(?P<name>authorization)(?:\\?{Q})?\]?[ \t]*[:=,][ \t]*(?:[a-z]?\\?{Q})?"
            rf"(?:basic|bearer|token|apikey|digest|key)[ \t]+(?P<bare>{WORD}{{8,}})"
        ),
        ("authorization",),
        "",
    ),
    (
        rules.PAIR,
        "",
        (
            rf"(?i)\b(?:name|key){Q}?[ \t]*[:=][ \t]*{Q}?(?P<name>{NAME}|[a-z0-9_]+_url){Q}?[ \t]*,?\s*"
            rf"{Q}?\bvalue{Q}?[ \t]*[:=][ \t]*(?:{QUOTED}|(?P<bare>{WORD}{{4,}}))"
        ),
        ("value",),
        "",
    ),
    (
        rules.NOTEBOOK,
        "",
        (
            rf"(?im)\b(?P<name>{NAME})(?:\\?[\"'])?\]?[ \t]*[:=,][ \t]*(?:\\\"(?P<value>[^\"\\\n]{{4,}})\\\""
            rf"|'(?P<value1>[^'\\\n]{{4,}})'(?:\\n)?\",?[ \t\r]*$)"
        ),
        NAMED,
        "",
    ),
    (
        rules.ENV,
        "",
        rf"(?m)^[ \t]*(?:ENV|ARG)[ \t]+(?P<name>(?i:{NAME}))[ \t]+(?:{QUOTED}|(?P<bare>{WORD}{{4,}}))",
        ("env", "arg"),
        "",
    ),
    (
        rules.OPTION,
        "",
        (
            rf"(?im)(?:^|[\s\"'`])(?P<name>--(?:[a-z-]*password|passwd|passphrase|token|secret|api-key))"
            rf"(?:=|[ \t]+|{Q}[ \t]*,[ \t]*)(?:{QUOTED}|(?P<bare>{WORD}{{6,}}))"
        ),
        ("--",),
        "",
    ),
    (
        rules.LOGIN,
        "",
        (
            rf"(?i)\b(?P<name>log_?in|sign_?in|auth|authenticate|connect|basic_?auth|credentials|httpbasicauth)\("
            rf"[ \t]*[a-z]?\\?{Q}[^\"'`\n\\]+\\?{Q}[ \t]*,[ \t]*[a-z]?{QUOTED}"
        ),
        ("login", "log_in", "signin", "sign_in", "auth", "connect", "credentials"),
        "",
    ),
    (
        rules.PGPASS,
        "",
        (
            r"(?m)^(?P<name>[A-Za-z0-9.*_-]+:(?:[0-9]{2,5}|[*]):[A-Za-z0-9_*-]+:[A-Za-z0-9_*.-]+:)"
            r"(?P<bare>[^\s:]{4,})[ \t\r]*$"
        ),
        (":",),
        "",
    ),
    (
        rules.NETRC,
        "",
        r"(?i)\b(?P<name>machine[ \t]+[^ \t\n]+|default)\s+login\s+[^ \t\n]+\s+password\s+(?P<bare>[^\s]{4,})",
        ("login",),
        "",
    ),
    (rules.DOCKER, "", r'(?P<name>"auth")\s*:\s*"(?P<value>[A-Za-z0-9+/=]{12,})"', ('"auth"',), ""),
    (
        rules.ASSIGNMENT,
        "",
        rf"(?i)\b(?P<name>{NAME}){Q}?\]?[ \t]*(?:(?::[ \t]*[a-z]+[ \t]*)?=|:=|=>|:)[ \t]*[a-z]?{QUOTED}",
        NAMED,
        "",
    ),
    (
        rules.ASSIGNMENT,
        "-shell",
        (
            rf"(?m)(?:^|[\s;&\"'`\[,])(?P<name>{UPPER})(?:[ \t]?=[ \t]?(?P<bare>{WORD}{{6,}})"
            rf"|:[ \t]+(?P<bare1>{WORD}{{8,}})[ \t\r]*$)"
        ),
        NAMED,
        "export DB_PASS={random}",
    ),
    (
        rules.ASSIGNMENT,
        "-yaml",
        rf"(?im)^[ \t-]*(?P<name>{NAME})[ \t]*[:=][ \t]*(?P<bare>{LOUD})[ \t\r]*$",
        NAMED,
        "password: {random}",
    ),
)
