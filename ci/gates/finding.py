"""What a gate says: rules, findings, and how much it looked at."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ci.ground.errors import GateError


@dataclass(frozen=True)
class Rule:
    """One thing that a gate looks for. `id` is stable, `example` is what breaks it, `hint` is the cure."""

    id: str
    what: str
    example: str
    hint: str


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that was found: where (a path, or commit:path), which key or name, and why. Never a value."""

    rule: str
    place: str
    line: int
    key: str
    message: str
    hint: str


class Findings(list[Finding]):
    """The findings of one run, sorted and each once, and what was looked at: how many of what."""

    def __init__(self, found: Iterable[Finding], looked: Mapping[str, int]) -> None:
        super().__init__(sorted(set(found)))
        self.looked = dict(looked)
        nothing = [what for what, count in self.looked.items() if count == 0]
        if nothing or not looked:
            raise GateError(
                f"there was nothing to look at: 0 {', 0 '.join(nothing) or 'of anything'}",
                "give the path of a whole checkout: python -m ci.gates.<name> PATH",
            )


def finding(rule: Rule, place: str, message: str, *, line: int = 1, key: str = "", hint: str = "") -> Finding:
    """Return a finding of a rule; the rule's own hint serves where the place needs no other."""
    return Finding(rule.id, place, line, key, message, hint or rule.hint)
