"""What an earlier look with the same rules found to hold no leak, and this one need not read again.

There is a record for each repository and state of the rules, outside of every checkout, for its owner alone; and
none where `CI` is set, for such a machine may keep what a pull request wrote.
"""

import hashlib
import os
import sqlite3
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from ci.ground import machine
from ci.ground.errors import MachineError

CODE = Path(__file__).parents[2]
CHUNK = 10_000  # items of one question to SQLite
KEPT = 30 * 24 * 3600  # seconds after its last use that a record is kept


class Known:
    """Items that need no look: ids of git's objects, and names of files and references.

    What a look adds is kept in memory and in SQLite's own temporary file; `keep` writes it into the record.
    """

    def __init__(self, record: Path | None = None) -> None:
        self.record = record
        self._tables = ["main"]
        self._database = sqlite3.connect("")
        self._database.execute("CREATE TABLE clean (item BLOB PRIMARY KEY) WITHOUT ROWID")
        if record:
            self._attach(record)

    def _attach(self, record: Path) -> None:
        try:
            self._database.execute("ATTACH ? AS kept", (str(record),))
            self._database.execute("CREATE TABLE IF NOT EXISTS kept.clean (item BLOB PRIMARY KEY) WITHOUT ROWID")
            self._tables.append("kept")
        except sqlite3.DatabaseError as error:
            self._without(error)

    def _without(self, error: sqlite3.DatabaseError) -> None:
        """Go on without the record, and remove it if it is damaged; one that is locked or full stays."""
        self._tables = ["main"]
        if self.record and not isinstance(error, sqlite3.OperationalError):
            self.record.unlink(missing_ok=True)

    def new(self, items: Iterable[str]) -> Iterator[str]:
        """Give the items that are not known, in their order."""
        chunk: dict[bytes, str] = {}
        for item in items:
            chunk[_digest(item)] = item
            if len(chunk) == CHUNK:
                yield from self._unknown(chunk)
                chunk = {}
        yield from self._unknown(chunk)

    def _unknown(self, chunk: dict[bytes, str]) -> Iterator[str]:
        for table in self._tables:
            marks = ",".join("?" * len(chunk))
            query = f"SELECT item FROM {table}.clean WHERE item IN ({marks})"  # noqa: S608, nothing of it is given
            try:
                found = self._database.execute(query, list(chunk)).fetchall()
            except sqlite3.DatabaseError as error:
                self._without(error)
                break
            for (item,) in found:
                chunk.pop(item, None)
        yield from chunk.values()

    def add(self, items: Iterable[str]) -> None:
        """Note that items held no leak."""
        self._database.executemany("INSERT OR IGNORE INTO clean VALUES (?)", ((_digest(item),) for item in items))

    def keep(self) -> None:
        """Write what was noted into the record; a machine that has no room for it looks again next time."""
        with suppress(sqlite3.Error):
            self._database.commit()
            if "kept" in self._tables:
                self._database.execute("INSERT OR IGNORE INTO kept.clean SELECT item FROM main.clean")
                self._database.commit()
        self._database.close()


def record(repository: Path, rules: str) -> Path | None:
    """Return where the record of a repository and of rules is; None where none can be kept."""
    if not rules or "CI" in os.environ:
        return None
    try:
        folder = _caches() / "lockstep" / "leaks"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = folder.lstat()
    except (OSError, MachineError):
        return None
    private = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
    if not private or folder.resolve().is_relative_to(repository.resolve()):
        return None
    path = folder / hashlib.sha256(f"{repository.resolve()}\0{rules}".encode()).hexdigest()[:32]
    with suppress(OSError):
        path.touch(mode=0o600)  # it is in use
        for other in folder.iterdir():
            if other.stat().st_mtime < time.time() - KEPT:
                other.unlink()
    return path


def state(*parts: bytes) -> str:
    """Return a digest of the gate's code and packages, of this Python, and of what else decides about a leak."""
    files = [*sorted(CODE.rglob("*.py")), CODE / "gates/leaks/own.txt", CODE / "requirements.txt"]
    digest = hashlib.sha256(sys.version.encode())
    for part in (*(path.read_bytes() for path in files), *parts):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def _caches() -> Path:
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return given if given.is_absolute() else machine.home() / ".cache"


def _digest(item: str) -> bytes:
    return hashlib.blake2b(item.encode(errors="surrogateescape"), digest_size=16).digest()
