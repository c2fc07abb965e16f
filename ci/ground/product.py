"""The product's own Python: an environment of the packages that its lock files pin, apart from that of ci/."""

import hashlib
import os
import platform
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from ci.ground import command, errors, events, files
from ci.ground.events import Events
from ci.ground.repo import Repo

LOCKS = ("requirements/services.txt", "requirements/local.txt")
FETCHING = ("UV_CACHE", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX", "UV_FIND_LINKS", "UV_INDEX", "UV_KEYRING")
INSTALL_SECONDS = 900


def python(repo: Repo) -> Events[Path]:
    """Return the interpreter of the product's environment, and make the environment unless it exists.

    There is one for each state of the lock files and each Python. It appears whole or not at all: two processes
    take turns, and an interrupted one is made again. Raises ConfigurationError without a lock file, and
    PackagesError when the packages cannot be installed.
    """
    locks = [path for path in (repo.root / name for name in LOCKS) if path.exists()]
    if not locks:
        hint = f"{LOCKS[0]} is the lock file of the product's packages, with a hash for each"
        raise errors.ConfigurationError("the product has no lock file", hint)
    folder = repo.state / "python" / _name(locks)
    interpreter = folder / "bin/python"
    if not interpreter.exists():
        work = partial(_make_once, repo, locks, folder)
        yield from events.step("install", "the packages of the product", work)
    os.utime(folder)  # the one before this is kept for what still runs in it
    return interpreter


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
    sync = ["pip", "sync", "--require-hashes", "--allow-empty-requirements", "--python", f"{part}/bin/python"]
    try:
        _uv(repo, [*sync, "--offline", *locks])
    except errors.PackagesError:
        _uv(repo, [*sync, *locks])


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
            f"the lines above are uv's own words; {LOCKS[0]} names the packages",
            result.stderr.decode(errors="replace").splitlines()[-10:],
        )


def _prune(kept: Path) -> None:
    """Remove the environments of lock files that are two changes old."""
    others = [path for path in kept.parent.iterdir() if path.is_dir() and path != kept]
    for old in sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)[1:]:
        shutil.rmtree(old, ignore_errors=True)
