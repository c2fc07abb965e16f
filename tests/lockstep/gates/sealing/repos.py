"""A checkout and its commits, and the rules by which the gate finds something there."""

import subprocess
from pathlib import Path

from ci.gates import sealing
from ci.ground import git
from ci.ground.repo import Repo
from tests import checkouts
from tests.lockstep.gates.sealing.changes import Change


def made(folder: Path, *, post_quantum: bool = False) -> Path:
    """Return a checkout after `inv init`, committed."""
    root = checkouts.initialised(folder, post_quantum=post_quantum).root
    (root / ".gitignore").write_text("/.tools\n")
    checkouts.git(root, "init", "-q", "-b", "main", "--template=")
    commit(Repo(root))
    return root


def commit(repo: Repo) -> str:
    """Commit the folder as it is and return the SHA."""
    checkouts.git(repo.root, "add", "-A", "-f", ":!.tools")
    checkouts.git(repo.root, "commit", "-qm", "a commit", "--allow-empty")
    return git.commit(repo.root, "HEAD")


def steps(repo: Repo, *changes: Change) -> str:
    """Commit each change and return the commit before the first."""
    base = git.commit(repo.root, "HEAD")
    for change in changes:
        change(repo)
        commit(repo)
    return base


def back(repo: Repo) -> None:
    """Take every file back as main's first commit has it."""
    root = (
        subprocess.run(
            ["git", "rev-list", "--max-parents=0", "HEAD"], cwd=repo.root, capture_output=True, check=True
        )
        .stdout.decode()
        .strip()
    )
    checkouts.git(repo.root, "rm", "-rfq", ".")
    checkouts.git(repo.root, "checkout", "-q", root, "--", ".")


def rules(repo: Repo) -> set[str]:
    return {one.rule.removeprefix("sealing/") for one in sealing.check(repo)}


def past(repo: Repo, base: str | None) -> set[str]:
    return {one.rule.removeprefix("sealing/") for one in sealing.check_history(repo, base)}
