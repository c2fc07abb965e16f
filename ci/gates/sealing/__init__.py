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
    """Look at what is tracked: at the files in the folder, and at the index where it differs; or at a commit.

    Raises GateError when the folder is not a git checkout, and ConfigurationError when the schema or the
    environments cannot be read.
    """
    if repo.commit:
        return _check_commit(repo)
    git.checkout(repo.root)
    index = git.tracked(repo.root)
    folder = _folder(repo.root, index)
    changed = {version for version in index if not _same(version, folder)}
    findings, looked = _judge(repo, folder)
    if changed:
        blobs = dict(git.contents(repo.root, (version.blob for version in changed if _is_file(version))))
        staged = {version.path: folder[version.path] for version in index if version not in changed}
        staged |= {version.path: Entry(version.mode, blobs.get(version.blob, b"")) for version in changed}
        findings += _judge(repo, staged)[0]
    return Findings(map(_filled, findings), {**looked, "tracked files": len(index)})


def check_history(repo: Repo, base: str | None, head: str = "HEAD") -> Findings:
    """Look at each commit that head has and base has not (without a base: all), and at what they left behind.

    Raises GateError for a shallow clone, a missing object, an unknown revision, or when no commit was found.
    """
    if not repo.commit:
        git.checkout(repo.root)
    names, keys = repo.environments.in_git, [key.name for key in repo.schema.secrets()]
    findings, commits = history.look(repo.root, base, head, names, keys)
    return Findings(map(_filled, findings), {"commits": commits})


def _check_commit(repo: Repo) -> Findings:
    versions = repo.versions.values()
    blobs = dict(git.contents(repo.root, (version.blob for version in versions if _is_file(version))))
    findings, looked = _judge(
        repo, {version.path: Entry(version.mode, blobs.get(version.blob, b"")) for version in versions}
    )
    return Findings(map(_filled, findings), {**looked, "tracked files": len(versions)})


def _filled(finding: Finding) -> Finding:
    """Fill the hint; a sealed file and a proposal name their environment."""
    match = tracked.sealed(finding.path)
    return finding.filled(match[1] if match else "")


def _judge(repo: Repo, tree: Tree) -> tuple[list[Finding], dict[str, int]]:
    """Judge a whole tree; return the findings and how much of what was in it."""
    names = repo.environments.in_git
    findings = list(tracked.look(tree, names, [key.name for key in repo.schema.secrets()]))
    findings += tracked.brought(tree, repo.schema.brought)
    files = [
        sealed.read(path, entry.data)
        for path, entry in sorted(tree.items())
        if tracked.sealed(path) and entry.mode not in (git.LINK, git.MODULE)
    ]
    rules = rulesfile.read(tree[rulesfile.PLACE].data if rulesfile.PLACE in tree else None, names)
    findings += [*rules.findings, *_compared(files, rules), *readers.shared(files)]
    findings += proposals.look(files, [key.name for key in repo.schema.secrets()])
    looked = {
        "sealed files": sum(bool(tracked.SEALED.fullmatch(file.place)) for file in files),
        "values": sum(file.values for file in files),
        "recipients": sum(len(file.recipients) for file in files),
    }
    if files and not looked["values"]:  # a product without secrets
        del looked["values"]
    return findings, looked


def _compared(files: list[sealed.Sealed], rules: rulesfile.Rules) -> Iterator[Finding]:
    for file in files:
        yield from file.findings
        match = tracked.sealed(file.place)
        if match and match[1] in rules.recipients and file.recipients:
            yield from readers.compare(file, rules.recipients[match[1]])


def _is_file(version: git.Version) -> bool:
    return version.mode != git.MODULE


def _same(version: git.Version, folder: Tree) -> bool:
    if not _is_file(version):
        return True
    here = folder.get(version.path)
    return here is not None and here.mode == version.mode and git.blob(here.data, version.blob) == version.blob


def _folder(root: Path, index: list[git.Version]) -> dict[str, Entry]:
    """Return the tracked files as they are in the folder, and everything in secrets/."""
    paths = [version.path for version in index if _is_file(version)]
    secrets = root / tracked.FOLDER
    if not secrets.is_symlink():
        paths += [
            str(path.relative_to(root)) for path in secrets.rglob("*") if not path.is_dir() or path.is_symlink()
        ]
    entries = {}
    for path in paths:
        if (entry := _entry(root / path)) is not None:
            entries[path] = entry
    modules = {version.path: Entry(version.mode, b"") for version in index if not _is_file(version)}
    return entries | modules


def _entry(path: Path) -> Entry | None:
    """Return a file, or a link as git keeps it; None when it does not exist."""
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
