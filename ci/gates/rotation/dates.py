"""When each sealed value was last changed, by whom, and how that is known: from git and the record, without a key.

sops gives each value that it encrypts again another ciphertext. So one ciphertext of a key dates from the first
commit that had it, and a value that is changed back is as old as it was. What a new ciphertext means depends
on the data key, with which all values of a file are encrypted:

* The data key stayed: the file shares an envelope or a ciphertext with the version before. sops keeps the
  ciphertext of a value that stays, so each new one is a new value. That is what `inv set` leaves behind.
* The data key is new, so every line is. `sops rotate`, `recipients.remove` and `keys.rotate` do that, and the
  values are as before; `inv encrypt` does it, and they may be others. Without an identity the two look the same.
  It counts as no change: a reminder too early costs less than no reminder.
* A merge made new ciphertext: each value is from one of its sides, and as old as in it; of two, the newer.
* The first version of a file, a key that no version before had, and what `inv init` puts in the place of the
  template's values, which no person has: nothing is older.

Strongest is the record, config/rotations.jsonl, which `inv rotate` writes at its end: it also dates a value that
got a new data key. Of record and git the later date counts.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from ci.gates.sealing import sealed, tracked
from ci.gates.sealing.sealed import Sealed
from ci.ground import git
from ci.ground.environments import TEMPLATE
from ci.ground.errors import GateError
from ci.ground.repo import Repo

_PROJECT = re.compile(rb"(?m)^project: *([^\s#]+)")
_EMPTY = re.compile(rb"(?:sops_\w+=.*\n)+")  # metadata alone
Pair = tuple[bytes, bytes]  # one ciphertext: its data and its tag


@dataclass(frozen=True)
class Change:
    """A change of a value: who made it, when, and what shows it, a commit or else."""

    who: str
    when: datetime
    shown: str


@dataclass(frozen=True)
class Dated:
    """One sealed value: its place, its last change, its age in days, and the day on which it is due, if ever."""

    environment: str
    key: str
    place: str
    line: int
    last: Change
    days: int
    due: date | None


@dataclass(frozen=True)
class Dates:
    """Every sealed value of every environment, and how much was looked at."""

    values: Sequence[Dated]
    looked: Mapping[str, int]


def read(repo: Repo, now: datetime) -> Dates:
    """Date every sealed value of the working tree, or of the commit; what is not committed was changed now.

    A product without secrets has sealed files that hold nothing but sops' metadata. Raises GateError when the
    history is not whole, a file is not a sealed one, or the record cannot be read.
    """
    if not repo.commit:
        git.checkout(repo.root)
    history, recorded = History(repo.root, repo.commit or "HEAD"), _recorded(repo, now)
    here = Change(git.user(repo.root) or "-", now, "not committed")
    values: list[Dated] = []
    files = {name: f"secrets/{name}.enc.env" for name in repo.environments.in_git}
    files = {name: place for name, place in files.items() if repo.exists(place)}
    for name, place in files.items():
        data = repo.read(place)
        pairs = {key: pair for pair, key in history.now(place, data, here).pairs.items() if key}
        if not pairs and not _EMPTY.fullmatch(data):
            raise GateError(f"{place} holds no sealed value, no age can be found", "nox -s secrets says why")
        for key, pair in pairs.items():
            last = max((history.known[key, pair], *recorded.get((name, key), ())), key=lambda change: change.when)
            changed = last.when.astimezone(UTC).date()
            term = repo.schema.keys[key].meta.get("rotate_days") if key in repo.schema.keys else None
            due = changed + timedelta(days=term) if term else None
            values.append(Dated(name, key, place, _line(data, key), last, (now.date() - changed).days, due))
    looked = {"sealed files": len(files), "values": len(values), "commits": history.commits}
    if files and not values:
        del looked["values"]
    return Dates(values, looked)


class History:
    """Every version of every sealed file that a revision's history has, and when each ciphertext was new.

    `known` holds that change by key and ciphertext, `commits` the number of commits.
    """

    def __init__(self, root: Path, revision: str = "HEAD") -> None:
        self.root, self.known = root, dict[tuple[str, Pair], Change]()
        self._head = git.commit(root, revision)
        shas, _ = git.commits(root, None, self._head)
        self.commits = len(shas)
        steps = [
            (sha, version, before)
            for sha, version, before in git.replacements(root, shas, tracked.FOLDER)
            if tracked.SEALED.fullmatch(version.path) and version.mode not in (git.LINK, git.MODULE)
        ]
        blobs = {blob for _, version, before in steps for blob in (version.blob, *before)}
        self._files = {blob: sealed.read("", data) for blob, data in git.contents(root, blobs)}
        self._by: dict[str, str] = {}  # the first commit of each blob
        last: dict[str, str] = {}  # of each path, for a file that was deleted and made again
        authors = git.authors(root, (sha for sha, _, _ in steps))
        for sha, version, before in steps:
            if version.blob not in self._by:
                self._by[version.blob] = sha
                author, when = authors[sha]
                olds = before or ([last[version.path]] if version.path in last else [])
                self._add(self._files[version.blob], olds, Change(author, when, sha[: git.SHORT]))
            last[version.path] = version.blob

    def now(self, place: str, data: bytes, change: Change) -> Sealed:
        """Return a file as it is in the folder; where HEAD has another version, this change made it."""
        file = sealed.read(place, data)
        versions = git.committed(self.root, self._head, tracked.FOLDER)
        before = [version.blob for version in versions if version.path == place and version.blob in self._files]
        self._add(file, before, change)
        return file

    def _add(self, file: Sealed, before: Sequence[str], change: Change) -> None:
        """Take note of what is new in a version, given the versions that it took the place of."""
        olds = [self._files[blob] for blob in before]
        fresh = len(olds) == 1 and (_same_data_key(olds[0], file) or self._was_template(before[0], file))
        for pair, key in file.pairs.items():
            earlier = [
                self.known[key, cipher] for old in olds for cipher, name in old.pairs.items() if name == key
            ]
            last = max(earlier, key=lambda candidate: candidate.when, default=change)
            self.known.setdefault((key, pair), change if fresh else last)

    def _was_template(self, before: str, after: Sealed) -> bool:
        """Whether a version's values were the template's, sealed for identities that no person has."""
        readers = {recipient for recipient, _ in self._files[before].recipients}
        if before not in self._by or readers & {recipient for recipient, _ in after.recipients}:
            return False
        return of_template(self.root, self._by[before])


def of_template(root: Path, commit: str) -> bool:
    """Whether a commit is the template as it was before `inv init`."""
    versions = git.committed(root, commit, "config")
    blobs = [version.blob for version in versions if version.path == "config/environments.yaml"]
    data = dict(git.contents(root, blobs))
    return any((match := _PROJECT.search(text)) and match[1].decode() == TEMPLATE for text in data.values())


def _same_data_key(before: Sealed, after: Sealed) -> bool:
    shared = before.envelopes.keys() & after.envelopes.keys()
    return bool(shared or before.pairs.keys() & after.pairs.keys())


def _recorded(repo: Repo, now: datetime) -> dict[tuple[str, str], list[Change]]:
    """Return the rotations of the record by environment and key.

    GateError for a line that is not understood, and for a rotation of the future: its secret would never be due.
    """
    place = "config/rotations.jsonl"
    damaged = GateError(f"{place} cannot be read", f"take the last good one back: git checkout -- {place}")
    changes: dict[tuple[str, str], list[Change]] = {}
    try:
        lines = repo.read(place).decode().splitlines() if repo.exists(place) else []
        for row in map(json.loads, lines):
            when = datetime.fromisoformat(row["when"]).astimezone(UTC)
            change = Change(str(row["who"]), when, "inv rotate")
            changes.setdefault((row["environment"], row["key"]), []).append(change)
    except (OSError, ValueError, KeyError, TypeError):
        raise damaged from None
    latest = now + timedelta(days=1)  # clocks differ
    if any(change.when > latest for listed in changes.values() for change in listed):
        raise damaged
    return changes


def _line(data: bytes, key: str) -> int:
    lines = data.split(b"\n")
    return next((number for number, line in enumerate(lines, start=1) if line.startswith(f"{key}=".encode())), 1)
