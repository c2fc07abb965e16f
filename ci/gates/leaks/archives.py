"""Archives, unpacked in memory."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any

DEPTH = 6  # archives within archives
LIMIT = 1_000_000_000  # bytes that one archive may unpack to: more is a bomb, and not looked into
UNKNOWN = (b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18")  # 7z, rar, zstd, lz4
FAULTS = (
    OSError,
    EOFError,
    RuntimeError,  # encrypted
    NotImplementedError,
    ValueError,
    lzma.LZMAError,
    zlib.error,
    zipfile.BadZipFile,
    tarfile.TarError,
)

Opener = Callable[[bytes], Iterator[tuple[str, bytes]]]


def opener(data: bytes) -> Opener | None:
    """Return what unpacks these bytes into names and contents, or None when they are not an archive."""
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip
    if data[257:262] == b"ustar":
        return _tar
    return next((opens for magic, opens in _COMPRESSED.items() if data.startswith(magic)), None)


def _zip(data: bytes) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        _bounded(sum(member.file_size for member in archive.infolist()))
        if archive.comment:
            yield "comment", archive.comment
        for member in archive.infolist():
            yield member.filename, b"" if member.is_dir() else archive.read(member)


def _tar(data: bytes) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            yield member.name, content.read() if content else b""


def _compressed(open_: Callable[..., Any]) -> Opener:
    def opens(data: bytes) -> Iterator[tuple[str, bytes]]:
        with open_(io.BytesIO(data)) as file:
            content = file.read(LIMIT + 1)
        _bounded(len(content))
        yield "unpacked", content

    return opens


def _bounded(size: int) -> None:
    if size > LIMIT:
        raise ValueError


_COMPRESSED = {
    b"\x1f\x8b\x08": _compressed(gzip.open),
    b"BZh": _compressed(bz2.open),
    b"\xfd7zXZ\0": _compressed(lzma.open),
}
