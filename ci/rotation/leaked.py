"""Where a leaked value occurs: environments, commits, images, releases; shown without it or any part of it.

What could not be searched is listed beside what was found, so that "nowhere" is said of everything or not at all.
"""

import hashlib
import json
import re
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from docker.errors import DockerException

from ci.delivery import docker, engines, image
from ci.delivery.release import Release, current
from ci.gates.finding import shown
from ci.gates.leaks import objects
from ci.gates.leaks.feed import Source
from ci.gates.rotation import dates
from ci.gates.sealing import tracked
from ci.ground import dotenv, errors, events, git
from ci.ground.events import Events
from ci.ground.repo import Repo
from ci.rotation.search import Search, Sought, Vault
from ci.sealing import proposal

SHORTEST = 8  # characters; a shorter value would be found everywhere
ENVIRONMENT, COMMIT, IMAGE, RELEASE = "environment", "commit", "image", "release"
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Place:
    """A place where the value is, or that could not be searched: its kind, its name, and a remark."""

    kind: str
    where: str
    what: str


@dataclass
class Report:
    """Where the value is, what was not looked at, and how much was; `rotate` are keys of today, by environment."""

    found: list[Place] = field(default_factory=list)
    unseen: list[Place] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    looked: dict[str, int] = field(default_factory=dict)
    rotate: list[tuple[str, str]] = field(default_factory=list)

    @property
    def code(self) -> int:
        """The exit code: 1 it was found, 2 not everything could be looked at, 0 it is nowhere."""
        return 1 if self.found else 2 if self.unseen else 0


@dataclass
class Scan:
    """What the parts of one scan share."""

    repo: Repo
    sought: Sought
    vault: Vault
    report: Report = field(default_factory=Report)
    layers: dict[bytes, Search] = field(default_factory=dict)

    def layer(self, data: bytes) -> Search:
        """Return what was found in a part of an image; most images share most of theirs."""
        digest = hashlib.sha256(data).digest()
        if digest not in self.layers:
            self.layers[digest] = Search(self.sought)
            self.layers[digest].at(Source(""), data)
        return self.layers[digest]

    def found(self, kind: str, where: str, what: str = "") -> None:
        """Note a place, without the part of its name that is the value."""
        self.report.found.append(Place(kind, shown(self.sought.masked(where)), shown(self.sought.masked(what))))

    def unseen(self, kind: str, where: str, why: object) -> None:
        """Note what could not be searched."""
        place = Place(kind, shown(self.sought.masked(where)), shown(self.sought.masked(str(why))))
        self.report.unseen.append(place)

    def looked(self, what: str, count: int) -> None:
        """Count what was searched."""
        self.report.looked[what] = self.report.looked.get(what, 0) + count

    def rotate(self, name: str, key: str) -> None:
        """Note a current value that must be replaced."""
        if key in self.repo.schema.keys and (name, key) not in self.report.rotate:
            self.report.rotate.append((name, key))


def look(repo: Repo, value: str) -> Events[Report]:
    """Look for a value everywhere; BadValueError for one that is too short to be distinguished from others."""
    value = value.strip()
    if len(value) < SHORTEST:
        raise errors.BadValueError(
            f"the value is shorter than {SHORTEST} characters, it would be found everywhere",
            "give all of it, on stdin or at the prompt",
        )
    sought = Sought(value)
    scan = Scan(repo, sought, Vault(repo, sought))
    for part in (_environments, _history, _images, _releases):
        yield from events.step("look", str(part.__doc__).partition(",")[0].rstrip("."), partial(part, scan))
    return scan.report


def _environments(scan: Scan) -> None:
    """The environments, opened in memory."""
    for name in scan.repo.environments.by_name:
        plain, sealed = scan.repo.plain(name), scan.repo.sealed(name)
        if plain.exists():
            data = plain.read_bytes()
            values, _ = dotenv.parse(data)
            keys = [key for key, value in values.items() if scan.sought.within(value)]
            for key in keys or ([""] if scan.sought.within(data) else []):
                scan.found(ENVIRONMENT, name, f"{key} in clear, in config/{name}.env".strip())
        for path in [*([sealed] if sealed.exists() else []), *proposal.files(scan.repo, name)]:
            try:
                keys = scan.vault.keys(path.name, path.read_bytes())
            except errors.LockstepError as error:
                scan.unseen(ENVIRONMENT, name, f"{path.relative_to(scan.repo.root)}: {error}")
                continue
            for key in keys:
                scan.found(ENVIRONMENT, name, f"{key} in {path.relative_to(scan.repo.root)}")
                if path == sealed:
                    scan.rotate(name, key)
        scan.looked("environments", 1)


def _history(scan: Scan) -> None:
    """Every object of git, reachable or not; the sealed versions are opened."""
    try:
        source = git.opened(scan.repo.root)
        wanted = source("rev-list", "--all", "--topo-order", "--reverse").decode().split()
        source("rev-list", "--all", "--objects", "--quiet")  # fails when anything is missing
        places = objects.places(source, wanted)
        refs = source("for-each-ref", "--format=%(objectname) %(refname)").decode(errors="replace")
        for name, _, ref in (line.partition(" ") for line in refs.splitlines()):
            places.names.setdefault(ref, name)
        every = source("cat-file", "--batch-all-objects", "--batch-check=%(objectname)").decode().split()
        versions = _objects(scan, source, every, places)
    except errors.LockstepError as error:
        scan.unseen(COMMIT, "the whole history", error)
        return
    scan.looked("commits", len(wanted))
    scan.looked("objects", len(every))
    _sealed(scan, places, versions)


def _objects(scan: Scan, source: git.Git, every: Iterable[str], places: objects.Places) -> dict[str, bytes]:
    """Look at each object as it is, and at each name; return the sealed ones."""
    search, versions = Search(scan.sought), dict[str, bytes]()
    named = {path for path in places.names if scan.sought.within(path)}
    parts = {part.encode(errors="surrogateescape") for path in named for part in path.split("/")}
    for id_, kind, data in objects.contents(source, every):
        places.kinds[id_] = kind
        if kind != "tree" or not any(part in data for part in parts):  # else it is one of the names
            search.at(Source(id_), data)
        if kind == "blob" and b"\nsops_mac=" in data:
            versions[id_] = data
    search.found |= {Source(path, kind="name") for path in named}
    for where, count in _by_path(places, search.found).items():
        scan.found(COMMIT, where, _versions(count))
    for where, count in _by_path(places, search.unread).items():
        scan.unseen(COMMIT, where, f"an archive that cannot be opened{_versions(count, ', ')}")
    return versions


def _sealed(scan: Scan, places: objects.Places, versions: Mapping[str, bytes]) -> None:
    """Open the sealed versions, and note those that cannot be opened."""
    held, closed, templates = dict[str, set[Source]](), dict[str, set[Source]](), 0
    for id_, data in versions.items():
        _, commit, path = places.blobs.get(id_, (0, "", ""))
        try:
            for key in scan.vault.keys(path.rpartition("/")[2] or "a sealed version", data):
                held.setdefault(f"{key}, sealed", set()).add(Source(id_))
        except errors.LockstepError as error:
            if commit and tracked.sealed(path) and dates.of_template(scan.repo.root, commit):
                templates += 1
            else:
                closed.setdefault(str(error), set()).add(Source(id_))
    for note, group in ((scan.found, held), (scan.unseen, closed)):
        for what, sources in group.items():
            for where, count in _by_path(places, sources).items():
                note(COMMIT, where, what + _versions(count, ", "))
    scan.looked("sealed versions", len(versions) - templates - sum(map(len, closed.values())))
    if templates:
        text = f"left out: {templates} sealed versions of before inv init, which the template sealed for nobody"
        scan.report.notes.append(text)


def _by_path(places: objects.Places, sources: Iterable[Source]) -> dict[str, int]:
    """Return the first place of each path, and in how many versions it is."""
    first: dict[tuple[str, str], str] = {}
    counts: dict[str, int] = {}
    for source in sorted(sources, key=lambda source: (places.order(source), source.id, source.inner)):
        where = places.place(source)
        commit, _, path = where.partition(":")
        same = (path, source.kind) if source.id in places.blobs else (where, source.id)
        place = first.setdefault(same, f"{commit}:{path}")
        counts[place] = counts.get(place, 0) + 1
    return counts


def _versions(count: int, before: str = "") -> str:
    return f"{before}and in {count - 1} later versions" if count > 1 else ""


def _images(scan: Scan) -> None:
    """The project's images, layer by layer."""
    repo, seen = scan.repo, set[str]()
    stores = (engines.open(repo, name).images for name in repo.environments.by_name)
    title = f"{image.OCI}.title={repo.environments.project}"
    for address in dict.fromkeys(["", *filter(None, stores)]):  # "" is this machine's client
        try:
            with closing(docker.connect(address)) as engine:
                for built in engine.images.list(filters={"label": title}):
                    if built.id not in seen:
                        seen.add(str(built.id))
                        _image(scan, built)
        except (errors.EngineError, DockerException, OSError, tarfile.TarError) as error:
            why = error if isinstance(error, errors.EngineError) else "the engine did not give all of them"
            scan.unseen(IMAGE, address or "this machine", why)
    scan.looked("images", len(seen))
    if repo.environments.registry:
        scan.report.notes.append(f"left out: what {repo.environments.registry} has and no engine here")


def _image(scan: Scan, built: Any) -> None:
    """Look at an image's layers, configuration and history, as `docker save` gives them."""
    name = str(next(iter(built.tags), built.short_id))
    with tempfile.TemporaryFile() as file:  # what the engine's own disk has already
        for chunk in built.save():
            file.write(chunk)
        file.seek(0)
        with tarfile.open(fileobj=file) as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                search = scan.layer(content.read() if content else b"")
                for source in sorted(search.found, key=lambda source: source.inner):
                    scan.found(IMAGE, name, _inside(member.name, source))
                for source in sorted(search.unread, key=lambda source: source.inner):
                    scan.unseen(IMAGE, name, f"{_inside(member.name, source)} cannot be opened")


def _inside(member: str, source: Source) -> str:
    return _DIGEST.sub(lambda digest: digest[0][: git.SHORT], source.within(member))


def _releases(scan: Scan) -> None:
    """The releases, their plain values and what their sealed files held."""
    for name in scan.repo.environments.by_name:
        try:
            with engines.open(scan.repo, name) as engine:
                past = engine.history()
        except errors.LockstepError as error:
            scan.unseen(RELEASE, name, error)
            continue
        running = current(past)
        for release in past:
            _release(scan, release, runs=running is not None and release.number == running.number)
        scan.looked("releases", len(past))


def _release(scan: Scan, release: Release, *, runs: bool) -> None:
    where = f"{release.environment} {release.number}{' *' if runs else ''}"
    for key, value in release.plain.items():
        if scan.sought.within(value):
            scan.found(RELEASE, where, f"{key} in clear")
    if scan.sought.within(json.dumps(release.document() | {"plain": {}})):
        scan.found(RELEASE, where, "in its record")
    if not scan.repo.environments.by_name[release.environment].in_git:
        return  # its values are not in git, and older ones are not kept
    try:
        keys = _sealed_then(scan, release)
    except errors.LockstepError as error:
        scan.unseen(RELEASE, where, error)
        return
    for key in keys:
        scan.found(RELEASE, where, f"{key}, sealed")
        if runs:
            scan.rotate(release.environment, key)


def _sealed_then(scan: Scan, release: Release) -> list[str]:
    """Return the keys that held the value in the sealed file of a release's commit."""
    path = f"{tracked.FOLDER}/{release.environment}.enc.env"
    files = git.committed(scan.repo.root, release.config, tracked.FOLDER)
    blobs = [file.blob for file in files if file.path == path]
    if not blobs:
        raise errors.NotSealedError(f"commit {release.config} has no {path}", "git log shows where it went")
    [(_, data)] = git.contents(scan.repo.root, blobs)
    return [key for key in scan.vault.keys(path.rpartition("/")[2], data) if key in release.sealed]
