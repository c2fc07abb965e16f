"""The leaks gate: the real gitleaks over everything that a repository or an image holds.

Everything is read twice: by form, with an engine (scanner.py: gitleaks), and as names and values (parsed.py,
lines.py). One judge (judge.py) decides about all that they find. A whole history is every object of a mirror
clone, reachable or not: each content once, where it is new, with lines around it and the name above a value that
changed. `gitleaks git` leaves out merges and what an attribute calls binary, and with `-m` it reads every merge
once more for each parent.
"""

import os
import tempfile
from pathlib import Path

from ci.gates.finding import Findings
from ci.gates.leaks import known
from ci.gates.leaks.files import check_folder, check_image
from ci.gates.leaks.known import Known
from ci.gates.leaks.look import Look
from ci.gates.leaks.objects import Places, Reader
from ci.gates.leaks.rules import RULES
from ci.ground.git import Git, opened
from ci.ground.repo import Repo

__all__ = ["RULES", "check", "check_commits", "check_folder", "check_image", "check_staged"]


def check(repo: Repo, look: Look | None = None) -> Findings:
    """Look at the whole history: all objects and references, from a bare mirror clone in a temp folder.

    Without a look it is one by the checkout's own schema.
    """
    look, source = look or Look.of(repo), opened(repo.root)
    commits = source("rev-list", "--all", "--topo-order", "--reverse").decode().split()
    with tempfile.TemporaryDirectory(prefix="lockstep-leaks-") as folder:
        # --shared copies no object: nothing of the history, not even packed, is written anywhere.
        source("clone", "--quiet", "--mirror", "--shared", str(source.root), folder)
        git = Git(Path(folder))
        reader = Reader(git, look, _known(source, look))
        reader.commits(commits)
        ids = git("cat-file", "--batch-all-objects", "--batch-check=%(objectname)").decode().split()
        refs = git("for-each-ref", "--format=%(refname) %(objectname)").decode(errors="replace").splitlines()
        names = dict(line.rsplit(" ", 1) for line in refs)
        reader.rest(ids, names)
    return _findings(reader, {"commits": len(commits), "objects": len(ids)})


def check_commits(repo: Repo, base: str | None) -> Findings:
    """Look at what HEAD, or the commit, has and `base`, a revision, has not: contents, messages and names.

    Without a base that is the whole history of it.
    """
    git, look = opened(repo.root), Look.of(repo)
    ends = [
        git("rev-parse", "--verify", "--end-of-options", f"{end}^{{commit}}").decode().strip()
        for end in (repo.commit or "HEAD", *([] if base is None else [base]))
    ]
    span = (ends[0], *(f"^{end}" for end in ends[1:]))
    commits = git("rev-list", "--topo-order", "--reverse", *span).decode().split()
    ids = set(git("rev-list", "--objects", "--no-object-names", *span).decode().split()) if base else None
    reader = Reader(git, look, _known(git, look))
    reader.commits(commits, ids)
    if not repo.commit:
        branch = git("rev-parse", "--symbolic-full-name", "HEAD").decode(errors="replace").strip()
        reader.rest((), {branch: ends[0]})
    return _findings(reader, {"commits": len(commits)})


def check_staged(repo: Repo) -> Findings:
    """Look at the staged files, whole, from any folder of the checkout."""
    # `git commit -a` and `git commit FILE` stage into an index of their own and name it to the hook.
    index = os.environ.get("GIT_INDEX_FILE")
    git = opened(repo.root, {"GIT_INDEX_FILE": str(Path(index).absolute())} if index else None)
    entries = git("ls-files", "--stage", "-z").split(b"\0")[:-1]
    listing = git(
        *("diff", "--cached", "--raw", "-z", "--no-renames", "--no-abbrev", "--diff-filter=d"),
        *("--no-ext-diff", "--no-textconv", "--no-relative", "--ignore-submodules=none"),
    )
    words = listing.split(b"\0")[:-1]
    staged = {
        path.decode(errors="surrogateescape"): entry.split(b" ")[3].decode()
        for entry, path in zip(words[::2], words[1::2], strict=True)
        if entry.split(b" ")[1] != b"160000"
    }
    look = Look.of(repo)
    paths = {blob: path for path, blob in staged.items()}
    places = Places({blob: (0, "", path) for blob, path in paths.items()}, names=dict.fromkeys(staged, ""))
    Reader(git, look, Known()).at(list(paths), places)
    looked = {"files in the index": len(entries), **({"bytes": look.size} if staged else {})}
    return Findings(look.findings(lambda source: source.within(paths.get(source.id, source.id))), looked)


def _known(git: Git, look: Look) -> Known:
    folder = git("rev-parse", "--path-format=absolute", "--git-common-dir").decode(errors="surrogateescape")
    return Known(known.record(Path(folder.rstrip("\n")), look.state()))


def _findings(reader: Reader, looked: dict[str, int]) -> Findings:
    """Return the findings of a history, and note what needs no second look."""
    reader.known.keep()
    # A commit that only deletes has no content that is new; its message was read.
    counts = {"blobs": reader.blobs, "bytes": reader.look.size}
    found = reader.look.findings(reader.places.place, reader.places.order)
    return Findings(found, looked | {noun: count for noun, count in counts.items() if count})
