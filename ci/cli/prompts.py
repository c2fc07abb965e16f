"""Values and answers from a person at a terminal, or from stdin; never from the command line."""

import getpass
import sys

from ci.cli import console
from ci.ground import errors


def terminal() -> bool:
    """Whether a person can answer."""
    return sys.stdin.isatty()


def value(prompt: str) -> str:
    """Return a value from a hidden prompt, or all of stdin; one line end after it is not part of it.

    A prompt that is ended without an answer (Ctrl-D) interrupts, for an empty answer may mean something.
    """
    try:
        return getpass.getpass(prompt) if terminal() else stdin().removesuffix("\n")
    except EOFError:
        raise KeyboardInterrupt from None


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
    """Return all of stdin; DirtyValueError unless it is UTF-8."""
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError:
        raise errors.DirtyValueError("stdin is not UTF-8", "encode the value, for example with base64") from None
