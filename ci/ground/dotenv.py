"""Env files, in the one form that sops, Docker and we read alike.

`KEY=value` lines that end in LF, comments that begin with `#`, blank lines. No quotes around a value, no `export`,
no inline comment: each of the three would read those differently. Source of the rules: the dotenv store of sops
3.13 and `--env-file` of Docker, tried side by side.
"""

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ci.ground.schema import KEY_NAME

LONGEST = 64 * 1024  # half of what Linux takes as one environment variable (MAX_ARG_STRLEN)
_DIRT: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("is empty", lambda value: not value),
    ("holds a line break, encode it (base64) or leave it out", lambda value: "\n" in value or "\r" in value),
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
    (f"is longer than {LONGEST // 1024} KiB", lambda value: len(value.encode()) > LONGEST),
)


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


def parse(data: bytes) -> tuple[dict[str, str], list[Problem]]:
    """Return the values by key, in order, and every problem; a key with a problem keeps its last value."""
    values: dict[str, str] = {}
    problems: list[Problem] = []
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        return {}, [Problem(data.count(b"\n", 0, error.start) + 1, "", "is not UTF-8")]
    for number, line in enumerate(text.split("\n"), start=1):
        if not line or line.startswith("#"):
            continue
        key, equals, value = line.partition("=")
        if not equals or not KEY_NAME.fullmatch(key):
            problems.append(Problem(number, "", "is not KEY=value, without blanks, quotes or export"))
            continue
        if key in values:
            problems.append(Problem(number, key, "is there twice"))
        if what := dirt(value):
            problems.append(Problem(number, key, what))
        values[key] = value
    return values, problems


def render(values: Mapping[str, str]) -> str:
    """Return the lines of an env file; the values must be clean."""
    return "".join(f"{key}={value}\n" for key, value in values.items())
