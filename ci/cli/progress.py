"""A workflow as a person follows it: a spinner on a terminal, a line for each step that ended, questions."""

from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import partial
from typing import TypeVar

from ci.cli import console
from ci.ground.events import Began, Ended, Event, Events, Failed, Line, Question

T = TypeVar("T")
# Shows one event and returns the answer if it is a question; what it enters is closed before the next event.
Render = Callable[[Event, ExitStack], str | None]


def render(event: Event, shown: ExitStack) -> str | None:
    """Show an event of a workflow, each step with its seconds."""
    from ci.cli import prompts  # noqa: PLC0415, it needs packages, and that they are missing is told by this package

    match event:
        case Began(step, about):
            shown.enter_context(console.working(step, about))
        case Ended(step, text, seconds):
            if text:
                console.done(step, f"{text}, {seconds:.1f} s")
        case Line(text):
            console.say(text)
        case Question(text, secret=True):
            return prompts.value(text)
        case Question(text):
            return prompts.answer(text)
        case Failed():
            pass
    return None


def installation(event: Event, _shown: ExitStack) -> None:
    """Show an event of an installation as `run`, which starts it, shows its own: no spinner, whole seconds."""
    match event:
        case Began(_, about):
            console.doing("installing", about)
        case Ended(_, text, seconds):
            console.done("installed", f"{text}, {seconds:.0f} s")


def follow(events: Events[T], render: Render = render) -> T:
    """Render events until the function that yields them returns, and return its result.

    An exception that is raised here, such as KeyboardInterrupt, reaches that function first, so that it can undo
    what it began; one that comes between two events closes it.
    """
    following: Callable[[], Event] = partial(next, events)
    with closing(events), ExitStack() as shown:
        try:
            while True:
                event = following()
                try:
                    shown.close()
                    following = partial(events.send, render(event, shown))
                except BaseException as error:  # noqa: BLE001, whatever it is the function hears of it
                    following = partial(events.throw, error)
        except StopIteration as end:
            result: T = end.value
            return result
