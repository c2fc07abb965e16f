"""Several files that change together: all or none of them, also when the process is killed in between."""

import base64
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ci.ground import errors, files
from ci.ground.repo import Repo
from ci.sealing import envelopes

Files = Mapping[Path, bytes | None]  # what each shall hold; None for a file to delete


@contextmanager
def alone(repo: Repo) -> Iterator[None]:
    """Keep others from changing sealed files in this checkout, and finish a change that was interrupted."""
    folder = os.open(repo.root / "config", os.O_RDONLY)  # the kernel drops the lock however its holder ends
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise errors.LockedError(
                "somebody else is changing sealed files in this checkout", "run it again when they are done"
            ) from None
        _finish(repo)
        yield
    finally:
        os.close(folder)


def apply(repo: Repo, changes: Files) -> None:
    """Put every file in its place. Only ciphertext and other public text: the journal also holds it.

    The envelopes of sealed files among them were made here.
    """
    for name in repo.environments.by_name:
        if data := changes.get(repo.sealed(name)):
            envelopes.note(data)
    if len(changes) > 1:
        plan = {
            str(path.relative_to(repo.root)): {"before": _sum(_read(path)), "after": _text(data)}
            for path, data in changes.items()
        }
        files.replace(_journal(repo), json.dumps(plan))
        _finish(repo)
        return
    for path, data in changes.items():
        _put(path, data)


def _finish(repo: Repo) -> None:
    """Complete the change that the journal holds; it may have been begun."""
    data = _read(_journal(repo))
    if data is None:
        return
    plan = {repo.root / path: step for path, step in json.loads(data).items()}
    states = {path: _bytes(step["after"]) for path, step in plan.items()}
    moved = [path for path, step in plan.items() if _sum(_read(path)) not in (step["before"], _sum(states[path]))]
    if moved:
        raise errors.EditError(
            "a change was interrupted, and its files were changed since: it cannot be finished",
            f"see that they are as they should be, then: rm {_journal(repo).relative_to(repo.root)}",
            [str(path.relative_to(repo.root)) for path in moved],
        )
    for path, after in states.items():
        _put(path, after)
    _journal(repo).unlink()


def _journal(repo: Repo) -> Path:
    return repo.state / "change.json"


def _put(path: Path, data: bytes | None) -> None:
    if data is None:
        path.unlink(missing_ok=True)
    else:
        files.replace(path, data)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _sum(data: bytes | None) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()


def _text(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
