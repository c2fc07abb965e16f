"""What the core says while it works: events, which `ci/cli` alone turns into text or JSON.

A function that takes a while or asks something is a generator: it yields events, is sent the answer to a question,
and returns its result. Inside the core `result = yield from run(…)`; at the top `cli.follow(run(…))`.
"""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar


@dataclass(frozen=True)
class Began:
    """A step began; `about` says in a few words what it does."""

    step: str
    about: str = ""


@dataclass(frozen=True)
class Ended:
    """A step ended well; `text` says with which result, and is empty where that is not worth a line."""

    step: str
    text: str
    seconds: float


@dataclass(frozen=True)
class Failed:
    """A step failed; the exception that says why follows."""

    step: str


@dataclass(frozen=True)
class Line:
    """A line of the result that is known before the end, such as one of a plan."""

    text: str


@dataclass(frozen=True)
class Question:
    """Something that a person must answer; the answer is sent back, None where no person can.

    `secret` asks for a value, which is not shown and may come from stdin.
    """

    text: str
    secret: bool = False


Event = Began | Ended | Failed | Line | Question
T = TypeVar("T")
Events = Generator[Event, str | None, T]


def result(outcome: T | Events[T]) -> Events[T]:
    """Return what a function returned, after the events that it yielded if it is one that does."""
    return (yield from outcome) if isinstance(outcome, Generator) else outcome


def about(function: Callable[..., object]) -> str:
    """Return what a step does, from the first words of its docstring."""
    return str(function.__doc__).partition(";")[0].removesuffix(".")


def step(name: str, about: str, work: Callable[[], str | Events[str | None] | None]) -> Events[None]:
    """Do one step of a workflow, between the events that say so; `work` returns what a person should know."""
    start = time.monotonic()
    yield Began(name, about)
    try:
        text = yield from result(work())
    except Exception:
        yield Failed(name)
        raise
    yield Ended(name, text or "", time.monotonic() - start)
