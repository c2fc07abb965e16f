"""A workflow as a person follows it: a spinner on a terminal, a line for each step that ended, questions."""

import getpass
import sys
from contextlib import ExitStack
from typing import TypeVar

from ci.ground import console, errors
from ci.ground.events import Began, Ended, Event, Events, Failed, Line, Question

T = TypeVar("T")


def follow(events: Events[T]) -> T:
    """Render events until the function that yields them returns, and return its result.

    An exception that is raised here, such as KeyboardInterrupt, reaches that function first, so that it can undo
    what it began.
    """
    shown, answer = ExitStack(), None
    with shown:
        try:
            while True:
                event = events.send(answer)
                try:
                    answer = _render(event, shown)
                except BaseException as error:  # noqa: BLE001, whatever it is the function hears of it
                    answer = _render(events.throw(error), shown)
        except StopIteration as end:
            result: T = end.value
            return result


def _render(event: Event, shown: ExitStack) -> str | None:
    shown.close()
    match event:
        case Began(step, about):
            shown.enter_context(console.working(step, about))
        case Ended(step, text, seconds):
            if text:
                console.done(step, f"{text}, {seconds:.1f} s")
        case Line(text):
            console.say(text)
        case Question(text, secret=True):
            return _value(text)
        case Question(text):
            return input(text) if sys.stdin.isatty() else None
        case Failed():
            pass
    return None


def _value(prompt: str) -> str:
    """Return a value from a hidden prompt or as all of stdin; one line end after it is not part of it."""
    if sys.stdin.isatty():
        return getpass.getpass(prompt)
    try:
        return sys.stdin.buffer.read().decode().removesuffix("\n")
    except UnicodeDecodeError:
        raise errors.DirtyValueError("stdin is not UTF-8", "encode the value, for example with base64") from None
