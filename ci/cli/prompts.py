"""Values and answers from a person at a terminal, or from stdin; never from the command line."""

import getpass
import re
import sys

from ci.cli import console
from ci.ground import dotenv, errors

_LINE = re.compile(r"([^\n]*?)\r?\n")


def terminal() -> bool:
    """Whether a person can answer."""
    return sys.stdin is not None and sys.stdin.isatty()


def require_terminal(environment: str) -> None:
    """Raise EditError unless a person sits here: an editor paints what it shows into a log otherwise."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise errors.EditError(
            "there is no terminal here, an editor would print secrets into a log",
            f"inv set --env={environment} --key=KEY takes one value on stdin",
        )


def value(prompt: str) -> str:
    """Return a value from a hidden prompt, or from stdin.

    Several lines on stdin are the value, byte for byte; the end of a single line is not part of it. At a prompt a
    value is written as in `inv edit`: DirtyValueError when that cannot be read, or is the first of several lines.
    A prompt that is ended without an answer (Ctrl-D) interrupts, for an empty answer may mean something.
    """
    if not terminal():
        text = stdin()
        line = _LINE.fullmatch(text)
        return line[1] if line else text
    try:
        text = getpass.getpass(prompt)
    except EOFError:
        raise KeyboardInterrupt from None
    value, fault = dotenv.typed(text)
    if value in ("{", "[") or (value.startswith("-----BEGIN ") and "-----END " not in value):
        fault = "is the first of several lines, and a prompt reads one"
    if text and fault:
        hint = f"give it on stdin (< FILE), or write it {dotenv.QUOTED}"
        raise errors.DirtyValueError(f"the value {fault}", hint)
    return value


def answer(prompt: str) -> str | None:
    """Return what a person typed, visibly; None when stdin is not a terminal, or ended there."""
    try:
        return input(prompt) if terminal() else None
    except EOFError:
        return None


def lines(instruction: str) -> str:
    """Return all of stdin; at a terminal, after an instruction what to type."""
    if terminal():
        console.doing("reading", instruction)
    return stdin()


def stdin() -> str:
    """Return all of stdin; DirtyValueError unless it is open and UTF-8."""
    if sys.stdin is None:  # as a daemon may have it: to take that for an empty value would set one
        raise errors.DirtyValueError("stdin is closed, nothing came in", "give it on stdin: < FILE")
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError:
        raise errors.DirtyValueError("stdin is not UTF-8", "encode the value, for example with base64") from None
