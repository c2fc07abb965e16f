"""Text on a terminal or in a pipe. Results are written to stdout, everything about the way there to stderr.

A fault is `error:` then `hint:`, lower case, no full stop. Colour only on a terminal, and never with NO_COLOR.
"""

import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

RED, GREEN, CYAN, DIM = "31", "32", "36", "2"


def say(line: str = "") -> None:
    """Print one line of the result at once, so that the order is also right in a pipe."""
    print(line, flush=True)  # noqa: T201, this is the place


def emit(text: str) -> None:
    """Write a result exactly as it is, such as decrypted lines."""
    sys.stdout.buffer.write(text.encode())
    sys.stdout.flush()


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


def error(message: str, hint: str, detail: Iterable[str] = ()) -> None:
    """Report a fault: what happened, how to fix it, and the lines that show it."""
    for line in detail:
        print(_paint(DIM, f"  | {line}", sys.stderr), file=sys.stderr)  # noqa: T201
    print(f"{_paint(RED, 'error:', sys.stderr)} {message}", file=sys.stderr)  # noqa: T201
    print(f"{_paint(CYAN, 'hint:', sys.stderr)} {hint}", file=sys.stderr, flush=True)  # noqa: T201


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


def _note(mark: str, step: str, detail: str) -> None:
    print(f"{mark} {step:<9} {_paint(DIM, detail, sys.stderr)}".rstrip(), file=sys.stderr, flush=True)  # noqa: T201


def _paint(colour: str, text: str, stream: TextIO) -> str:
    if "NO_COLOR" in os.environ or not stream.isatty() or not text:
        return text
    return f"\033[{colour}m{text}\033[0m"
