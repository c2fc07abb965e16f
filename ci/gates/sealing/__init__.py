"""The sealing gate: what is secret is sealed, for exactly those who may read it, and nothing else is tracked.

It needs neither a key nor the network, and trusts neither what sops would say nor what git is configured to.
"""

import stat
from collections.abc import Iterator
from pathlib import Path

from ci.gates.finding import Finding, Findings, Rule, shown
from ci.gates.sealing import history, proposals, readers, rulesfile, sealed, tracked
from ci.gates.sealing.tracked import Entry, Tree
from ci.ground import git
from ci.ground.errors import GateError
from ci.ground.repo import Repo

RULES: tuple[Rule, ...] = (
    *sealed.RULES,
    *rulesfile.RULES,
    *readers.RULES,
    *tracked.RULES,
    *proposals.RULES,
    *history.RULES,
)


def check(repo: Repo) -> Findings:
    """Look at what is tracked: at the files as they lie there, and at the index where it differs.

    Raises GateError when the folder is no git checkout, and ConfigurationError when the schema or the environments
    cannot be read.
    """
    git.checkout(repo.root)
    index = git.tracked(repo.root)
    folder = _folder(repo.root, index)
    changed = {one for one in index if not _same(one, folder)}
    found, looked = _judge(repo, folder)
    if changed:
        blobs = dict(git.contents(repo.root, (one.blob for one in changed if _is_file(one))))
        staged = {one.path: folder[one.path] for one in index if one not in changed}
        staged |= {one.path: Entry(one.mode, blobs.get(one.blob, b"")) for one in changed}
        found += _judge(repo, staged)[0]
    return Findings(map(_filled, found), {**looked, "tracked files": len(index)})


def check_history(repo: Repo, base: str | None, head: str = "HEAD") -> Findings:
    """Look at each commit that head has and base has not (without a base: all), and at what they left behind.

    Raises GateError for a shallow clone, a missing object, an unknown revision, or when there is no commit.
    """
    git.checkout(repo.root)
    names, keys = repo.environments.in_git, [key.name for key in repo.schema.secrets()]
    found, commits = history.look(repo.root, base, head, names, keys)
    return Findings(map(_filled, found), {"commits": commits})


def _filled(of: Finding) -> Finding:
    """Fill the hint; a sealed file and a proposal name their environment."""
    match = tracked.sealed(of.path)
    return of.filled(match[1] if match else "")


def _judge(repo: Repo, tree: Tree) -> tuple[list[Finding], dict[str, int]]:
    """Judge a whole tree; return the findings and how much of what was in it."""
    names = repo.environments.in_git
    found = list(tracked.look(tree, names, [key.name for key in repo.schema.secrets()]))
    files = [
        sealed.read(path, entry.data)
        for path, entry in sorted(tree.items())
        if tracked.sealed(path) and entry.mode not in (git.LINK, git.MODULE)
    ]
    rules = rulesfile.read(tree[rulesfile.PLACE].data if rulesfile.PLACE in tree else None, names)
    found += [*rules.findings, *_compared(files, rules), *readers.shared(files)]
    found += proposals.look(files, [key.name for key in repo.schema.secrets()])
    looked = {
        "sealed files": sum(bool(tracked.SEALED.fullmatch(one.place)) for one in files),
        "values": sum(one.values for one in files),
        "recipients": sum(len(one.recipients) for one in files),
    }
    return found, looked


def _compared(files: list[sealed.Sealed], rules: rulesfile.Rules) -> Iterator[Finding]:
    for one in files:
        yield from one.findings
        match = tracked.sealed(one.place)
        if match and match[1] in rules.recipients and one.recipients:
            yield from readers.compare(one, rules.recipients[match[1]])


def _is_file(one: git.Version) -> bool:
    return one.mode != git.MODULE


def _same(one: git.Version, folder: Tree) -> bool:
    if not _is_file(one):
        return True
    here = folder.get(one.path)
    return here is not None and here.mode == one.mode and git.blob(here.data, one.blob) == one.blob


def _folder(root: Path, index: list[git.Version]) -> dict[str, Entry]:
    """Return the tracked files as they lie in the folder, and everything that lies in secrets/."""
    paths = [one.path for one in index if _is_file(one)]
    secrets = root / tracked.FOLDER
    if not secrets.is_symlink():
        paths += [
            str(path.relative_to(root)) for path in secrets.rglob("*") if not path.is_dir() or path.is_symlink()
        ]
    found = {}
    for path in paths:
        if (entry := _entry(root / path)) is not None:
            found[path] = entry
    modules = {one.path: Entry(one.mode, b"") for one in index if not _is_file(one)}
    return found | modules


def _entry(path: Path) -> Entry | None:
    """Return a file, or a link as git keeps it; None when it is gone."""
    try:
        if path.is_symlink():
            return Entry(git.LINK, bytes(path.readlink()))
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return None
        if not stat.S_ISREG(mode):  # a pipe would keep us waiting
            return Entry(git.LINK, b"")
        return Entry("100755" if mode & stat.S_IXUSR else "100644", path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        raise GateError(f"{shown(path.name)} cannot be read", "look at its permissions") from None
