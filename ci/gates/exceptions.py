"""config/exceptions.yaml: findings that were looked at and accepted, each with its reason and its end."""

from collections.abc import Sequence
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


def apply(repo: Repo, rules: Sequence[Rule], found: Findings, today: date, *, whole: bool = True) -> Findings:
    """Take away what is excused, and add exceptions of these rules that are expired or excuse nothing.

    `whole` says that the gate looked at everything: only then is an exception known to be useless. One for a past
    commit never is, for that lies in the range of one pull request and not of the next.
    Raises GateError when the file cannot be read, for it might excuse what it should not.
    """
    ids = {rule.id for rule in rules}
    listed = [one for one in _read(repo) if one["rule"] in ids]
    live = [one for one in listed if one["expires"] >= today]
    left = [one for one in found if not any(_excuses(exception, one) for exception in live)]
    left += [_finding(EXPIRED, one, "is over") for one in listed if one["expires"] < today]
    if whole:
        useless = [
            one for one in live if not PAST.match(one["place"]) and not any(_excuses(one, each) for each in found)
        ]
        left += [_finding(USELESS, one, "excuses nothing") for one in useless]
    return Findings(left, found.looked)


def _read(repo: Repo) -> list[dict[str, Any]]:
    path = repo.root / PLACE
    try:
        document = documents.load(path.read_bytes()) if path.exists() else {"exceptions": []}
    except yaml.YAMLError:
        document = None
    validator = cerberus.Validator(_SHAPE)
    if not isinstance(document, dict) or not validator.validate(document):
        raise GateError(f"{PLACE} cannot be read", "each exception has rule, place, reason and expires (a date)")
    return list(document["exceptions"])


def _excuses(exception: dict[str, Any], one: Finding) -> bool:
    same = exception["rule"] == one.rule and exception["place"] == one.place
    return bool(same and exception.get("key", one.key) == one.key)


def _finding(rule: Rule, exception: dict[str, Any], what: str) -> Finding:
    return finding(rule, PLACE, f"the exception for {exception['place']} {what}", key=exception["rule"])
