"""Git's objects as they are: no attribute, no ignore, no replacement and no setting of the target has a say."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from ci.gates.leaks.feed import Feed, Source
from ci.gates.leaks.known import Known
from ci.gates.leaks.look import Look
from ci.ground.errors import GateError
from ci.ground.git import FOLDER, GONE, MODULE, SHORT, Git

GROUP = 32_000_000  # bytes of objects that are in memory together, and that one call of gitleaks gets
BATCH = 10_000  # commits whose changes are in memory together


@dataclass
class Places:
    """Which commit brought a blob first, under which path and instead of which, and which brought a name.

    `trees` are those of the commits, whose names are among the names.
    """

    blobs: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    older: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    trees: set[str] = field(default_factory=set)

    def place(self, source: Source) -> str:
        """Return commit:path, or object:(kind) for what no commit has at a path."""
        if source.id in self.names:
            return source.within(f"{self.names[source.id][:SHORT]}:{source.id}")
        _, commit, path = self.blobs.get(source.id, (0, source.id, f"({self.kinds.get(source.id)})"))
        return source.within(f"{commit[:SHORT]}:{path}")

    def path(self, id_: str) -> str:
        """Return under which path a blob is, or what kind of object it is."""
        return self.blobs[id_][2] if id_ in self.blobs else f"({self.kinds.get(id_)})"

    def origin(self, id_: str) -> str:
        """Return which commit, or other object, brought a blob or a name; empty when it is neither."""
        return self.names.get(id_) or self.blobs.get(id_, (0, "", ""))[1]

    def take(self, other: "Places", ids: AbstractSet[str]) -> None:
        """Take over what others say of ids; what is known already stays."""
        self.blobs |= {id_: other.blobs[id_] for id_ in ids & other.blobs.keys() - self.blobs.keys()}
        self.names |= {id_: other.names[id_] for id_ in ids & other.names.keys() - self.names.keys()}
        self.kinds |= {id_: other.kinds[id_] for id_ in ids & other.kinds.keys() - self.kinds.keys()}

    def order(self, source: Source) -> int:
        """Return how early a source is in the history; what is in no commit is last."""
        return self.blobs.get(source.id, (1 << 60, "", ""))[0]


def places(git: Git, commits: Sequence[str], before: int = 0) -> Places:
    """Ask what each commit changed against each of its parents; `commits` are in the order of history.

    So many commits were `before` them.
    """
    output = git(
        *("diff-tree", "--stdin", "-r", "-t", "-m", "--root", "--raw", "-z", "--no-renames", "--no-abbrev"),
        text="".join(f"{commit}\n" for commit in commits).encode(),
    )
    result = Places()
    commit, words, number = "", iter(output.split(b"\0")), before
    for word in words:
        if word.startswith(b":"):
            path = next(words).decode(errors="surrogateescape")
            _, mode, old, blob, status = word.decode().split(" ")
            if mode == FOLDER:
                result.trees.add(blob)
            elif blob not in result.blobs and mode not in (MODULE, GONE):
                result.blobs[blob] = (number, commit, path)
                if status == "M":
                    result.older[blob] = old
            result.names.setdefault(path, commit)
        elif word:
            commit, number = word.decode().strip(), number + 1
    return result


@dataclass
class Reader:
    """Gives the objects of a repository to a look, but for those that are known.

    `blobs` counts those that were looked at. `dirty` has the objects that hold or brought a leak, and `places`
    where leaks are.
    """

    git: Git
    look: Look
    known: Known
    blobs: int = 0
    dirty: set[str] = field(default_factory=set)
    places: Places = field(default_factory=Places)

    def commits(self, ids: Iterable[str], only: Collection[str] | None = None) -> None:
        """Look at commits and what each brought: its message, and contents and names that are new with it.

        With `only`, just these contents. Of a later version of a file only what is new is looked at: the version
        before was looked at itself, or is the base's.
        """
        new = list(self.known.new(ids))
        for begin in range(0, len(new), BATCH):
            batch = new[begin : begin + BATCH]
            there = places(self.git, batch, begin)
            brought = self.known.new(blob for blob in there.blobs if only is None or blob in only)
            self.at([*batch, *brought], there, trees=True)

    def rest(self, ids: Iterable[str], names: Mapping[str, str]) -> None:
        """Look at all other objects, as those that no reference leads to, and at names, each with its object."""
        new = [id_ for id_ in self.known.new(ids) if id_ not in self.dirty]
        for begin in range(0, max(len(new), 1), BATCH):
            self.at(new[begin : begin + BATCH], Places(names=dict(names) if begin == 0 else {}))

    def at(self, ids: Sequence[str], places: Places, *, trees: bool = False) -> None:
        """Look at objects and at the names of `places`, and note what held no leak.

        With `trees`, the names are all that the trees of the commits hold.
        """
        begun, names = len(self.look.leaks), dict.fromkeys(places.names)
        feed = Feed(named=places.path)
        self.look.names(feed, self._new(names))
        for group in _groups(self.git, ids):
            wanted, contents = set(group), dict[str, bytes]()
            for name, kind, data in _read(self.git, _with_older(group, places)):
                places.kinds[name] = kind
                if kind == "tree":
                    inside = [entry for entry in _tree(data, len(name) // 2) if entry not in names]
                    names |= dict.fromkeys(inside)
                    places.names |= dict.fromkeys(inside, name)
                    self.look.names(feed, self._new(inside))
                elif kind == "blob":
                    contents[name] = data
                    if name in wanted:
                        self.blobs += 1
                        feed.add_version(Source(name), contents.get(places.older.get(name, "")), data)
                else:
                    head, _, message = data.partition(b"\n\n")
                    if kind == "commit":
                        places.trees.add(head[5 : 5 + len(name)].decode())
                    feed.text(Source(name, kind="header"), head + b"\n")
                    feed.add(Source(name, kind="message"), message)
            self.look.at(feed)
            feed = Feed(named=places.path)
        self.look.at(feed)
        leaky = {leak.source.id for leak in self.look.leaks[begun:]}
        self.places.take(places, leaky)
        self.dirty |= {id_ for leak in leaky for id_ in (leak, places.origin(leak))}
        self.known.add(id_ for id_ in ids if id_ not in self.dirty)
        if trees and leaky.isdisjoint(names):
            self.known.add(places.trees)
        clean = (path for path in names if path not in leaky)
        self.known.add(dict.fromkeys(_name(part) for path in clean for part in (path, *path.split("/"))))

    def _new(self, names: Iterable[str]) -> list[str]:
        return [item.removeprefix(_name("")) for item in self.known.new(map(_name, names))]


def _name(path: str) -> str:
    """Return what a name is known as, which is no object's id."""
    return f"name {path}"


def contents(git: Git, ids: Iterable[str]) -> Iterator[tuple[str, str, bytes]]:
    """Yield the id, the kind and the content of each object; never more of them at once than memory allows."""
    for group in _groups(git, ids):
        yield from _read(git, group)


def _with_older(ids: Iterable[str], places: Places) -> list[str]:
    """Return ids in their order, each blob after the one that it replaced."""
    pairs = ((places.older.get(id_), id_) for id_ in ids)
    return list(dict.fromkeys(id_ for pair in pairs for id_ in pair if id_))


def _groups(git: Git, ids: Iterable[str]) -> Iterator[list[str]]:
    """Cut ids into groups; a missing object is an error, for it was not looked at."""
    request = "".join(f"{name}\n" for name in ids).encode()
    if not request:
        return
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
