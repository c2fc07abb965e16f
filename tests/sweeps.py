"""Canaries, and the search for them in what outlives a command: as they are or encoded, packed or in git."""

import base64
import json
import os
import subprocess
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO
from urllib.parse import quote, quote_plus, urlsplit

from ci.gates.leaks import archives, objects
from ci.ground.git import opened

BATCH = 1000  # files of one call, for argv has an end
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def forms(value: str) -> set[bytes]:
    """Return the forms in which a value could hide: plain, hex, URL, JSON, JSON in JSON, base64 (RFC 4648)."""
    data, escaped = value.encode(), json.dumps(value)[1:-1]
    texts = {value, escaped, json.dumps(escaped)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    texts |= {quote(value, safe=""), quote(value), quote_plus(value), data.hex(), data.hex().upper()}
    return {text.encode() for text in texts} | {form for at in range(3) for form in _base64(data, at)}


def _base64(data: bytes, before: int) -> set[bytes]:
    """Return what is the same of its base64 whatever stands around it, `before` bytes into a group of three."""
    whole = base64.b64encode(bytes(before) + data)
    inner = whole[(0, 2, 3)[before] : (before + len(data)) * 8 // 6]
    return {inner, inner.translate(_URL_SAFE)}


def secret_parts(values: Mapping[str, str]) -> dict[str, str]:
    """Return of each secret the part that must not be seen anywhere: a URL's password, an API key's secret."""
    found: dict[str, str] = {}
    for key, value in values.items():
        whole = [urlsplit(value).password or ""] if "://" in value else value.split(",")
        found |= {f"{key} {number}": one.rpartition(":")[2] for number, one in enumerate(whole, start=1)}
    return found


def files(*folders: Path) -> Iterator[Path]:
    """Give every file below; what is mounted in there, such as a tmpfs, is no disk. A file is itself."""
    for folder in folders:
        if folder.is_file():
            yield folder
            continue
        device = folder.stat().st_dev
        for parent, inner, names in os.walk(folder):
            inner[:] = [name for name in inner if _device(Path(parent, name)) == device]
            for path in (Path(parent, name) for name in names):
                if path.is_file() and not path.is_symlink():
                    yield path


def _device(path: Path) -> int:
    try:
        return path.lstat().st_dev
    except FileNotFoundError:  # of a container that just went
        return -1


def search(paths: Iterable[Path], canaries: Mapping[str, str]) -> dict[str, set[str]]:
    """Return the names of the canaries that these files hold, in whatever form, and which file holds which.

    By grep, which looks for all forms at once; `re` would try hundreds of branches at each byte.
    """
    names = {form: name for name, value in canaries.items() for form in forms(value)}
    every, found = sorted({os.fsencode(path) for path in paths}), dict[str, set[str]]()
    for start in range(0, len(every), BATCH):
        done = subprocess.run(
            ["grep", "-aoFH", "--null", "-f", "-", "--", *every[start : start + BATCH]],
            input=b"\n".join(names),
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            capture_output=True,
            check=False,
        )
        failed = [line for line in done.stderr.splitlines() if not line.endswith(b": No such file or directory")]
        assert [] == failed  # one that has just gone is no fault
        for path, _, form in (line.partition(b"\0") for line in done.stdout.splitlines()):
            found.setdefault(names[form], set()).add(os.fsdecode(path))
    return found


def unpack(data: bytes, into: IO[bytes]) -> None:
    """Write what an archive holds, and the archives in it: names and contents; what is no archive has nothing."""
    opens = archives.opener(data)
    with suppress(*archives.FAULTS):  # a broken one is looked at as it is
        for name, content in opens(data) if opens else ():
            into.write(b"%s\n%s\n" % (name.encode(errors="surrogateescape"), content))
            unpack(content, into)


def unpack_image(image: str, into: IO[bytes]) -> None:
    """Write the configuration and every file of every layer, also of one that a later layer hides."""
    with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saved:
        assert saved.stdout
        with tarfile.open(fileobj=saved.stdout, mode="r|") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                if content and member.name.endswith(".tar"):
                    with tarfile.open(fileobj=content, mode="r|") as layer:
                        _unpack_layer(layer, into)
                elif content:
                    into.write(content.read())
    assert 0 == saved.returncode


def _unpack_layer(layer: tarfile.TarFile, into: IO[bytes]) -> None:
    for member in layer:
        content = layer.extractfile(member) if member.isfile() else None
        data = content.read() if content else b""
        into.write(b"%s\n%s\n" % (member.name.encode(errors="surrogateescape"), data))
        unpack(data, into)


def unpack_git(root: Path, into: IO[bytes]) -> None:
    """Write every object of a repository, packed or loose, reachable or not."""
    source = opened(root)
    every = source("cat-file", "--batch-all-objects", "--batch-check=%(objectname)").decode().split()
    for _, _, data in objects.contents(source, every):
        into.write(data + b"\n")
        unpack(data, into)
