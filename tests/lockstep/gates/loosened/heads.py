"""A base, what a pull request changes of it, and what a gate says of the head in a bare repository."""

import json
import os
import subprocess
import sys
from pathlib import Path

from ci.gates import law, loosened
from ci.gates.finding import Finding
from ci.ground.repo import Repo
from tests import checkouts
from tests.lockstep.gates.sealing.changes import Change
from tests.lockstep.gates.sealing.repos import steps

SCHEMA, ENVIRONMENTS, RULES = "config/schema.yaml", "config/environments.yaml", ".sops.yaml"
EXCEPTIONS = "config/exceptions.yaml"
STRANGER = "age1zr0gj25pzq0fr0mdpztd70fmgdfnqrtuqt5c0kdqgpnlu5djadwqsd0qxh"


def found(repo: Repo, *changes: Change) -> list[Finding]:
    """Commit each change and return what the last commit loosens."""
    base = steps(repo, *changes)
    return loosened.check(law.opened(bare(repo), "main", base))


def loosens(repo: Repo, *changes: Change) -> set[str]:
    return {problem.rule.removeprefix("loosened/") for problem in found(repo, *changes)}


def bare(repo: Repo) -> Path:
    """Return a bare repository that has the commits of a checkout, and no file of them."""
    folder = repo.root.parent / "bare.git"
    if not folder.exists():
        checkouts.git(repo.root, "clone", "-q", "--bare", ".", str(folder))
    return folder


def program(gate: str, *words: str | Path) -> tuple[int, str]:
    """Run a gate as a module and return its exit code and everything that it printed."""
    done = subprocess.run(
        [sys.executable, "-m", f"ci.gates.{gate}", *words],
        cwd=checkouts.ROOT,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TMPDIR": os.environ.get("TMPDIR", "/tmp")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def rules(gate: str, *words: str | Path) -> set[str]:
    """Return the rules that a gate finds broken."""
    code, output = program(gate, "--format=json", *words)
    assert code in (0, 1), output
    return {problem["rule"] for problem in json.loads(output)["findings"]}
