import subprocess
import sys
from pathlib import Path

import pytest

from ci.gates import leaks
from ci.ground.repo import Repo
from tests import checkouts
from tests.lockstep.gates.leaks.repos import checkout, dotenv, ids, output


def test_staged(repo: Repo) -> None:
    """Only what is staged counts, not what lies about."""
    (repo.root / "staged.env").write_text(dotenv())
    checkouts.git(repo.root, "add", "staged.env")
    (repo.root / "unstaged.env").write_text(dotenv())

    found = leaks.check_staged(repo)

    assert [("staged.env", 1)] == [(one.place, one.line) for one in found]


def test_staged_before_the_first_commit(tmp_path: Path) -> None:
    """A repository without a commit has an index all the same."""
    made = checkout(tmp_path / "new")
    (made.root / "a.env").write_text(dotenv())
    checkouts.git(made.root, "add", "a.env")

    assert ["leaks/schema-key"] == ids(leaks.check_staged(made))


def test_nothing_staged_is_clean(repo: Repo) -> None:
    """A commit that only removes or only rewords may go on."""
    checkouts.git(repo.root, "rm", "-q", "README.md")

    assert [] == leaks.check_staged(repo)


def test_staged_from_a_folder_within(repo: Repo) -> None:
    """From a sub-directory the whole index is looked at, and the checkout's schema holds."""
    (repo.root / "deep/er").mkdir(parents=True)
    (repo.root / "top.env").write_text(dotenv())
    checkouts.git(repo.root, "add", "top.env")

    code, printed = output(repo, "--staged", cwd=repo.root / "deep/er")

    assert (1, True) == (code, "top.env:1: leaks/schema-key SMTP_PASSWORD" in printed)


def test_commit_a_is_seen_by_the_hook(repo: Repo) -> None:
    """`git commit -a` has an index of its own, which is the one that counts."""
    hook = repo.root / ".git/hooks/pre-commit"
    call = f"PYTHONPATH={checkouts.ROOT} {sys.executable} -m ci.gates.leaks --staged"
    hook.write_text(f"#!/bin/sh\n{call} > {repo.root}/.git/said 2>&1\n")
    hook.chmod(0o755)
    (repo.root / "README.md").write_text(dotenv())

    with pytest.raises(subprocess.CalledProcessError):
        checkouts.git(repo.root, "commit", "-qam", "all of it")

    assert "README.md:1: leaks/schema-key SMTP_PASSWORD" in (repo.root / ".git/said").read_text()
