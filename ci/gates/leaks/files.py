"""Files as they are in a working tree or in an image, without git's view of them."""

import os
import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ci.gates.finding import Findings
from ci.gates.leaks import objects, rules
from ci.gates.leaks.feed import Feed, Source
from ci.gates.leaks.look import Look
from ci.ground import git
from ci.ground import repo as ground
from ci.ground.errors import GateError
from ci.ground.repo import Repo

# The files of packages are public, and full of example passwords: in them only our own keys and identities count.
_PACKAGED = re.compile(
    r"(?:^|[!/])(?:(?:site|dist)-packages|node_modules)/"
    r"|(?:^|!)(?:\./)?(?:usr/(?:local/)?)?(?:lib\w*|s?bin|share|include|src)/"
    r"|(?:^|!)(?:\./)?var/lib/(?:dpkg|apt|apk|rpm)/"
)


def check_folder(repo: Repo, look: Look | None = None) -> Findings:
    """Look at a working tree: what git tracks or would take, and everything in a folder without git.

    Without a look it is one by the checkout's own schema.
    """
    look = look or Look.of(repo)
    if not (repo.root / ".git").exists():
        return _findings(look, _files(repo.root, _walk(repo.root)), "files")
    listed = git.opened(repo.root)("ls-files", "-coz", "--exclude-per-directory=.gitignore").split(b"\0")[:-1]
    return _findings(look, _files(repo.root, [repo.root / os.fsdecode(name) for name in listed]), "files")


def check_image(image: Path, repo: Repo | None = None) -> Findings:
    """Look at every file in every layer of an image: a tar of `docker save`, or a folder that holds its layers."""
    look = Look.of(repo or ground.here())
    # Words, not one expression: that would take five times as long for the files of packages.
    words = [word.lower().encode() for word in ("AGE-SECRET-KEY-", *look.judge.secret)]
    if image.is_dir():
        return _findings(look, _files(image, _walk(image)), "files", words)
    try:
        with tarfile.open(image) as archive:
            return _findings(look, _members(archive), "layers", words)
    except (OSError, tarfile.TarError):
        raise GateError(f"{image} is no whole tar", "docker save IMAGE -o FILE makes one") from None


def _findings(look: Look, files: Iterable[tuple[str, bytes]], unit: str, words: Sequence[bytes] = ()) -> Findings:
    def fresh() -> Feed:
        return Feed(
            skipped=(lambda source, data: _packaged(source) and not _holds(data.lower(), words)) if words else None
        )

    feed, counted = fresh(), 0
    for name, content in files:
        look.names(feed, [name])
        feed.add(Source(name), content)
        counted += unit == "files"
        if feed.size > objects.GROUP:
            counted += feed.opened if unit == "layers" else 0
            look.at(feed)
            feed = fresh()
    look.at(feed)
    counted += feed.opened if unit == "layers" else 0
    if words:
        look.leaks = [
            leak for leak in look.leaks if not _packaged(leak.source) or leak.rule in (rules.SCHEMA_KEY, rules.AGE)
        ]
    return Findings(look.findings(lambda source: source.within(source.id)), {unit: counted, "bytes": look.size})


def _holds(data: bytes, words: Iterable[bytes]) -> bool:
    return any(word in data for word in words)


def _packaged(source: Source) -> bool:
    return bool(_PACKAGED.search(source.within(source.id)))


def _members(archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    for member in archive:
        content = archive.extractfile(member) if member.isfile() else None
        yield member.name, content.read() if content else b""


def _files(root: Path, paths: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    for path in paths:
        name = str(path.relative_to(root))
        try:
            if path.is_symlink():
                yield name, os.fsencode(path.readlink())
            elif path.is_file():
                yield name, path.read_bytes()
        except OSError:
            raise GateError(f"{name} cannot be read", "run it as somebody who can") from None


def _walk(root: Path) -> list[Path]:
    def failed(error: OSError) -> None:
        raise GateError("a folder cannot be read", "run it as somebody who can", [str(error.filename)])

    return [Path(folder) / name for folder, _, names in os.walk(root, onerror=failed) for name in names]
