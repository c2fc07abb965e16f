"""Checkouts that the gate cannot look at, each made of a good one."""

import secrets
import shutil

from ci.ground import git
from ci.ground.repo import Repo
from tests import checkouts
from tests.lockstep.gates.sealing.colleagues import put
from tests.lockstep.gates.sealing.repos import steps


def shallow(repo: Repo) -> Repo:
    steps(repo, put(), put())
    checkouts.git(repo.root.parent, "clone", "-q", "--depth=2", f"file://{repo.root}", "shallow")
    return Repo(repo.root.parent / "shallow")


def missing(repo: Repo) -> Repo:
    steps(repo, put(), put())
    name = git.blob(repo.sealed("dev").read_bytes(), "0" * 40)
    (repo.root / f".git/objects/{name[:2]}/{name[2:]}").unlink()
    return repo


def no_git(repo: Repo) -> Repo:
    shutil.rmtree(repo.root / ".git")
    return repo


def below(repo: Repo) -> Repo:
    return Repo(
        shutil.copytree(repo.root, repo.root / "inner", symlinks=True, ignore=lambda *_: [".git", "inner"])
    )


def no_secrets(repo: Repo) -> Repo:
    checkouts.git(repo.root, "rm", "-rq", "secrets")
    return repo


def broken_index(repo: Repo) -> Repo:
    (repo.root / ".git/index").write_bytes(b"DIRC" + secrets.token_bytes(100))
    return repo


def other_worktree(repo: Repo) -> Repo:
    checkouts.git(repo.root, "config", "core.worktree", str(repo.root.parent))
    return repo
