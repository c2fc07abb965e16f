import io
import linecache
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any
from unittest import mock

import pytest

from ci import cli
from ci.cli import progress, prompts
from ci.ground import events
from ci.ground.errors import DirtyValueError
from ci.ground.events import Began, Ended, Events, Failed, Line, Question


class Piped(io.TextIOWrapper):
    """Stdin with this content."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))


def test_a_workflow_is_a_line_for_each_step(capsys: pytest.CaptureFixture[str]) -> None:
    """Results go to stdout, steps that ended with a text to stderr, and the workflow's result comes back."""

    def workflow() -> Events[int]:
        yield Began("plan", "think")
        yield Line("+ KEY")
        yield Ended("plan", "one change", 1.26)
        yield Ended("quiet", "", 1)
        yield Failed("apply")
        return 7

    assert 7 == cli.follow(workflow())
    assert ("+ KEY\n", "✓ plan      one change, 1.3 s\n") == capsys.readouterr()


def test_an_installation_says_what_it_begins(capsys: pytest.CaptureFixture[str]) -> None:
    """As `run` does, which starts it: a line before and one after, in whole seconds."""
    steps = events.step("install", "sops 3 from a mirror", lambda: "sops 3")

    cli.follow(steps, progress.installation)

    assert ("", "· installing sops 3 from a mirror\n✓ installed sops 3, 0 s\n") == capsys.readouterr()


@pytest.mark.parametrize(("secret", "expected"), [(True, "one value "), (False, None)])
def test_only_a_value_is_read_from_a_pipe(
    monkeypatch: pytest.MonkeyPatch, *, secret: bool, expected: str | None
) -> None:
    """A line of stdin without its end is the value; a question that only a person may answer stays without one."""
    monkeypatch.setattr(sys, "stdin", Piped(b"one value \n"))

    def workflow() -> Events[str | None]:
        return (yield Question("which? ", secret=secret))

    assert expected == cli.follow(workflow())


@pytest.mark.parametrize("secret", [True, False])
def test_the_end_of_a_terminal_is_no_answer(monkeypatch: pytest.MonkeyPatch, *, secret: bool) -> None:
    """Ctrl-D confirms nothing, and gives no value: neither is a bug."""
    ended = mock.Mock(side_effect=EOFError)
    monkeypatch.setattr(prompts, "terminal", lambda: True)
    monkeypatch.setattr("builtins.input", ended)
    monkeypatch.setattr("getpass.getpass", ended)

    def workflow() -> Events[str | None]:
        try:
            return (yield Question("which? ", secret=secret))
        except KeyboardInterrupt:
            return "interrupted"

    assert ("interrupted" if secret else None) == cli.follow(workflow())


def interrupted(at: int) -> Callable[..., Any]:
    """Return a trace function that interrupts `follow` at the line that it runs as this one in number.

    Not at `try:`, where no signal arrives: it is no instruction.
    """
    left = iter(range(at))

    def lines(frame: FrameType, event: str, _: object) -> Callable[..., Any]:
        text = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and text.strip() != "try:" and next(left, None) is None:
            raise KeyboardInterrupt
        return lines

    return lambda frame, _event, _argument: lines if frame.f_code is progress.follow.__code__ else None


@pytest.mark.parametrize("line", range(24))
def test_an_interrupt_between_two_events_reaches_the_workflow(line: int) -> None:
    """Wherever it arrives while one is shown: what was begun is undone before anything else happens."""
    heard: list[str] = []

    def workflow() -> Events[None]:
        heard.append("begun")
        try:
            yield Line("one")
            yield Line("two")
            heard.append("done")
        except BaseException:
            heard.append("undone")
            raise

    events, before = workflow(), sys.gettrace()
    sys.settrace(interrupted(line))
    try:
        with suppress(KeyboardInterrupt):
            cli.follow(events)
    finally:
        sys.settrace(before)

    assert heard in ([], ["begun", "undone"], ["begun", "done"])


def test_a_fault_of_the_terminal_reaches_the_workflow(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that it can undo what it began, and say so; the fault goes on from there."""
    monkeypatch.setattr(sys, "stdin", Piped(b"\xff"))

    def workflow() -> Events[None]:
        try:
            yield Question("which? ", secret=True)
        except DirtyValueError:
            yield Ended("undo", "nothing is left", 0)
            raise

    with pytest.raises(DirtyValueError, match="stdin is not UTF-8"):
        cli.follow(workflow())

    assert "✓ undo      nothing is left, 0.0 s\n" == capsys.readouterr().err
