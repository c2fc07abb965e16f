"""The leaks gate on long histories, against `gitleaks git` with its own rules on the same ones."""

import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.measure import Program, Row, costs, run
from ci.ground import command, repo
from tests import checkouts

ROOT = Path(__file__).parents[1]
SOME, MORE, MANY = 2_500, 10_000, 100_000  # commits
FILES, LINES = 300, 40
ROUNDS = 3
TEN = 10  # commits of a pull request


def rows() -> list[Row]:
    """Return ratios of CPU and memory, and how many seconds a pull request on a long history takes."""
    with tempfile.TemporaryDirectory(prefix="lockstep-history-") as name:
        folder = Path(name)
        some, more, many = (_made(folder / str(commits), commits) for commits in (SOME, MORE, MANY))
        cold = {path: _gate(folder, path, CI="true") for path in (ROOT, some, more)}
        theirs = {path: _gitleaks(path) for path in (ROOT, some, more)}
        spent = costs({f"ours {path}": program for path, program in cold.items()}, ROUNDS)
        spent |= costs({f"theirs {path}": program for path, program in theirs.items()}, ROUNDS)
        warm = costs({"warm": _gate(folder, more)}, ROUNDS)["warm"]  # the run that warms up is not counted
        begun = time.monotonic()
        run(_gate(folder, many, f"--base=HEAD~{TEN}", CI="true"))
        taken = time.monotonic() - begun
    return [
        *(
            (f"leaks, CPU / gitleaks git, {what}", spent[f"ours {path}"].cpu / spent[f"theirs {path}"].cpu, bound)
            for what, path, bound in (
                ("this repository", ROOT, 2.5),
                (f"{SOME:,} commits", some, 4.5),
                (f"{MORE:,} commits", more, 4.5),
            )
        ),
        (f"the same, {MORE:,} known commits", warm.cpu / spent[f"theirs {more}"].cpu, 0.2),
        (
            f"leaks, peak memory / that for {SOME:,} commits",
            spent[f"ours {more}"].memory / spent[f"ours {some}"].memory,
            1.5,
        ),
        (f"leaks, {TEN} commits after {MANY:,}, s", taken, 3.0),
    ]


def _gate(home: Path, path: Path, *words: str, **environ: str) -> Program:
    argv = [sys.executable, "-m", "ci.gates.leaks", *words, str(path)]
    return Program(argv, ROOT, {"PATH": os.environ["PATH"], "HOME": str(home), **environ})


def _gitleaks(path: Path) -> Program:
    words = [
        "git",
        "--no-banner",
        "--exit-code",
        "0",
        "--redact=100",
        "--log-opts=--all --full-history",
        str(path),
    ]
    return Program([str(repo.here().tool("gitleaks")), *words], ROOT, {"PATH": os.environ["PATH"]})


def _made(folder: Path, commits: int) -> Path:
    """Make a repository of so many commits, each of which changes lines of one to three files."""
    (folder / "config").mkdir(parents=True)
    checkouts.git(folder, "init", "-q", "-b", "main")
    command.attempt(["git", "-C", folder, "fast-import", "--quiet"], input=b"".join(_stream(commits)))
    checkouts.git(folder, "checkout", "-qf", "main")
    shutil.copy(ROOT / "config/schema.yaml", folder / "config")
    checkouts.git(folder, "add", "config")
    checkouts.git(folder, "commit", "-qm", "the schema")
    return folder


def _stream(commits: int) -> Iterator[bytes]:
    chosen = random.Random(commits)
    lines = (line for path in sorted((ROOT / "ci").rglob("*.py")) for line in path.read_bytes().splitlines())
    code = [line for line in lines if b'"' not in line]  # nothing that a line says beside another is a secret then
    files = [chosen.choices(code, k=LINES) for _ in range(FILES)]
    for number in range(commits):
        message = b"change %d" % number
        yield b"commit refs/heads/main\ncommitter a <a@a.example> %d +0000\n" % (1_700_000_000 + number)
        yield b"data %d\n%s\n" % (len(message), message)
        for at in chosen.sample(range(FILES), chosen.randint(1, 3)) if number else range(FILES):
            for _ in range(chosen.randint(1, 6)):
                files[at][chosen.randrange(LINES)] = chosen.choice(code)
            text = b"\n".join(files[at])
            yield b"M 100644 inline src/%d/%d.py\ndata %d\n%s\n" % (at % 20, at, len(text), text)
