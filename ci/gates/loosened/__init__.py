"""The gate `loosened`: what a head allows and its base does not, in everything that the other gates judge by.

Nothing here is excused by config/exceptions.yaml, which is part of what can be loosened. A code owner lets it in:
docs/threat-model.md.
"""

from collections.abc import Iterator

from ci.gates import exceptions, law
from ci.gates.finding import Finding, Findings, finding
from ci.gates.law import Examined
from ci.gates.loosened import environments, keys, programs, recipients, rules
from ci.gates.loosened.rules import RULES
from ci.ground import git
from ci.ground.repo import Repo

__all__ = ["RULES", "check", "of"]


def check(repo: Repo) -> Findings:
    """Compare a head with its base, if there is one; ConfigurationError or GateError when one cannot be read."""
    head = repo.declared
    committed = head if head.commit else Repo(head.root, git.commit(head.root, "HEAD"))
    looked = {"files": len(committed.versions)}
    if not isinstance(repo, Examined):
        return Findings([], looked)
    base = repo.base
    found = [
        *_exceptions(head, base),
        *recipients.look(head, base),
        *programs.look(committed.versions, base.versions),
    ]
    if base.exists(law.SCHEMA):
        found += keys.look(head.schema, base.schema)
    if base.exists(law.ENVIRONMENTS):
        found += environments.look(head.environments, base.environments)
    return Findings(found, looked)


def of(gate: str, found: Findings) -> list[Finding]:
    """Return those of the findings that loosen what a gate looks for."""
    known = rules.OF.get(gate, frozenset())
    return [
        problem
        for problem in found
        if problem.rule in known or (problem.rule == rules.EXCEPTION.id and problem.key.startswith(f"{gate}/"))
    ]


def _exceptions(head: Repo, base: Repo) -> Iterator[Finding]:
    for exception in exceptions.untrusted(head, base):
        message = f"excuses {exception['place']}, and the base does not"
        yield finding(rules.EXCEPTION, exceptions.PLACE, message, key=exception["rule"])
