"""What judges a pull request and is changed by it: gates, workflows, tasks, their tools, and who owns them.

None of it runs before it lands, since the base's own copies judge; once it has landed it judges everything.
"""

import tomllib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from ci.gates.finding import Finding, finding
from ci.gates.loosened import rules
from ci.ground.git import Version

_MANAGED = tomllib.loads((Path(__file__).parents[2] / "managed.toml").read_text(encoding="utf-8"))
# The whole folder of the forge, and the two other places where it looks for code owners.
PATTERNS = (*dict.fromkeys([*_MANAGED["managed"], ".github", "CODEOWNERS", "docs/CODEOWNERS"]),)


def look(head: Mapping[str, Version], base: Mapping[str, Version]) -> Iterator[Finding]:
    """Yield a finding for each part of the machinery that differs, at the first file that does."""
    changed = sorted(
        place
        for place in {*head, *base}
        if place not in _MANAGED["generated"] and head.get(place) != base.get(place)
    )
    for pattern in PATTERNS:
        places = [place for place in changed if part(place) == pattern]
        if places:
            more = f", and {len(places) - 1} more below {pattern}" if len(places) > 1 else ""
            yield finding(rules.PROGRAM, places[0], f"is changed{more}")


def part(place: str) -> str | None:
    """Return the part of the machinery that a file belongs to, by its pattern."""
    fits = (name for name in PATTERNS if place.startswith(f"{name}/") or fnmatchcase(place, name))
    return next(fits, None)
