"""What a gate says: rules, findings, and how much it looked at."""

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Self

from ci.ground.errors import GateError
from ci.ground.git import SHORT

ERROR, WARNING = "error", "warning"  # levels, as SARIF and GitHub call them; a warning is shown and fails nothing
PLACEHOLDER = re.compile(r"\{(environment|key|file)\}")  # what a hint may hold
PAST = re.compile(rf"([0-9a-f]{{{SHORT}}}):(.*)")  # a place in the history: commit and path


@dataclass(frozen=True)
class Rule:
    """One thing that a gate looks for. `id` is stable, `example` is what breaks it, `hint` says how to fix it."""

    id: str
    what: str
    example: str
    hint: str
    level: str = ERROR


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that was found: where (a path, or commit:path), which key or name, and why. Never a value."""

    rule: str
    place: str
    line: int
    key: str
    message: str
    hint: str
    level: str = ERROR

    @property
    def commit(self) -> str:
        """The commit of a finding of the past; empty for a finding of the present."""
        match = PAST.fullmatch(self.place)
        return match[1] if match else ""

    @property
    def path(self) -> str:
        """The place without its commit."""
        match = PAST.fullmatch(self.place)
        return match[2] if match else self.place

    def filled(self, environment: str) -> Self:
        """Return it with its environment, key and file in place of the hint's placeholders.

        A name that is not known becomes a word in capitals, as in a synopsis: ENV, KEY.
        """
        known = {"environment": environment or "ENV", "key": self.key or "KEY", "file": shlex.quote(self.path)}
        return replace(self, hint=PLACEHOLDER.sub(lambda match: known[match[1]], self.hint))


class Findings(list[Finding]):
    """The findings of one run, sorted and each once, and what was looked at: how many of what."""

    def __init__(self, findings: Iterable[Finding], looked: Mapping[str, int]) -> None:
        super().__init__(sorted(set(findings)))
        self.looked = dict(looked)
        nothing = [noun for noun, count in self.looked.items() if count == 0]
        if nothing or not looked:
            raise GateError(
                f"there was nothing to look at: 0 {', 0 '.join(nothing) or 'of anything'}",
                "give the path of a whole checkout: python -m ci.gates.<name> PATH",
            )

    @property
    def warnings(self) -> int:
        """How many of them are warnings."""
        return sum(finding.level == WARNING for finding in self)

    def __or__(self, other: "Findings") -> "Findings":
        """Return what both found, and all that both looked at."""
        return Findings([*self, *other], self.looked | other.looked)


def finding(rule: Rule, place: str, message: str, *, line: int = 1, key: str = "", hint: str = "") -> Finding:
    """Return a finding of a rule; the rule's own hint serves where the place needs no other."""
    return Finding(rule.id, shown(place), line, shown(key), shown(message), hint or rule.hint, rule.level)


def shown(words: str) -> str:
    """Escape what is not visible: a line end in a file's name must not look like another line of ours."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in words)
