"""The product's own packages on this machine, apart from those of ci/: what `setup` in schema.yaml says."""

import hashlib
import os
import platform
import shlex
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from ci.ground import command, errors, events, files
from ci.ground.events import Events
from ci.ground.repo import Repo
from ci.ground.services import Setup

FETCHING = ("UV_CACHE", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX", "UV_FIND_LINKS", "UV_INDEX", "UV_KEYRING")
INSTALL_SECONDS = 900
LAST_LINES = 10


def environment(repo: Repo, setup: Setup) -> Events[dict[str, str]]:
    """Install a product's packages unless they are here, and return the variables by which its programs find them.

    Raises ConfigurationError when a file of the setup does not exist, and PackagesError when it fails.
    """
    missing = [name for name in (*setup.python, *setup.watch) if not (repo.root / name).is_file()]
    if missing:
        raise errors.ConfigurationError(
            f"the product's setup names {', '.join(missing)}, which is not there",
            "fix setup in config/schema.yaml",
        )
    variables = {}
    if setup.python:
        folder = yield from _virtual(repo, [repo.root / name for name in setup.python])
        path = os.pathsep.join([str(folder / "bin"), os.environ.get("PATH", os.defpath)])
        variables = {"VIRTUAL_ENV": str(folder), "PATH": path}
    if setup.run:
        yield from _run(repo, setup, variables)
    return variables


def _run(repo: Repo, setup: Setup, variables: Mapping[str, str]) -> Events[None]:
    """Run the commands of a setup, unless they ran for files that are the same; two processes take turns."""
    state = hashlib.sha256(repr(setup).encode())
    for name in setup.watch:
        state.update((repo.root / name).read_bytes())
    stamp = repo.state / "setup" / hashlib.sha256(repr(setup.run).encode()).hexdigest()[:16]
    repo.state.mkdir(mode=0o700, exist_ok=True)
    with files.turn(stamp.parent / "lock"):
        if setup.watch and stamp.exists() and stamp.read_text() == state.hexdigest():
            return
        for words in setup.run:
            yield from events.step("install", shlex.join(words), partial(_command, repo, words, variables))
        files.replace(stamp, state.hexdigest())


def _command(repo: Repo, words: Sequence[str], variables: Mapping[str, str]) -> None:
    program = shutil.which(words[0], path=variables.get("PATH")) or words[0]
    result = command.attempt([program, *words[1:]], env=variables, cwd=repo.root, timeout=INSTALL_SECONDS)
    if result.code:
        raise errors.PackagesError(
            f"{shlex.join(words)} failed with {result.code}",
            "the lines above are its own words; setup in config/schema.yaml names it",
            (result.stdout + result.stderr).decode(errors="replace").splitlines()[-LAST_LINES:],
        )


def _virtual(repo: Repo, locks: Sequence[Path]) -> Events[Path]:
    """Return a virtual environment of what lock files pin, and make it unless it exists.

    There is one for each state of the lock files and each Python. It appears whole or not at all: two processes
    take turns, and an interrupted one is made again.
    """
    folder = repo.state / "python" / _name(locks)
    if not (folder / "bin/python").exists():
        work = partial(_make_once, repo, locks, folder)
        yield from events.step("install", "the packages of the product", work)
    os.utime(folder)  # the one before this is kept for what still runs in it
    return folder


def _name(locks: Sequence[Path]) -> str:
    """Return a name for what an environment depends on."""
    parts = [path.read_bytes() for path in locks]
    parts += [word.encode() for word in (platform.python_version(), sysconfig.get_platform(), sys.base_prefix)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _make_once(repo: Repo, locks: Sequence[Path], folder: Path) -> str | None:
    repo.state.mkdir(mode=0o700, exist_ok=True)
    with files.turn(folder.parent / "lock"):
        if (folder / "bin/python").exists():  # another process made it meanwhile
            return None
        for left in folder.parent.glob("part-*"):  # by a process that was killed
            shutil.rmtree(left)
        part = Path(tempfile.mkdtemp(prefix="part-", dir=folder.parent))
        try:
            _make(repo, locks, part)
            shutil.rmtree(folder, ignore_errors=True)  # one whose Python is gone
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        _prune(folder)
    count = len(list(folder.glob("lib/*/site-packages/*.dist-info")))
    return f"{count} packages of {' and '.join(path.name for path in locks)}"


def _make(repo: Repo, locks: Sequence[Path], part: Path) -> None:
    """Make the environment; the network is used only for packages that are not in the cache."""
    _uv(repo, ["venv", "--relocatable", "--no-project", "--allow-existing", "--python", sys.executable, part])
    python, named = ("--python", f"{part}/bin/python"), map(str, locks)
    words = ["pip", "sync", "--require-hashes", "--allow-empty-requirements", *python, *named]
    if not all(map(_hashed, locks)):  # then they need not name every package either
        words = ["pip", "install", *python, *(f"--requirement={lock}" for lock in locks)]
    try:
        _uv(repo, [*words, "--offline"])
    except errors.PackagesError:
        _uv(repo, words)


def _hashed(lock: Path) -> bool:
    """Whether a lock file has hashes, or nothing that could have one."""
    lines = [line.strip() for line in lock.read_text(encoding="utf-8").splitlines()]
    return "--hash=" in "".join(lines) or not any(line and not line.startswith("#") for line in lines)


def _uv(repo: Repo, words: Iterable[str | Path]) -> None:
    known = {name: value for name, value in os.environ.items() if name.startswith(FETCHING)}
    if index := os.environ.get("PIP_INDEX_URL"):
        known.setdefault("UV_DEFAULT_INDEX", index)
    env = {"UV_SYSTEM_CERTS": "1", "UV_PYTHON_DOWNLOADS": "never", **known}
    argv = [sys.executable, "-m", "uv", "--quiet", *words]
    result = command.attempt(argv, env=env, cwd=repo.root, timeout=INSTALL_SECONDS)
    if result.code:
        raise errors.PackagesError(
            "the packages of the product cannot be installed",
            "the lines above are uv's own words; setup in config/schema.yaml names the lock files",
            result.stderr.decode(errors="replace").splitlines()[-LAST_LINES:],
        )


def _prune(kept: Path) -> None:
    """Remove the environments of lock files that are two changes old."""
    others = [path for path in kept.parent.iterdir() if path.is_dir() and path != kept]
    for old in sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)[1:]:
        shutil.rmtree(old, ignore_errors=True)
