"""Who can decrypt and could not at the base: by .sops.yaml, and by any sealed file of any commit on the way.

A recipient of a commit in between keeps what it can read there, whatever a later commit says.
"""

from collections.abc import Iterator

from ci.gates.finding import Finding, finding
from ci.gates.loosened import rules
from ci.gates.sealing import rulesfile, sealed, tracked
from ci.gates.sealing.rulesfile import PLACE, shown
from ci.ground import git
from ci.ground.repo import Repo


def look(head: Repo, base: Repo) -> Iterator[Finding]:
    """Yield each recipient that is new for an environment."""
    old, new = _ruled(base), _ruled(head)
    for name, recipients in new.items():
        for recipient in recipients:
            if recipient not in old.get(name, ()):
                yield finding(rules.RECIPIENT, PLACE, f"{shown(recipient)} can decrypt it now", key=name)
    shas, _ = git.commits(head.root, base.commit, head.commit or git.commit(head.root, "HEAD"))
    steps = [(sha, version) for sha, version in git.changes(head.root, shas) if _is_sealed(version)]
    blobs = dict(git.contents(head.root, (version.blob for _, version in steps)))
    for sha, version in steps:
        match = tracked.sealed(version.path)
        known = {*old.get(match[1], ()), *new.get(match[1], ())} if match else set()
        for recipient, line in sealed.read(version.path, blobs[version.blob]).recipients:
            if match and recipient not in known:
                place = f"{sha[: git.SHORT]}:{version.path}"
                message = f"{shown(recipient)} can decrypt this version"
                yield finding(rules.RECIPIENT, place, message, key=match[1], line=line)


def _ruled(repo: Repo) -> dict[str, list[str]]:
    return rulesfile.read(repo.read(PLACE) if repo.exists(PLACE) else None, ()).recipients


def _is_sealed(version: git.Version) -> bool:
    return bool(tracked.sealed(version.path)) and version.mode not in (git.LINK, git.MODULE)
