"""The commits of a pull request: what was in them for a while, and what a change of readers left behind."""

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
    files = [(sha, version) for sha in before for version in _sealed(root, sha)]
    last = _sealed(root, tip)
    versions = [version for _, version in [*files, *changes] if version.mode != git.MODULE]
    blobs = dict(git.contents(root, (version.blob for version in versions)))
    findings = []
    for sha, version in changes:
        entry = Entry(version.mode, blobs.get(version.blob, b""))
        place = f"{sha[: git.SHORT]}:"
        findings += [
            replace(problem, place=f"{place}{problem.place}")
            for problem in tracked.look({version.path: entry}, names, keys)
            if problem.rule != tracked.STRANGER.id  # it may have been an environment then
        ]
        if _is_sealed(version):
            findings += sealed.read(f"{place}{version.path}", entry.data).findings
    files += ((sha, version) for sha, version in changes if _is_sealed(version))
    findings += _removed(
        [(f"{sha[: git.SHORT]}:", sealed.read(version.path, blobs[version.blob])) for sha, version in files],
        [sealed.read(version.path, data) for version in last for _, data in git.contents(root, [version.blob])],
    )
    if start is not None:
        findings += _rollbacks(root, start, before, last)
    return findings, len(shas)


def _removed(versions: list[tuple[str, Sealed]], last: list[Sealed]) -> Iterator[Finding]:
    """Yield what a removed recipient can still open: at the end, and where a new value was sealed for them too."""
    readers: dict[tuple[bytes, bytes], set[str]] = defaultdict(set)  # of each ciphertext, so far
    openers: dict[bytes, set[str]] = defaultdict(set)  # of the data key in each envelope
    for commit, file in versions:
        if not file.pairs.keys() <= readers.keys():
            yield from _stale(file, readers, openers, commit)
        recipients = {recipient for recipient, _ in file.recipients}
        for pair in file.pairs:
            readers[pair] |= recipients
        for envelope in file.envelopes:
            openers[envelope] |= recipients
    for file in last:
        yield from _stale(file, readers, openers, "")


def _stale(
    file: Sealed,
    readers: Mapping[tuple[bytes, bytes], set[str]],
    openers: Mapping[bytes, set[str]],
    commit: str,
) -> Iterator[Finding]:
    own = {recipient for recipient, _ in file.recipients}
    for envelope, line in file.envelopes.items():
        if removed := openers.get(envelope, set()) - own:
            message = f"is the envelope of when {shown(min(removed))} had one, so the data key is the same"
            yield finding(REMOVED, f"{commit}{file.place}", message, line=line)
    for pair, key in file.pairs.items():
        if removed := readers.get(pair, set()) - own:
            message = f"is as it was when {shown(min(removed))} could open it, so the data key is the same"
            yield finding(REMOVED, f"{commit}{file.place}", message, key=key)


def _rollbacks(root: Path, base: str, before: list[str], last: list[git.Version]) -> Iterator[Finding]:
    """Yield the sealed files of the head that equal one of the base's past, which the base has since replaced.

    sops' MAC has a new nonce whenever a file is written, so it distinguishes versions.
    """
    earlier = [version for sha in (base, *before) for version in _sealed(root, sha)]
    changed = [version for version in last if version.blob not in {other.blob for other in earlier}]
    if not changed:
        return
    past = git.ever(root, [base], tracked.FOLDER)
    blobs = {*past, *(version.blob for version in changed)}
    macs = {name: sealed.read("", data).mac for name, data in git.contents(root, blobs)}
    old = {mac for name, mac in macs.items() if name in past and mac}
    for version in changed:
        now = {macs[other.blob] for other in earlier if other.path == version.path} - {
            b""
        }  # what is broken may be fixed
        if (now or tracked.PROPOSAL.fullmatch(version.path)) and macs[version.blob] in old - now:
            yield finding(ROLLBACK, version.path, "is an older version, the base has a newer one")


def _sealed(root: Path, commit: str) -> list[git.Version]:
    return [version for version in git.committed(root, commit, tracked.FOLDER) if _is_sealed(version)]


def _is_sealed(version: git.Version) -> bool:
    return bool(tracked.sealed(version.path)) and version.mode not in (git.LINK, git.MODULE)
