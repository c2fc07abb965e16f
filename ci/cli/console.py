"""Text on a terminal or in a pipe. Results are written to stdout, everything about the way there to stderr.

A fault is `error:` then `hint:`, lower case, no full stop. Colour only on a terminal, and never with NO_COLOR.
"""

import codecs
import io
import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from ci.ground import errors

PLAIN = {"✓": "+", "·": "-", "…": "..."}  # for a terminal that is not UTF-8
RED, GREEN, CYAN, DIM = "31", "32", "36", "2"


def prepare() -> None:
    """Make the three streams such that no line fails for a letter, and no file that is opened becomes one of them.

    A scheduler may start us with closed ones, and a terminal may lack a letter.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003, at the lowest free number, this
    if sys.stderr is None:  # print would write to stdout instead
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115, it is open for as long as we run
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with suppress(OSError):  # it flushes, and a disk may be full
                stream.reconfigure(errors="lockstep")


def abandon() -> None:
    """Drop what a stream did not take: Python would try it again at its end, and end with another code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream and stream.flush()
        except OSError:
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def say(line: str = "") -> None:
    """Print one line of the result at once, so that the order is also right in a pipe."""
    with _stdout() as stdout:
        print(line, file=stdout, flush=True)


def emit(text: str) -> None:
    """Write a result exactly as it is, such as decrypted lines."""
    with _stdout() as stdout:
        stdout.buffer.write(text.encode())
        stdout.flush()


def write(number: int, data: bytes) -> None:
    """Write bytes of a program to stdout (1) or stderr (2) as they are; BrokenPipeError when nobody reads."""
    while data:
        data = data[os.write(number, data) :]


def done(step: str, detail: str = "") -> None:
    """Report one step as done."""
    _note(_paint(GREEN, "✓", sys.stderr), step, detail)


def doing(step: str, detail: str = "") -> None:
    """Report a step that takes a while as begun."""
    _note(_paint(CYAN, "·", sys.stderr), step, detail)


@contextmanager
def working(step: str, detail: str) -> Iterator[None]:
    """Show on a terminal, for as long as it takes, what is under way; elsewhere only `done` reports it."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # noqa: PLC0415, only a person who watches pays for it
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (SpinnerColumn(), TextColumn("{task.fields[step]:<9} [dim]{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task(detail, total=None, step=step)
        yield


def error(message: str, fix: str, detail: Iterable[str] = ()) -> None:
    """Report a fault: what happened, how to fix it, and the lines that show it."""
    for line in detail:
        print(_paint(DIM, f"  | {line}", sys.stderr), file=sys.stderr)  # noqa: T201
    print(f"{_paint(RED, 'error:', sys.stderr)} {message}", file=sys.stderr)  # noqa: T201
    hint(fix)


def hint(text: str) -> None:
    """Say what a person may want to do next."""
    print(f"{_paint(CYAN, 'hint:', sys.stderr)} {text}", file=sys.stderr, flush=True)  # noqa: T201


def command(words: Sequence[str]) -> None:
    """Show a command that is about to start, so that it can be pasted into a shell."""
    print(f"$ {shlex.join(words)}", file=sys.stderr, flush=True)  # noqa: T201


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under headings, as wide as they need to be."""
    cells = [list(headings), *[list(row) for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    for number, row in enumerate(cells):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        say(_paint(DIM, line, sys.stdout) if number == 0 else line)


@contextmanager
def _stdout() -> Iterator[TextIO]:
    """Yield stdout; MachineError when it is closed, and OSError names it."""
    if sys.stdout is None:
        raise errors.MachineError("stdout is closed, the result has nowhere to go", "open it: > FILE")
    try:
        yield sys.stdout
    except OSError as error:
        error.filename = "stdout"
        raise


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Return what is printed for letters that a terminal's encoding lacks, and where to go on."""
    assert isinstance(error, UnicodeEncodeError)  # noqa: S101, for mypy
    letters = error.object[error.start : error.end]
    shown = [PLAIN.get(letter) or letter.encode("ascii", "backslashreplace").decode() for letter in letters]
    return "".join(shown), error.end


codecs.register_error("lockstep", _plain)


def _note(mark: str, step: str, detail: str) -> None:
    print(f"{mark} {step:<9} {_paint(DIM, detail, sys.stderr)}".rstrip(), file=sys.stderr, flush=True)  # noqa: T201


def _paint(colour: str, text: str, stream: TextIO | None) -> str:
    if "NO_COLOR" in os.environ or not stream or not stream.isatty() or not text:
        return text
    return f"\033[{colour}m{text}\033[0m"
