"""The commits of a pull request: what stood in them for a while, and what a change of readers left behind."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from ci.gates.finding import Finding, Rule, finding
from ci.gates.sealing import sealed, tracked
from ci.gates.sealing.rulesfile import shown
from ci.gates.sealing.sealed import Sealed
from ci.gates.sealing.tracked import Entry
from ci.ground import git

REMOVED = Rule(
    "sealing/removed-reader",
    "a ciphertext of before a recipient was removed, which that recipient can still open",
    "sops updatekeys without sops rotate",
    "sops rotate -i {file}, and replace the values: they were known",
)
ROLLBACK = Rule(
    "sealing/rollback",
    "a sealed file as it was once before",
    "git checkout of an old version, or a revert",
    "git checkout BASE -- {file}, then inv set what should change",
)
RULES = (REMOVED, ROLLBACK)


def look(
    root: Path, base: str | None, head: str, names: Collection[str], keys: Collection[str]
) -> tuple[list[Finding], int]:
    """Return what is wrong in the commits that head has and base has not, and how many those are."""
    tip, start = git.commit(root, head), git.commit(root, base) if base is not None else None
    shas, before = git.commits(root, start, tip)
    if not shas:
        return [], 0
    changes = list(git.changes(root, shas))
    files = [(sha, one) for sha in before for one in _sealed(root, sha)]
    last = _sealed(root, tip)
    blobs = dict(git.contents(root, (one.blob for _, one in [*files, *changes] if one.mode != git.MODULE)))
    found = []
    for sha, one in changes:
        entry = Entry(one.mode, blobs.get(one.blob, b""))
        place = f"{sha[: git.SHORT]}:"
        here = tracked.look({one.path: entry}, names, keys)
        found += [
            _at(place, each) for each in here if each.rule != tracked.STRANGER.id
        ]  # it may have been one then
        if _is_sealed(one):
            found += sealed.read(f"{place}{one.path}", entry.data).findings
    sealed_ones = [*files, *((sha, one) for sha, one in changes if _is_sealed(one))]
    found += _removed(
        [(f"{sha[: git.SHORT]}:", sealed.read(one.path, blobs[one.blob])) for sha, one in sealed_ones],
        [sealed.read(one.path, data) for one in last for _, data in git.contents(root, [one.blob])],
    )
    if start is not None:
        found += _rollbacks(root, start, before, last)
    return found, len(shas)


def _removed(versions: list[tuple[str, Sealed]], last: list[Sealed]) -> Iterator[Finding]:
    """Yield what a removed recipient can still open: at the end, and where a new value was sealed for them too."""
    readers: dict[tuple[bytes, bytes], set[str]] = defaultdict(set)  # of each ciphertext, so far
    for commit, one in versions:
        if not one.pairs.keys() <= readers.keys():
            yield from _stale(one, readers, commit)
        for pair in one.pairs:
            readers[pair] |= {who for who, _ in one.recipients}
    for one in last:
        yield from _stale(one, readers, "")


def _stale(one: Sealed, readers: Mapping[tuple[bytes, bytes], set[str]], commit: str) -> Iterator[Finding]:
    own = {who for who, _ in one.recipients}
    for pair, key in one.pairs.items():
        if gone := readers.get(pair, set()) - own:
            message = f"is as it was when {shown(min(gone))} could open it, so the data key is the same"
            yield finding(REMOVED, f"{commit}{one.place}", message, key=key)


def _rollbacks(root: Path, base: str, before: list[str], last: list[git.Version]) -> Iterator[Finding]:
    """Yield the sealed files of the head that equal one of the base's past, which the base has left behind.

    sops' MAC has a new nonce whenever a file is written, so that it tells versions apart.
    """
    kept = [one for sha in (base, *before) for one in _sealed(root, sha)]
    changed = [one for one in last if one.blob not in {each.blob for each in kept}]
    if not changed:
        return
    past = git.ever(root, [base], tracked.FOLDER)
    wanted = {*past, *(one.blob for one in changed)}
    macs = {name: sealed.read("", data).mac for name, data in git.contents(root, wanted)}
    old = {mac for name, mac in macs.items() if name in past and mac}
    for one in changed:
        now = {macs[each.blob] for each in kept if each.path == one.path} - {b""}  # what is broken may be fixed
        if (now or tracked.PROPOSAL.fullmatch(one.path)) and macs[one.blob] in old - now:
            yield finding(ROLLBACK, one.path, "is an older version, the base has a newer one")


def _sealed(root: Path, commit: str) -> list[git.Version]:
    return [one for one in git.committed(root, commit, tracked.FOLDER) if _is_sealed(one)]


def _is_sealed(one: git.Version) -> bool:
    return bool(tracked.sealed(one.path)) and one.mode not in (git.LINK, git.MODULE)


def _at(commit: str, one: Finding) -> Finding:
    return replace(one, place=f"{commit}{one.place}")
