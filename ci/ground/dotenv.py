"""Env files: `KEY=value` lines that end in LF, comments that begin with `#`, blank lines.

A plain file has the one form that sops, Docker and we read alike: no quotes around a value, no `export`, no inline
comment, because each of the three would read those differently. Source of the rules: the dotenv store of sops 3.13
and `--env-file` of Docker, tried side by side.

Secrets are shown and typed in the same lines, with one addition: a value in double quotes is a JSON string. Each
value that a plain file cannot hold is written so, and every other as it is: no value can be read in two ways.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ci.ground.schema import KEY_NAME

LONGEST = 64 * 1024  # bytes; half of what Linux takes as one environment variable (MAX_ARG_STRLEN)
QUOTED = 'in double quotes, as JSON: "line 1\\nline 2"'  # what hints and help say of the escape
_UNFIT: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("is empty", lambda value: not value),
    ("holds a NUL, which no environment variable can", lambda value: "\0" in value),
    ("holds bytes that are not UTF-8", lambda value: any(unicodedata.category(c) == "Cs" for c in value)),
    (f"is longer than {LONGEST:,} bytes", lambda value: len(value.encode(errors="replace")) > LONGEST),
)
_DIRT: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("is empty", lambda value: not value),
    ("holds a line break", lambda value: "\n" in value or "\r" in value),
    ("holds a backslash before an n, which sops turns into a line break", lambda value: "\\n" in value),
    (
        "holds a control character or bytes that are no UTF-8",
        lambda value: any(unicodedata.category(c) in ("Cc", "Cs") for c in value),
    ),
    ("begins or ends with a blank", lambda value: value[0].isspace() or value[-1].isspace()),
    (
        "begins or ends with a quote, which would become part of the value",
        lambda value: value[0] in "\"'`" or value[-1] in "\"'`",
    ),
    (f"is longer than {LONGEST:,} bytes", lambda value: len(value.encode()) > LONGEST),
)
_UNSEEN = re.compile(r"[\x7f-\x9f]")  # control characters that JSON does not escape, and a terminal may obey


@dataclass(frozen=True)
class Problem:
    """What is wrong in one line; `line` counts from 1, `key` is empty where there is none. Never a value."""

    line: int
    key: str
    what: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.key} {self.what}" if self.key else f"line {self.line}: {self.what}"


def dirt(value: str) -> str | None:
    """Say what keeps a value from surviving an env file byte for byte; None when it is clean."""
    return next((what for what, broken in _DIRT if broken(value)), None)


def unfit(value: str) -> str | None:
    """Say what keeps a value from being a secret: nearly every text can be one; None when it is fit."""
    return next((what for what, broken in _UNFIT if broken(value)), None)


def shown(value: str) -> str:
    """Return a value as it is written where secrets are shown and typed: as it is, or in double quotes."""
    if dirt(value) is None:
        return value
    text = json.dumps(value, ensure_ascii=False)
    return _UNSEEN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def typed(text: str) -> tuple[str, str | None]:
    """Return the value that a person wrote, and what is wrong with it: the reverse of `shown`."""
    if not text.startswith('"'):
        return text, dirt(text)
    try:
        value = json.loads(text) if text.endswith('"') else None
    except ValueError:
        value = None
    if not isinstance(value, str):
        return text, "begins with a double quote and is not a JSON string"
    return value, unfit(value)


def parse(data: bytes) -> tuple[dict[str, str], list[Problem]]:
    """Return the values of a plain file by key, in order, and every problem; a key keeps its last value."""
    return _parse(data, lambda text: (text, dirt(text)))


def parse_secrets(data: bytes) -> tuple[dict[str, str], list[Problem]]:
    """Return the values of lines that `render` wrote or a person typed, and every problem."""
    return _parse(data, typed)


def _parse(data: bytes, read: Callable[[str], tuple[str, str | None]]) -> tuple[dict[str, str], list[Problem]]:
    values: dict[str, str] = {}
    problems: list[Problem] = []
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        return {}, [Problem(data[: error.start].count(b"\n") + 1, "", "is not UTF-8")]
    for number, line in enumerate(text.split("\n"), start=1):
        if not line or line.startswith("#"):
            continue
        key, equals, value = line.partition("=")
        if not equals or not KEY_NAME.fullmatch(key):
            problems.append(Problem(number, "", "is not KEY=value, without blanks, quotes or export"))
            continue
        if key in values:
            problems.append(Problem(number, key, "is there twice"))
        values[key], what = read(value)
        if what:
            problems.append(Problem(number, key, what))
    return values, problems


def render(values: Mapping[str, str]) -> str:
    """Return the lines of an env file; clean values, as those of plain files, are written as they are."""
    return "".join(f"{key}={shown(value)}\n" for key, value in values.items())
