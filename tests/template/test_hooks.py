"""The gates before a commit: the real pre-commit, installed into a clone's .git/hooks."""

import secrets
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import checkouts
from tests.checkouts import Clone


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    made = checkouts.clone(tmp_path_factory.mktemp("hooks"))
    root = made.repo.root
    programs = root / ".venv/bin"
    programs.mkdir(parents=True)
    for name in ("python", "uv"):  # what `run` would make, of what runs this test
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        program.chmod(0o755)
    (root / ".venv/made-for").write_text(f"{root}\n")
    shutil.copy(root / "ci/requirements.txt", root / ".venv/made-of")
    checkouts.git(root, "commit", "-qam", "ports of our own")
    subprocess.run([sys.executable, "-m", "pre_commit", "install"], cwd=root, env=made.environ(), check=True)
    return made


def commit(clone: Clone, place: str, text: str) -> tuple[int, str]:
    """Stage a file and commit it as a developer would; return the exit code and what was said."""
    path = clone.repo.root / place
    before = path.read_text() if path.exists() else None
    path.write_text(text)
    checkouts.git(clone.repo.root, "add", "-f", place)
    done = subprocess.run(
        ["git", "-c", "user.name=Hook", "-c", "user.email=hook@lockstep.example", "commit", "-m", "a change"],
        cwd=clone.repo.root,
        env=clone.environ(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        checkouts.git(clone.repo.root, "reset", "-q", "--hard")
        assert before == (path.read_text() if path.exists() else None)
    return done.returncode, done.stdout + done.stderr


def test_a_good_commit_passes(clone: Clone) -> None:
    """All three gates look, and let it through."""
    code, told = commit(clone, "docs/note.md", "A note.\n")

    assert code == 0, told
    assert told.count("Passed") == len(("parity", "sealing", "leaks"))


@pytest.mark.parametrize(
    ("gate", "place", "text"),
    [
        ("parity", "config/qa.env", "ENVIRONMENT=qa\n"),
        ("sealing", "secrets/dev.env", "# nothing yet\n"),
        ("leaks", "docs/note.md", f"curl -u {'{0}'} https://notify:{'{1}'}@api.internal/\n"),
    ],
)
def test_a_bad_commit_is_stopped(clone: Clone, gate: str, place: str, text: str) -> None:
    """By the gate whose matter it is, which says what it found and how to mend it."""
    filled = text.format(secrets.token_hex(8), secrets.token_urlsafe(24))

    code, told = commit(clone, place, filled)

    assert code == 1
    assert f"{gate}/" in told
    assert "hint: " in told
    assert Path(place).name in told
