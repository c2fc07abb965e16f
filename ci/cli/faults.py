"""The only place that catches what goes wrong and exits; `ci/ground/errors.py` has the classes and their codes."""

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from ci.cli import console
from ci.ground import command, machine
from ci.ground.errors import LockstepError


@contextmanager
def reported(code: int | None = None) -> Iterator[None]:
    """Report a fault and exit with its code, or with `code` for every one.

    `LOCKSTEP_DEBUG=1` shows the traceback of what Python raised, `LOCKSTEP_VERBOSE=1` each command that starts.
    """
    observer = command.observer
    console.prepare()
    if os.environ.get("LOCKSTEP_VERBOSE"):
        command.observer = console.command
    try:
        yield
    except LockstepError as error:
        _end(error, code)
    except KeyboardInterrupt:
        console.error("interrupted", "run the same command again, it goes on from what is there")
        raise SystemExit(130) from None
    except BrokenPipeError:
        os._exit(141)  # the reader has closed the pipe, and Python would complain once more while it flushes
    except Exception as error:  # noqa: BLE001, this is the place
        if os.environ.get("LOCKSTEP_DEBUG"):
            traceback.print_exception(error)
        _end(machine.fault(error) or _bug(error), code)
    finally:
        command.observer = observer


def _end(error: LockstepError, code: int | None) -> NoReturn:
    """Report a fault as far as the streams allow, and exit."""
    with suppress(OSError, LockstepError):
        if error.output:
            console.emit(error.output)
    with suppress(OSError):
        console.error(str(error), error.hint, error.detail)
    console.abandon()
    raise SystemExit(error.code if code is None else code) from None


def _bug(error: Exception) -> LockstepError:
    """Return a fault of ours: only its kind and place, for the text of a foreign exception can hold a value."""
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    place = f"{Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}" if frame else "?"
    return LockstepError(f"a bug in lockstep, {type(error).__name__} at {place}", "LOCKSTEP_DEBUG=1 shows more")
