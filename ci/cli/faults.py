"""The only place that catches what goes wrong and exits; `ci/ground/errors.py` has the classes and their codes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ci.cli import console
from ci.ground import command
from ci.ground.errors import LockstepError


@contextmanager
def reported() -> Iterator[None]:
    """Report a fault and exit with its code.

    `LOCKSTEP_DEBUG=1` lets a bug's traceback through, `LOCKSTEP_VERBOSE=1` shows each command before it starts.
    """
    observer = command.observer
    if os.environ.get("LOCKSTEP_VERBOSE"):
        command.observer = console.command
    try:
        yield
    except LockstepError as error:
        console.emit(error.output)
        console.error(str(error), error.hint, error.detail)
        raise SystemExit(error.code) from None
    except KeyboardInterrupt:
        console.error("interrupted", "run the same command again, it goes on from what is there")
        raise SystemExit(130) from None
    except BrokenPipeError:
        os._exit(141)  # the reader has closed the pipe, and Python would complain once more while it flushes
    except Exception as error:
        if os.environ.get("LOCKSTEP_DEBUG"):
            raise
        # Only the kind and the place: the text of a foreign exception can hold a value.
        message = f"a bug in lockstep, {type(error).__name__} at {_place(error)}"
        console.error(message, "LOCKSTEP_DEBUG=1 shows more")
        raise SystemExit(LockstepError.code) from None
    finally:
        command.observer = observer


def _place(error: Exception) -> str:
    """Return the file and line that raised it."""
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    return f"{Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}" if frame else "?"
