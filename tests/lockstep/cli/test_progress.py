import io
import sys

import pytest

from ci import cli
from ci.cli import progress
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


@pytest.mark.parametrize(("secret", "expected"), [(True, "one value \n"), (False, None)])
def test_only_a_value_is_read_from_a_pipe(
    monkeypatch: pytest.MonkeyPatch, *, secret: bool, expected: str | None
) -> None:
    """All of stdin but one line end is the value; a question that only a person may answer stays without one."""
    monkeypatch.setattr(sys, "stdin", Piped(b"one value \n\n"))

    def workflow() -> Events[str | None]:
        return (yield Question("which? ", secret=secret))

    assert expected == cli.follow(workflow())


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
