import shutil
from pathlib import Path

import pytest

from ci.gates import leaks
from ci.ground import command
from ci.ground.errors import GateError
from ci.ground.repo import Repo
from tests import checkouts
from tests.lockstep.gates.leaks.repos import checkout, commit, output


def shallow(repo: Repo, tmp_path: Path) -> Repo:
    commit(repo, "two.txt", "two\n")
    checkouts.git(tmp_path, "clone", "-q", "--depth=1", f"file://{repo.root}", "shallow")
    (tmp_path / "shallow/.tools").symlink_to(checkouts.ROOT / ".tools")
    return Repo(tmp_path / "shallow")


def no_repository(repo: Repo, tmp_path: Path) -> Repo:
    shutil.rmtree(repo.root / ".git")
    return repo


def no_commits(repo: Repo, tmp_path: Path) -> Repo:
    return checkout(tmp_path / "empty")


def broken_object(repo: Repo, tmp_path: Path) -> Repo:
    name = command.run(["git", "-C", repo.root, "rev-parse", "HEAD:README.md"]).strip()
    path = repo.root / ".git/objects" / name[:2] / name[2:]
    path.chmod(0o644)
    path.write_bytes(b"not zlib")
    return repo


def missing_object(repo: Repo, tmp_path: Path) -> Repo:
    name = command.run(["git", "-C", repo.root, "rev-parse", "HEAD:README.md"]).strip()
    (repo.root / ".git/objects" / name[:2] / name[2:]).unlink()
    return repo


def missing_tree(repo: Repo, tmp_path: Path) -> Repo:
    name = command.run(["git", "-C", repo.root, "rev-parse", "HEAD^{tree}"]).strip()
    (repo.root / ".git/objects" / name[:2] / name[2:]).unlink()
    return repo


def broken_ref(repo: Repo, tmp_path: Path) -> Repo:
    (repo.root / ".git/refs/heads/main").write_text("0" * 39 + "1\n")
    return repo


def broken_schema(repo: Repo, tmp_path: Path) -> Repo:
    (repo.root / "config/schema.yaml").write_text("keys: [")
    return repo


def program(text: str) -> object:
    """Return a change that puts a script in the place of gitleaks, as if it had been installed."""

    def change(repo: Repo, tmp_path: Path) -> Repo:
        tools = checkouts.gate(tmp_path / "gate").tools
        if text:
            path = tools / "gitleaks"
            path.write_text(f"#!/bin/sh\nREAL={checkouts.ROOT}/.tools/bin/gitleaks\n{text}\n")
            path.chmod(0o755)
        checkouts.recorded(tools)
        return repo

    return change


@pytest.mark.parametrize(
    "change",
    [
        shallow,
        no_repository,
        no_commits,
        broken_object,
        missing_object,
        missing_tree,
        broken_ref,
        broken_schema,
        program(""),
        program("cat > /dev/null; echo '[]'; exit 0"),
        program("cat > /dev/null; echo '[]'; exit 42"),
        program("exit 1"),
        program("kill -9 $$"),
        program('"$REAL" "$@"; code=$?; echo "1:00PM ERR failed" >&2; exit $code'),
        program('"$REAL" "$@"; code=$?; echo "panic: runtime error" >&2; exit $code'),
        program('"$REAL" "$@"; exit 0'),
        program('for tar; do :; done; truncate -s 2000 "$tar"; "$REAL" "$@"'),
        program('for tar; do :; done; sed -i s/hello/HELL/ "$tar"; "$REAL" "$@"'),
        program('"$REAL" "$@" | head -c 300; exit 42'),
        program('for tar; do :; done; "$REAL" dir "$tar" --exit-code 42 -f json -r - --no-color'),
    ],
    ids=lambda change: getattr(change, "__name__", "?"),
)
def test_it_cannot_fail_open(repo: Repo, tmp_path: Path, change: object) -> None:
    """Whatever keeps the gate from looking ends with 2, never with 0."""
    assert callable(change)
    changed, own = change(repo, tmp_path), tmp_path / "gate"

    code, printed = output(changed, gate=own if own.exists() else checkouts.ROOT)

    assert (2, True) == (code, "error:" in printed), printed


def test_a_shallow_clone_hints_at_the_cure(repo: Repo, tmp_path: Path) -> None:
    """The hint says how to get the rest."""
    with pytest.raises(GateError) as caught:
        leaks.check(shallow(repo, tmp_path))

    assert "fetch-depth: 0" in caught.value.hint
