"""own.txt: Lockstep's own lines that only take the place of secrets, in examples of rules, tests and its past.

Which of them a gate would find depends on the schema at hand: on what its keys are called and on what fits them.
So that no team's schema makes findings of them, own.txt has a digest of each, and the gate leaves it alone.

Run `python -m ci.gates.leaks.own` in the template when its test says that a line is missing. It prints where the
new lines are: look at each, for it is accepted wherever it is written from then on.
"""

import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ci.gates import leaks
from ci.gates.leaks import look
from ci.gates.leaks.look import Look
from ci.gates.leaks.scanner import Gitleaks
from ci.ground import files, schema
from ci.ground import repo as ground
from ci.ground.git import Git
from ci.ground.repo import Repo

FOLDERS = ("bench", "ci", "config", "docs", "tests")
_NAME = re.compile(r"\b[A-Z][A-Z0-9_]*\b")
_ENDS = ("KEY", "PASSWORD", "SECRET", "TOKEN", "TOKENS", "_PASS", "_DSN", "_URL")


def lines(repo: Repo, *, history: bool = True) -> dict[bytes, str]:
    """Return what some schema makes a finding of, in the folder and its history: digests of lines, and places."""
    found: dict[bytes, str] = {}
    with tempfile.TemporaryDirectory(prefix="lockstep-own-") as folder:
        if history:  # what HEAD reaches, and nothing else that this clone happens to hold
            Git(repo.root)("clone", "-q", "--bare", "--single-branch", f"file://{repo.root}", folder)
        for names in ({"COLOUR"}, set(_names(repo))):
            every = Look(Gitleaks(repo.tool("gitleaks")), _schema(names), own=())
            leaks.check_folder(repo, every)
            if history:
                leaks.check(Repo(Path(folder)), every)
            found |= {leak.digest: f"{leak.source.id}:{leak.line}" for leak in every.leaks if leak.digest}
    return found


def _names(repo: Repo) -> Iterator[str]:
    """Yield what keys are called in Lockstep's files."""
    for folder in FOLDERS:
        for path in (repo.root / folder).rglob("*.*"):
            if path.suffix in (".md", ".py", ".yaml"):
                yield from (
                    name for name in _NAME.findall(path.read_text(encoding="utf-8")) if name.endswith(_ENDS)
                )


def _schema(names: Iterable[str]) -> schema.Schema:
    """Return a schema of secrets that may be any text: whatever is written for one fits."""
    meta = {"services": ["shop"], "description": "a secret", "example": "EXAMPLE", "secret": True}
    document: dict[str, dict[str, Any]] = {"services": {"shop": {"command": "shop"}}}
    return schema.build(document | {"keys": {name: {"type": "string", "meta": meta} for name in names}})


def main() -> None:
    """Write the digests of all such lines, and print where those are that it did not have."""
    from ci import cli  # noqa: PLC0415, an entry point
    from ci.cli import console  # noqa: PLC0415

    with cli.reported():
        found = lines(ground.here())
        console.say("\n".join(place for digest, place in found.items() if digest not in look.OWN))
        files.replace(look.OWN_LINES, "".join(f"{digest.hex()}\n" for digest in sorted(found)))


if __name__ == "__main__":
    main()
