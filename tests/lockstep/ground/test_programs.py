import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ci.ground import errors, programs
from ci.ground.repo import Repo
from tests import checkouts

ASKED = "from ci.ground.repo import here; from ci import cli\nwith cli.reported(): print(here().tool('sops'))"
KEPT = "from ci.ground.repo import here; from ci import cli\nwith cli.reported(): print(here().state)"


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder with an installed program."""
    folder = tmp_path / "tools/bin"
    folder.mkdir(parents=True)
    (folder / "sops").write_text(f"#!/bin/sh\n# {secrets.token_hex()}\n")
    (folder / "sops").chmod(0o755)
    checkouts.recorded(folder)
    return folder


@pytest.fixture
def gate(tmp_path: Path) -> Repo:
    """A checkout with a commit, and with a program that was installed."""
    repo = checkouts.gate(tmp_path / "gate")
    (repo.tools / "sops").symlink_to(checkouts.ROOT / ".tools/bin/sops")
    checkouts.recorded(repo.tools)
    (repo.root / ".gitignore").write_text("/.tools/\n/.local/\n__pycache__\n")
    checkouts.git(repo.root, "init", "-q")
    checkouts.git(repo.root, "add", "-A")
    checkouts.git(repo.root, "commit", "-qm", "the gate")
    return repo


def ask(gate: Repo, program: str) -> tuple[int, str]:
    """Run a program in a checkout; return its exit code and all that it printed."""
    words = [sys.executable, "-B", "-c", program]
    done = subprocess.run(words, cwd=gate.root, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_what_was_installed_is_used(tools: Path) -> None:
    """Also a copy of it, whose times are others."""
    copy = shutil.copytree(tools.parent, tools.parent.parent / "copy")

    assert tools / "sops" == programs.program(tools, "sops")
    assert copy / "bin/sops" == programs.program(copy / "bin", "sops")


def test_a_changed_program_is_not_used(tools: Path) -> None:
    """Not even one of the same size and time as the one that was installed, which was used before."""
    before = programs.program(tools, "sops").stat()
    data = bytearray((tools / "sops").read_bytes())
    data[-2] ^= 1
    (tools / "sops").write_bytes(data)
    os.utime(tools / "sops", ns=(before.st_atime_ns, before.st_mtime_ns))

    with pytest.raises(errors.ToolMismatchError, match=r"^not what was installed: sops$"):
        programs.program(tools, "sops")


def test_a_program_that_nobody_installed_is_not_used(tools: Path) -> None:
    """A record is needed, not only a file of that name."""
    shutil.copy(tools / "sops", tools / "age")

    with pytest.raises(errors.ToolMismatchError, match=r"^not what was installed: age$"):
        programs.program(tools, "age")


def test_another_checkout_brings_no_program(tmp_path: Path, tools: Path) -> None:
    """Whatever a checkout that is examined has in .tools, the programs are those beside this code."""
    shutil.copytree(tools.parent, tmp_path / "examined/.tools")

    assert checkouts.ROOT / ".tools/bin/sops" == Repo(tmp_path / "examined").tool("sops")


@pytest.mark.parametrize(("path", "program"), [(".tools/bin/sops", ASKED), (".local/change.json", KEPT)])
def test_what_git_tracks_is_not_used(gate: Repo, path: str, program: str) -> None:
    """Neither a program with its record nor what a command kept, when a commit could have brought it."""
    assert 0 == ask(gate, program)[0]
    (gate.root / path).parent.mkdir(exist_ok=True)
    (gate.root / path).touch()
    checkouts.git(gate.root, "add", "-f", path)

    code, told = ask(gate, program)

    assert errors.TrackedError.code == code
    assert f"error: git tracks files in {path.partition('/')[0]}/, which belongs to this machine alone\n" in told


def test_a_link_that_git_tracks_is_not_used(gate: Repo) -> None:
    """The folder itself can be a link to a folder with another name."""
    (gate.root / ".tools").rename(gate.root / "tools")
    (gate.root / ".tools").symlink_to("tools")
    checkouts.git(gate.root, "add", "-f", ".tools")

    assert errors.TrackedError.code == ask(gate, ASKED)[0]
