"""Git as it is run here: what of the user's counts, and what does not."""

import os
import re
from pathlib import Path

import pytest

from ci.ground import command, git
from ci.ground.errors import GateError
from ci.ground.git import Git
from tests import checkouts


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with one commit."""
    root = tmp_path / "checkout"
    root.mkdir()
    checkouts.git(root, "init", "-q", "-b", "main")
    (root / "a").write_text("a\n")
    checkouts.git(root, "add", "a")
    checkouts.git(root, "commit", "-qm", "a")
    return root


def planted(path: Path, tmp_path: Path) -> Path:
    """Write a program that leaves a file behind when it is run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\ntouch {tmp_path}/stolen\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("folder", ["bin", ".venv/bin"])
@pytest.mark.parametrize("entry", ["absolute", "relative", "empty"])
def test_a_checkout_brings_no_git(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, entry: str
) -> None:
    """A folder of PATH that is in the checkout, or wherever we are, is not searched for one."""
    program = planted(checkout / folder / "git", tmp_path)
    first = {"absolute": str(program.parent), "relative": folder, "empty": ""}[entry]
    monkeypatch.chdir(program.parent if entry == "empty" else checkout)
    monkeypatch.setenv("PATH", f"{first}:{os.environ['PATH']}")

    assert ["a"] == [version.path for version in git.tracked(checkout)]
    assert not (tmp_path / "stolen").exists()


def test_other_programs_are_not_taken_from_where_we_are(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PATH may begin with a dot, and the folder may be somebody else's."""
    planted(checkout / "true", tmp_path)
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("PATH", f".:{os.environ['PATH']}")

    command.run(["true"])

    assert not (tmp_path / "stolen").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("core.fsmonitor", "{program}"),
        ("core.hooksPath", "{folder}"),
        ("core.pager", "{program}"),
        ("core.sshCommand", "{program}"),
        ("core.alternateRefsCommand", "{program}"),
        ("diff.external", "{program}"),
        ("diff.x.textconv", "{program}"),
        ("diff.x.command", "{program}"),
        ("filter.x.clean", "{program}"),
        ("filter.x.smudge", "{program}"),
        ("filter.x.process", "{program}"),
        ("gpg.program", "{program}"),
        ("uploadpack.packObjectsHook", "{program}"),
        ("alias.ls-files", "!{program}"),
        ("include.path", "{folder}/config"),
    ],
)
def test_the_configuration_of_a_checkout_runs_nothing(
    checkout: Path, tmp_path: Path, name: str, value: str
) -> None:
    """Whatever its .git/config names, and its attributes ask for, while a gate looks at it."""
    program = planted(tmp_path / "planted/post-index-change", tmp_path)
    (tmp_path / "planted/config").write_text(f"[core]\n\tfsmonitor = {program}\n\thooksPath = {program.parent}\n")
    checkouts.git(checkout, "config", name, value.format(program=program, folder=program.parent))
    (checkout / ".git/info/attributes").write_text("* diff=x filter=x\n")
    (checkout / "a").write_text("b\n")
    head = git.commit(checkout, "HEAD")

    opened = git.opened(checkout)
    opened("diff", "--cached", "--raw", "-z")
    opened("clone", "--quiet", "--mirror", "--shared", str(checkout), str(tmp_path / "mirror"))
    assert ["a"] == [version.path for version in git.tracked(checkout)]
    assert ["a"] == [version.path for _, version in git.changes(checkout, [head])]
    assert ["a\n"] == [data.decode() for _, data in git.contents(checkout, [git.tracked(checkout)[0].blob])]
    assert not (tmp_path / "stolen").exists()


@pytest.mark.parametrize("name", ["extensions.partialClone", "remote.origin.promisor"])
def test_what_a_checkout_lacks_is_not_fetched(checkout: Path, tmp_path: Path, name: str) -> None:
    """A partial clone names the program that brings the rest, so it is refused before an object is asked for."""
    program = planted(tmp_path / "planted/upload-pack", tmp_path)
    for key, value in (("url", str(checkout)), ("uploadpack", str(program)), ("promisor", "true")):
        checkouts.git(checkout, "config", f"remote.origin.{key}", value)
    checkouts.git(checkout, "config", name, "origin" if name.startswith("ext") else "true")

    with pytest.raises(GateError, match=r"^this is a partial clone"):
        git.opened(checkout)

    assert not (tmp_path / "stolen").exists()


def test_a_file_beside_the_objects_hides_no_commit(checkout: Path) -> None:
    """A commit-graph says who the parents of a commit are, and is not checked by git."""
    checkouts.git(checkout, "commit", "--allow-empty", "-qm", "b")
    checkouts.git(checkout, "commit-graph", "write", "--reachable")
    graph = checkout / ".git/objects/info/commit-graph"
    graph.chmod(0o644)
    tree = bytes.fromhex(command.run(["git", "-C", checkout, "rev-parse", "HEAD^{tree}"]).strip())
    graph.write_bytes(
        re.sub(re.escape(tree) + b"\0\0\0.", tree + b"\x70\0\0\0", graph.read_bytes(), flags=re.DOTALL)
    )

    assert 2 == len(git.commits(checkout, None, git.commit(checkout, "HEAD"))[0])


@pytest.mark.parametrize("own", [True, False])
def test_hooks_of_a_commit_in_the_users_name_may_fetch(tmp_path: Path, *, own: bool) -> None:
    """What runs git for a gate is kept from the network; a hook of the user's may install what it needs."""
    checkouts.git(tmp_path, "init", "-q")
    checkouts.named(tmp_path)
    hook = tmp_path / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ngit config protocol.allow >seen || :\n")
    hook.chmod(0o755)

    Git(tmp_path, own=own)("-c", "commit.gpgsign=false", "commit", "--allow-empty", "-qm", "x")

    assert ("" if own else "never\n") == (tmp_path / "seen").read_text()
