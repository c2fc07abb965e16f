"""Git's objects as they are: no attribute, no ignore, no replacement and no setting of the target has a say."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ci.gates.leaks.feed import Feed, Source
from ci.gates.leaks.look import Look
from ci.ground.errors import GateError
from ci.ground.git import SHORT, Git

GROUP = 128_000_000  # bytes of objects that one call of gitleaks gets


@dataclass
class Places:
    """Which commit brought a blob first, under which path and instead of which, and which brought a name."""

    blobs: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    older: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)

    def place(self, source: Source) -> str:
        """Return commit:path, or object:(kind) for what no commit has at a path."""
        if source.id in self.names:
            return source.within(f"{self.names[source.id][:SHORT]}:{source.id}")
        _, commit, path = self.blobs.get(source.id, (0, source.id, f"({self.kinds.get(source.id)})"))
        return source.within(f"{commit[:SHORT]}:{path}")

    def path(self, id_: str) -> str:
        """Return under which path a blob is, or what kind of object it is."""
        return self.blobs[id_][2] if id_ in self.blobs else f"({self.kinds.get(id_)})"

    def order(self, source: Source) -> int:
        """Return how early a source is in the history; what is in no commit is last."""
        return self.blobs.get(source.id, (1 << 60, "", ""))[0]


def places(git: Git, commits: Sequence[str]) -> Places:
    """Ask what each commit changed against each of its parents; `commits` are in the order of history."""
    output = git(
        *("diff-tree", "--stdin", "-r", "-m", "--root", "--raw", "-z", "--no-renames", "--no-abbrev"),
        text="".join(f"{commit}\n" for commit in commits).encode(),
    )
    result = Places()
    commit, words, number = "", iter(output.split(b"\0")), 0
    for word in words:
        if word.startswith(b":"):
            path = next(words).decode(errors="surrogateescape")
            old, blob, status = word.decode().split(" ")[2:]
            if blob not in result.blobs:
                result.blobs[blob] = (number, commit, path)
                if status == "M":
                    result.older[blob] = old
            result.names.setdefault(path, commit)
        elif word:
            commit, number = word.decode().strip(), number + 1
    return result


@dataclass
class Seen:
    """Which commits, and how many blobs, were looked at."""

    commits: set[str] = field(default_factory=set)
    blobs: int = 0


def look_at(git: Git, look: Look, ids: Iterable[str], places: Places, feed: Feed) -> Seen:
    """Look at objects, in as few calls as memory allows; `feed` holds what else the first of them reads.

    Of a later version of a file only what is new is looked at, if the version before it is at hand: that was
    looked at itself, or is the base's.
    """
    totals, targets = Seen(), set(ids)
    feed.named = places.path
    names = {part for path in places.names for part in path.split("/")}
    look.names(feed, places.names)
    for group in _groups(git, _in_order(targets, places)):
        contents: dict[str, bytes] = {}
        for name, kind, data in _read(git, group):
            places.kinds[name] = kind
            if kind == "tree":  # only an unreachable tree, or one behind a tag, has names that are new
                new = set(_tree(data, len(name) // 2)) - names
                names |= new
                places.names |= dict.fromkeys(new, name)
                look.names(feed, new)
            elif kind == "blob":
                contents[name] = data
                if name in targets:
                    totals.blobs += 1
                    feed.add_version(Source(name), contents.get(places.older.get(name, "")), data)
            else:
                head, _, message = data.partition(b"\n\n")
                feed.text(Source(name, kind="header"), head)
                feed.add(Source(name, kind="message"), message)
                totals.commits |= {name} if kind == "commit" else set()
        look.at(feed)
        feed = Feed(named=places.path)
    return totals


def contents(git: Git, ids: Iterable[str]) -> Iterator[tuple[str, str, bytes]]:
    """Yield the id, the kind and the content of each object; never more of them at once than memory allows."""
    for group in _groups(git, ids):
        yield from _read(git, group)


def _in_order(targets: set[str], places: Places) -> list[str]:
    """Return ids in the order of history, each blob after the one that it replaced."""
    dated = sorted((blob for blob in places.blobs if blob in targets), key=lambda blob: places.blobs[blob][0])
    pairs = ((places.older.get(blob), blob) for blob in dated)
    return [*targets.difference(dated), *dict.fromkeys(blob for pair in pairs for blob in pair if blob)]


def _groups(git: Git, ids: Iterable[str]) -> Iterator[list[str]]:
    """Cut ids into groups; a missing object is an error, for it was not looked at."""
    request = "".join(f"{name}\n" for name in ids).encode()
    group: list[str] = []
    size = 0
    for line in git("cat-file", "--batch-check", text=request).decode().splitlines():
        name, kind, *rest = line.split(" ")
        if not rest:
            raise GateError(
                f"object {name[:SHORT]} is {kind}", "the repository is broken or partial: clone it again"
            )
        if group and size + int(rest[0]) > GROUP:
            yield group
            group, size = [], 0
        group.append(name)
        size += int(rest[0])
    if group:
        yield group


def _read(git: Git, ids: Sequence[str]) -> Iterator[tuple[str, str, bytes]]:
    output = git("cat-file", "--batch", text="".join(f"{name}\n" for name in ids).encode())
    start = 0
    for id_ in ids:
        end = output.index(b"\n", start)
        name, kind, size = output[start:end].decode().split(" ")
        if name != id_:
            raise GateError(
                f"git gave {name[:SHORT]} for {id_[:SHORT]}", "the repository is broken: clone it again"
            )
        start = end + 1 + int(size) + 1
        yield name, kind, output[end + 1 : start - 1]


def _tree(data: bytes, size: int) -> Iterator[str]:
    start = 0
    while start < len(data):
        space, zero = data.index(b" ", start), data.index(b"\0", start)
        yield data[space + 1 : zero].decode(errors="surrogateescape")
        start = zero + 1 + size
