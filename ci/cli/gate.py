"""What every gate does as a module: read the arguments, look, excuse, print, end with 0, 1 or 2."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from ci.cli import console
from ci.cli import findings as forms
from ci.cli.faults import reported
from ci.gates import exceptions, law, loosened
from ci.gates.finding import WARNING, Findings, Rule
from ci.gates.law import Examined
from ci.ground.errors import GateError
from ci.ground.repo import Repo

Check = Callable[[Repo], Findings]


def parser(name: str, *, needs_base: bool = False) -> argparse.ArgumentParser:
    """Return the arguments that all gates take."""
    arguments = argparse.ArgumentParser(prog=f"python -m ci.gates.{name}")
    arguments.add_argument("path", nargs="?", default=".", help="a checkout of this layout, or a bare repository")
    arguments.add_argument("--format", choices=list(forms.FORMATS), default="text")
    since = "look at every commit since this one, by its rules as well; zeros: there is none"
    arguments.add_argument("--base", metavar="REV", type=_revision, required=needs_base, help=since)
    arguments.add_argument("--head", metavar="REV", help="look at this commit instead of the folder")
    arguments.add_argument(
        "--law",
        choices=("base", "head"),
        default="base",
        help="head: a code owner let in what it loosens, and its own rules count",
    )
    return arguments


def _revision(text: str) -> str | None:
    """Return a revision; None for the zeros by which a forge says that a branch is new."""
    return text if not text or text.strip("0") else None


def run(
    name: str,
    rules: Sequence[Rule],
    check: Check,
    arguments: argparse.Namespace,
    *,
    whole: bool = True,
) -> None:
    """Look, print the findings, and exit: 0 clean or warnings, 1 findings, 2 could not run."""
    every = list(dict.fromkeys([*rules, *exceptions.RULES, *(loosened.RULES if arguments.base else ())]))
    with reported(GateError.code):
        repo = law.opened(Path(arguments.path).resolve(), arguments.head, arguments.base)
        findings = _looked(name, rules, check, repo, arguments.law, whole=whole)
        console.say(forms.FORMATS[arguments.format](name, every, findings))
        raise SystemExit(1 if len(findings) > findings.warnings else 0)


def _looked(name: str, rules: Sequence[Rule], check: Check, repo: Repo, whose: str, *, whole: bool) -> Findings:
    """Return what a gate finds, and with a base what the head loosens of it, which no exception excuses.

    By the law of the head the latter fails nothing: the gate `loosened` shows it as warnings.
    """
    let_in = whose == "head"
    judged = repo.declared if let_in and check is not loosened.check else repo
    base = judged.base if isinstance(judged, Examined) else None
    today = datetime.now(UTC).date()
    findings = exceptions.apply(repo.declared, rules, check(judged), today, whole=whole, base=base)
    if check is loosened.check:
        shown = [replace(problem, level=WARNING) if let_in else problem for problem in findings]
        return Findings(shown, findings.looked)
    looser = loosened.of(name, loosened.check(judged)) if base else []
    return Findings([*findings, *looser], findings.looked)
