"""What every gate does as a module: read the arguments, look, excuse, print, end with 0, 1 or 2."""

import argparse
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from ci.gates import exceptions, output
from ci.gates.finding import Findings, Rule
from ci.ground import console
from ci.ground.errors import GateError, LockstepError, reported
from ci.ground.repo import Repo


def parser(name: str) -> argparse.ArgumentParser:
    """Return the arguments that all gates take."""
    made = argparse.ArgumentParser(prog=f"python -m ci.gates.{name}")
    made.add_argument("path", nargs="?", default=".", help="a checkout that has this layout")
    made.add_argument("--format", choices=list(output.FORMATS), default="text")
    return made


def run(
    name: str,
    rules: Sequence[Rule],
    look: Callable[[Repo], Findings],
    arguments: argparse.Namespace,
    *,
    whole: bool = True,
) -> None:
    """Look at the checkout, print what was found, and exit: 0 clean or warnings, 1 findings, 2 could not run."""
    every = [*rules, *exceptions.RULES]
    with reported():
        repo = Repo(Path(arguments.path).resolve())
        try:
            found = exceptions.apply(repo, rules, look(repo), datetime.now(UTC).date(), whole=whole)
        except LockstepError as error:
            raise GateError(str(error), error.hint, error.detail) from None
        except Exception as error:
            where = f"a bug in the gate, {type(error).__name__}"
            raise GateError(where, "nothing was proved; LOCKSTEP_DEBUG=1 shows more") from error
        console.say(output.FORMATS[arguments.format](name, every, found))
        raise SystemExit(1 if len(found) > found.warnings else 0)
