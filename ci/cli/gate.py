"""What every gate does as a module: read the arguments, look, excuse, print, end with 0, 1 or 2."""

import argparse
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from ci.cli import console
from ci.cli import findings as forms
from ci.cli.faults import reported
from ci.gates import exceptions
from ci.gates.finding import Findings, Rule
from ci.ground.errors import GateError, LockstepError
from ci.ground.repo import Repo


def parser(name: str) -> argparse.ArgumentParser:
    """Return the arguments that all gates take."""
    arguments = argparse.ArgumentParser(prog=f"python -m ci.gates.{name}")
    arguments.add_argument("path", nargs="?", default=".", help="a checkout that has this layout")
    arguments.add_argument("--format", choices=list(forms.FORMATS), default="text")
    return arguments


def run(
    name: str,
    rules: Sequence[Rule],
    check: Callable[[Repo], Findings],
    arguments: argparse.Namespace,
    *,
    whole: bool = True,
) -> None:
    """Look at the checkout, print the findings, and exit: 0 clean or warnings, 1 findings, 2 could not run."""
    every = [*rules, *exceptions.RULES]
    with reported():
        repo = Repo(Path(arguments.path).resolve())
        try:
            findings = exceptions.apply(repo, rules, check(repo), datetime.now(UTC).date(), whole=whole)
        except LockstepError as error:
            raise GateError(str(error), error.hint, error.detail) from None
        except Exception as error:
            message = f"a bug in the gate, {type(error).__name__}"
            raise GateError(message, "nothing was checked; LOCKSTEP_DEBUG=1 shows more") from error
        console.say(forms.FORMATS[arguments.format](name, every, findings))
        raise SystemExit(1 if len(findings) > findings.warnings else 0)
