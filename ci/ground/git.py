"""What git knows about a checkout.

What the gates ask for, from `checkout` on, raises GateError when git does not know: a gate must not take that for
an empty answer. Nothing of it uses the network, a hook, a filter, or what the checkout's attributes say.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ci.ground import command, machine
from ci.ground.errors import GateError, TrackedError

SHORT = 12  # characters of a SHA that name a commit in this project
DIRTY = "-dirty"  # follows them when the working tree differs
FOLDER, LINK, MODULE, GONE = "040000", "120000", "160000", "000000"  # modes
# No watcher of files is started, no setting changes an answer, and no file beside the objects says what they are.
_SETTINGS = {
    "color.ui": "never",
    "core.commitGraph": "false",
    "core.fsmonitor": "false",
    "core.quotePath": "false",
    "diff.external": "",
    "diff.renames": "false",
    "diff.relative": "false",
    "diff.ignoreSubmodules": "none",
    "log.showSignature": "false",
}
# Nothing is fetched, as for a partial clone. The hooks of a commit inherit settings, and theirs may fetch.
_OFFLINE = {"protocol.allow": "never", "protocol.file.allow": "always"}
# No object replaces another, and none is locked to be read.
_ENV = {
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": "/dev/null",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ATTR_NOSYSTEM": "1",
}
_NO_CONFIG = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_NO_LAZY_FETCH": "1"}
_AT_ONCE = 500  # blobs held in memory together


@dataclass(frozen=True)
class Version:
    """One version of one file: its mode, its blob and its path; `stage` is not 0 in the middle of a merge."""

    mode: str
    blob: str
    path: str
    stage: int = 0


@dataclass(frozen=True)
class Git:
    """Git in one folder, the one way to run it.

    The checkout is data: no watcher, filter, setting or replacement of it has an effect. With `own` the user's own
    configuration counts, for what is done in the user's name or compared with the user's working tree.
    """

    root: Path
    extra: Mapping[str, str] = field(default_factory=dict)
    own: bool = False

    def attempt(self, *words: str | Path, text: bytes = b"", timeout: float = 3600) -> command.Result:
        """Run git to its end and return its result, with any exit code."""
        settings = _SETTINGS if self.own else {**_SETTINGS, **_OFFLINE, "safe.directory": str(self.root)}
        env = {
            **_ENV,
            **({} if self.own else _NO_CONFIG | {"PATH": command.path(os.environ.get("PATH", ""), self.root)}),
            "GIT_CONFIG_COUNT": str(len(settings)),
            **{f"GIT_CONFIG_KEY_{number}": name for number, name in enumerate(settings)},
            **{f"GIT_CONFIG_VALUE_{number}": value for number, value in enumerate(settings.values())},
            **self.extra,
        }
        return command.attempt(["git", "-C", self.root, *words], input=text, env=env, timeout=timeout)

    def __call__(self, *words: str | Path, text: bytes = b"", timeout: float = 3600) -> bytes:
        """Run git and return its stdout; GateError when it fails."""
        result = self.attempt(*words, text=text, timeout=timeout)
        if result.code:
            shown = result.stderr.decode(errors="replace").splitlines()[-3:]
            hint = "it must be a whole git checkout, and the revision one of its commits"
            if b"safe.directory" in result.stderr:  # git says so in every language
                hint = (
                    f"another user owns it; if you trust it: git config --global --add safe.directory {self.root}"
                )
            elif of_machine := machine.heard(result.stderr):
                hint = of_machine.hint
            raise GateError(f"git {words[0]} failed here, exit code {result.code}", hint, shown)
        return result.stdout


def opened(root: Path, extra: Mapping[str, str] | None = None) -> Git:
    """Return git at the top of the checkout that `root` is in; GateError for a shallow clone or none at all."""
    git = Git(root, extra or {})
    if git("rev-parse", "--is-shallow-repository").strip() != b"false":
        hint = "fetch everything: git fetch --unshallow, or fetch-depth: 0 in the workflow's checkout"
        raise GateError("this is a shallow clone, most of its history is not here", hint)
    # An object that such a clone lacks is fetched by a program that the checkout's own configuration names.
    if git.attempt("config", "--get-regexp", r"^(extensions\.partialclone|remote\..*\.promisor)$").stdout:
        raise GateError(
            "this is a partial clone, some of its objects are not here", "clone again without a filter"
        )
    if git("rev-parse", "--is-bare-repository").strip() == b"true":
        return git
    return Git(Path(git("rev-parse", "--show-toplevel").decode().rstrip("\n")), extra or {})


def sha(root: Path) -> str:
    """Return the short SHA of HEAD, with `-dirty` unless git says the tree is the same; `unknown` outside of git.

    Git does not say it of a damaged index, nor of another user's checkout that the user has not called safe.
    """
    head = Git(root).attempt("rev-parse", f"--short={SHORT}", "HEAD")
    if head.code:
        return "unknown"
    status = Git(root, own=True).attempt("status", "--porcelain", "--untracked-files=normal")
    return head.stdout.decode().strip() + (DIRTY if status.code or status.stdout else "")


def user(root: Path) -> str:
    """Return the user's name as git is configured, or an empty string."""
    return Git(root, own=True).attempt("config", "user.name").stdout.decode().strip()


def checkout(root: Path) -> None:
    """Raise GateError unless this is the top folder of a checkout."""
    top = Git(root)("rev-parse", "--show-toplevel").rstrip(b"\n").decode(errors="surrogateescape")
    if Path(top).resolve() != root.resolve():
        raise GateError(f"{root.name} is not the top of a git checkout", "give the path of a whole checkout")


def untracked(root: Path, folder: str) -> None:
    """Raise TrackedError when git tracks anything of a folder that belongs to this machine alone.

    What it holds is then somebody's commit, and not what was made or installed here.
    """
    if not os.path.lexists(root / ".git"):
        return
    listed = Git(root).attempt("ls-files", "-z", "--", f":(icase){folder}")
    if listed.code:
        raise TrackedError(f"git cannot say whether it tracks files in {folder}/", "git status says why")
    if listed.stdout:
        hint = f"git rm -r --cached {folder}, remove the folder, and find out who committed it"
        raise TrackedError(f"git tracks files in {folder}/, which belongs to this machine alone", hint)


def tracked(root: Path) -> list[Version]:
    """Return what the index holds."""
    rows = _rows(Git(root)("ls-files", "-z", "-s"))
    return [Version(mode, blob, path, int(stage)) for mode, blob, stage, path in map(_entry, rows)]


def committed(root: Path, commit: str, folder: str = "") -> list[Version]:
    """Return the files of a commit, all of them or those below a folder; its attributes hide and change none."""
    rows = _rows(Git(root)("ls-tree", "-r", "-z", "--full-tree", commit, *([f"{folder}/"] if folder else [])))
    return [Version(mode, blob, path) for mode, _, blob, path in map(_entry, rows)]


def commit(root: Path, revision: str) -> str:
    """Return the full SHA of a commit."""
    return Git(root)("rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}").decode().strip()


def commits(root: Path, base: str | None, head: str) -> tuple[list[str], list[str]]:
    """Return the commits that head has and base has not, parents first, and those that they started from.

    Both are full SHAs; without a base it is the whole history of head. A shallow clone is a GateError.
    """
    if Git(root)("rev-parse", "--is-shallow-repository").strip() != b"false":
        raise GateError("this is a shallow clone, its history is cut", "git fetch --unshallow")
    span = [head, f"^{base}"] if base else [head]
    shas = Git(root)("rev-list", "--topo-order", "--reverse", "--boundary", *span, "--").decode().split()
    return [sha for sha in shas if sha[0] != "-"], [sha[1:] for sha in shas if sha[0] == "-"]


def changes(root: Path, shas: Sequence[str]) -> Iterator[tuple[str, Version]]:
    """Yield every version of a file that a commit brought, with the commit; of a merge, what no parent had."""
    yield from ((sha, version) for sha, version, _ in replacements(root, shas))


def replacements(root: Path, shas: Sequence[str], *folders: str) -> Iterator[tuple[str, Version, list[str]]]:
    """Yield the same below some folders, or everywhere, and the blobs that a version replaced."""
    flags = ("--stdin", "-r", "-c", "--root", "--raw", "-z", "--no-renames", "--no-abbrev")
    words = (*flags, "--ignore-submodules=none", "--", *(f"{folder}/" for folder in folders))
    listed = Git(root)("diff-tree", *words, text="".join(f"{sha}\n" for sha in shas).encode())
    current, rows = "", iter(_rows(listed))
    for row in rows:
        if not row.startswith(b":"):
            current = row.decode()
            continue
        parents = len(row) - len(row.lstrip(b":"))
        fields = row.decode().lstrip(":").split()
        version = Version(fields[parents], fields[2 * parents + 1], _path(next(rows)))
        if version.mode != GONE:
            before = zip(fields[:parents], fields[parents + 1 : 2 * parents + 1], strict=True)
            yield current, version, [blob for mode, blob in before if mode not in (GONE, MODULE)]


def authors(root: Path, shas: Iterable[str]) -> dict[str, tuple[str, datetime]]:
    """Return each commit's author, and when it was written; the committer may be a site that merged it."""
    text = "".join(f"{sha}\n" for sha in sorted(set(shas)))
    if not text:
        return {}
    listed = Git(root)(
        "rev-list", "--no-walk=unsorted", "--format=%H%x00%an%x00%at", "--stdin", text=text.encode()
    )
    rows = [line.split("\0") for line in listed.decode(errors="replace").split("\n") if "\0" in line]
    return {sha: (who, datetime.fromtimestamp(int(when), UTC)) for sha, who, when in rows}


def ever(root: Path, shas: Sequence[str], folder: str) -> set[str]:
    """Return every object that was ever below a folder in the history of these commits."""
    listed = Git(root)("rev-list", "--objects", "--no-object-names", *shas, "--", f"{folder}/")
    return set(listed.decode().split())


def contents(root: Path, objects: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the contents of each blob, once; other objects are left out. A missing object is a GateError."""
    names = sorted(set(objects))
    for start in range(0, len(names), _AT_ONCE):
        batch = names[start : start + _AT_ONCE]
        data = Git(root)("cat-file", "--batch", text="".join(f"{name}\n" for name in batch).encode())
        position = 0
        for name in batch:
            end = data.index(b"\n", position)
            _, *fields = data[position:end].split()
            if len(fields) != 2:  # noqa: PLR2004, a kind and a size
                raise GateError(
                    f"the object {name[:SHORT]} is missing", "git fsck, or clone again without a filter"
                )
            position = end + 1 + int(fields[1]) + 1
            if fields[0] == b"blob":
                yield name, data[end + 1 : position - 1]


def blob(data: bytes, like: str) -> str:
    """Return the name of a blob, by the hash that made the name `like`."""
    digest = hashlib.sha1(usedforsecurity=False) if len(like) == 40 else hashlib.sha256()  # noqa: PLR2004
    digest.update(b"blob %d\0" % len(data))
    digest.update(data)
    return digest.hexdigest()


def differing(root: Path) -> list[str]:
    """Return the paths that differ from HEAD, in the index or the tree, and those that git does not track."""
    rows = _rows(Git(root, own=True)("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all"))
    return [_path(row[3:]) for row in rows]


def when(root: Path, commit: str) -> str:
    """Return when a commit was made, ISO 8601."""
    return Git(root)("show", "--no-patch", "--format=%cI", commit).decode().strip()


def origin(root: Path) -> str:
    """Return where the checkout was cloned from, without the password that the URL may hold.

    It is empty when that is nowhere, or a folder.
    """
    url = Git(root, own=True).attempt("config", "remote.origin.url").stdout.decode().strip()
    return re.sub(r"(?<=://)[^/]*@", "", url) if ":" in url else ""


def _rows(listed: bytes) -> list[bytes]:
    return [row for row in listed.split(b"\0") if row]


def _entry(row: bytes) -> tuple[str, str, str, str]:
    fields, _, path = row.partition(b"\t")
    first, second, third = fields.decode().split()
    return first, second, third, _path(path)


def _path(raw: bytes) -> str:
    return raw.decode(errors="surrogateescape")
