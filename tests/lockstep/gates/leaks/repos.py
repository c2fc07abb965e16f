"""Repositories to look at, and what the gate says of them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from ci.gates.finding import Findings
from ci.ground.repo import Repo
from tests import checkouts
from tests.lockstep.gates.leaks import cases

SCHEMA = checkouts.ROOT / checkouts.PROJECT / "config/schema.yaml"


def checkout(folder: Path) -> Repo:
    """Return an empty repository with the schema and the tools, nothing committed."""
    (folder / "config").mkdir(parents=True)
    shutil.copy(SCHEMA, folder / "config")
    (folder / ".tools").symlink_to(checkouts.ROOT / ".tools")
    checkouts.git(folder, "init", "-q", "-b", "main")
    (folder / ".git/info/exclude").write_text("/.tools\n")
    return Repo(folder)


def commit(repo: Repo, name: str, content: str | bytes, message: str = "a change") -> None:
    """Write a file and commit it."""
    path = repo.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    checkouts.git(repo.root, "add", "-A")
    checkouts.git(repo.root, "commit", "-qm", message)


def dotenv() -> str:
    return f"SMTP_PASSWORD={cases.made_up()['v']}\n"


def output(
    repo: Repo,
    *words: str,
    cwd: Path | None = None,
    environ: dict[str, str] | None = None,
    gate: Path = checkouts.ROOT,
) -> tuple[int, str]:
    """Run the gate as a module of a checkout and return its exit code and everything that it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "ci.gates.leaks", *words, *([] if cwd else [str(repo.root)])],
        cwd=cwd or gate,
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "PYTHONPATH": str(gate), **(environ or {})},
        capture_output=True,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).decode()


def ids(found: Findings) -> list[str]:
    """Return the ids of the rules that were tripped."""
    return sorted(one.rule for one in found)
