"""config/exceptions.yaml: findings that were looked at and accepted, each with its reason and its end."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import cerberus
import yaml

from ci.gates.finding import PAST, Finding, Findings, Rule, finding
from ci.ground import documents
from ci.ground.errors import GateError
from ci.ground.repo import Repo

PLACE = "config/exceptions.yaml"
EXPIRED = Rule(
    "exceptions/expired",
    "an exception whose last day is over",
    "expires: 2020-01-01",
    "fix what it excuses and delete it, or have a new date reviewed",
)
USELESS = Rule(
    "exceptions/useless",
    "an exception that excuses nothing",
    "an exception for a file that was deleted",
    "delete it from config/exceptions.yaml",
)
RULES = (EXPIRED, USELESS)
_TEXT = {"type": "string", "required": True, "empty": False}
_SHAPE: dict[str, Any] = {
    "exceptions": {
        "type": "list",
        "required": True,
        "schema": {
            "type": "dict",
            "schema": {
                "rule": _TEXT,
                "place": _TEXT,
                "key": {"type": "string"},
                "reason": {**_TEXT, "minlength": 10},
                "expires": {"type": "date", "required": True},
            },
        },
    }
}


def apply(
    repo: Repo,
    rules: Sequence[Rule],
    findings: Findings,
    today: date,
    *,
    whole: bool = True,
    base: Repo | None = None,
) -> Findings:
    """Take away what is excused, and add exceptions of these rules that are expired or excuse nothing.

    With a base only those count that it has as well: a pull request does not excuse itself.
    `whole` says that the gate looked at everything: only then is an exception known to be useless. One for a past
    commit never is, for that is in the range of one pull request and not of the next.
    Raises GateError when the file cannot be read, for it might excuse what it should not.
    """
    gates = {_gate(rule.id) for rule in rules}
    listed = [exception for exception in _read(repo) if _gate(exception["rule"]) in gates]
    live = [exception for exception in listed if exception["expires"] >= today]
    new = untrusted(repo, base) if base else []
    trusted = [exception for exception in live if exception not in new]
    left = [problem for problem in findings if not any(_excuses(exception, problem) for exception in trusted)]
    left += [_finding(EXPIRED, exception, "is over") for exception in listed if exception["expires"] < today]
    for exception in live if whole else ():
        if not PAST.match(exception["place"]) and not any(_excuses(exception, problem) for problem in findings):
            left.append(_finding(USELESS, exception, _nothing(repo, rules, exception)))
    return Findings(left, findings.looked)


def untrusted(repo: Repo, base: Repo) -> list[dict[str, Any]]:
    """Return the exceptions that a base does not have, or has for a shorter time."""
    known = {_scope(exception): exception["expires"] for exception in _read(base)}
    return [
        exception
        for exception in _read(repo)
        if _scope(exception) not in known or exception["expires"] > known[_scope(exception)]
    ]


def _scope(exception: Mapping[str, Any]) -> tuple[str, str, str | None]:
    return exception["rule"], exception["place"], exception.get("key")


def _read(repo: Repo) -> list[dict[str, Any]]:
    repo.file(PLACE)  # which a link is not
    try:
        document = documents.load(repo.read(PLACE)) if repo.exists(PLACE) else {"exceptions": []}
    except (OSError, yaml.YAMLError):
        document = None
    validator = cerberus.Validator(_SHAPE)
    if not isinstance(document, dict) or any(documents.unnamed(document)) or not validator.validate(document):
        raise GateError(f"{PLACE} cannot be read", "each exception has rule, place, reason and expires (a date)")
    return list(document["exceptions"])


def _gate(rule: str) -> str:
    return rule.partition("/")[0]


def _nothing(repo: Repo, rules: Sequence[Rule], exception: Mapping[str, Any]) -> str:
    """Say why an exception excuses nothing, as far as it can be seen."""
    if exception["rule"] not in {rule.id for rule in rules}:
        return f"excuses nothing: there is no rule {exception['rule']}"
    gone = not repo.exists(exception["place"].partition("!")[0])
    return f"excuses nothing: {'the file does not exist' if gone else 'the gate finds nothing like it there'}"


def _excuses(exception: dict[str, Any], problem: Finding) -> bool:
    same = exception["rule"] == problem.rule and exception["place"] == problem.place
    if _gate(problem.rule) == "loosened":  # this file is part of what can be loosened
        return False
    return bool(same and exception.get("key", problem.key) == problem.key)


def _finding(rule: Rule, exception: dict[str, Any], fault: str) -> Finding:
    return finding(rule, PLACE, f"the exception for {exception['place']} {fault}", key=exception["rule"])
