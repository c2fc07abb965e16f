import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ci.gates import sealing
from ci.ground import git
from ci.ground.errors import GateError
from ci.ground.repo import Repo
from tests import checkouts
from tests.lockstep.gates.sealing.changes import file, first, link
from tests.lockstep.gates.sealing.colleagues import put
from tests.lockstep.gates.sealing.repos import commit, rules


def test_a_link_in_place_of_the_folder(repo: Repo) -> None:
    """secrets/ itself is no link, for what it leads to is not tracked."""
    shutil.move(repo.root / "secrets", repo.root.parent / "elsewhere")
    checkouts.git(repo.root, "rm", "-rq", "--cached", "secrets")
    link("secrets", "../elsewhere")(repo)

    with pytest.raises(GateError, match="0 sealed files"):
        sealing.check(repo)


def test_a_submodule_in_place_of_a_file(repo: Repo) -> None:
    """What another repository holds is not looked at, so it has no place in secrets/."""
    sha = git.commit(repo.root, "HEAD")
    checkouts.git(repo.root, "rm", "-q", "--cached", "secrets/dev.enc.env")
    checkouts.git(repo.root, "update-index", "--add", "--cacheinfo", f"160000,{sha},secrets/dev.enc.env")

    assert {"link"} == rules(repo)


def test_a_pipe_in_place_of_a_file(repo: Repo) -> None:
    """The gate does not wait for it."""
    repo.sealed("dev").unlink()
    os.mkfifo(repo.sealed("dev"))

    assert {"link"} == rules(repo)


@pytest.mark.parametrize("hidden", ["index", "folder"])
def test_index_and_folder_are_both_looked_at(repo: Repo, hidden: str) -> None:
    """What is staged and mended since is found, and what is not staged yet."""
    good = repo.sealed("dev").read_bytes()
    first("hunter2")(repo)
    if hidden == "index":
        checkouts.git(repo.root, "add", "-A")
        repo.sealed("dev").write_bytes(good)

    assert {"plaintext"} == rules(repo)


def test_a_deleted_file_is_still_tracked(repo: Repo) -> None:
    """To delete a file is not to take it out of git."""
    file(".env")(repo)
    (repo.root / ".env").unlink()

    assert {"clear"} == rules(repo)


@pytest.mark.parametrize(
    "attributes",
    ["* -diff -text binary", "*.env filter=evil", "* export-ignore", "* working-tree-encoding=UTF-16"],
)
def test_attributes_and_configuration_hide_nothing(repo: Repo, tmp_path: Path, attributes: str) -> None:
    """Neither what the checkout's attributes say nor its configuration changes what is found, or runs."""
    ran = tmp_path / "ran"
    first("hunter2")(repo)
    (repo.root / ".gitattributes").write_text(attributes + "\n")
    for name in ("filter.evil.clean", "filter.evil.smudge", "core.fsmonitor", "diff.external", "core.pager"):
        checkouts.git(repo.root, "config", name, f"touch {ran}; false")

    assert {"plaintext"} == rules(repo)
    assert not ran.exists()


def test_a_merge_that_is_not_done(repo: Repo) -> None:
    """Two branches that both set a value end in a conflict, which is told as such."""
    checkouts.git(repo.root, "checkout", "-qb", "side")
    put()(repo)
    commit(repo)
    checkouts.git(repo.root, "checkout", "-q", "main")
    put()(repo)
    commit(repo)
    with pytest.raises(subprocess.CalledProcessError):
        checkouts.git(repo.root, "merge", "side")

    assert {"conflict"} == rules(repo)
