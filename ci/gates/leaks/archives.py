"""Archives, unpacked in memory."""

import bz2
import gzip
import io
import itertools
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

DEPTH = 6  # archives within archives
STREAMS, STREAM = 2_000, 10_000_000  # compressed parts of a binary that are read, and bytes of each
_ZLIB_HEADS = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_ZLIB = re.compile(rb"\x78[\x01\x5e\x9c\xda]")
LIMIT = 1_000_000_000  # bytes that one archive may unpack to: more is a bomb, and not looked into
# What no module of the standard library opens, by the bytes that it begins with.
_CLOSED = (
    *(b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18"),  # 7z, rar, zstd, lz4
    *(
        b"MSCF",
        b"\x1f\x9d",
        b"\x1f\xa0",
        b"LZIP",
        b"\x89LZO\0",
        b"xar!",
        b"\x60\xea",
    ),  # cab, Z, lzip, lzop, xar, arj
    *(
        b"hsqs",
        b"sqsh",
        b"MSWIM\0",
        b"\xed\xab\xee\xdb",
        b"070701",
        b"070702",
        b"070707",
        b"\xc7\x71",
    ),  # disks, rpm, cpio
    *(b"\xff\x06\0\0sNaPpY", b"zPQ", b"LRZI", b"ArC\x01", b"StuffIt", b"SIT!", b"ZOO ", b"KWAJ", b"SZDD"),
    *(
        b"conectix",
        b"KDMV",
        b"QFI\xfb",
        b"!<arch>\ndebian",
        b"\x02\x21\x4c\x18",
    ),  # more disks, a package of Debian
)
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


def closed(data: bytes) -> bool:
    """Say whether bytes are an archive of a kind that cannot be looked into."""
    return (
        data.startswith(_CLOSED) or data[32_769:32_774] == b"CD001" or data[2:7] in (b"-lh5-", b"-lh6-", b"-lh7-")
    )


def streams(data: bytes) -> Iterator[bytes]:
    """Give what is compressed by zlib within a binary, as in a PDF: at the most STREAMS of them, each bounded."""
    for match in itertools.islice(_ZLIB.finditer(data), STREAMS):
        with suppress(zlib.error):
            content = zlib.decompressobj().decompress(data[match.start() :], STREAM)
            if content:
                yield content


def opener(data: bytes) -> Opener | None:
    """Return what unpacks these bytes into names and contents, or None when they are not an archive."""
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip
    if data[257:262] == b"ustar":
        return _tar
    known = next((opens for magic, opens in _COMPRESSED.items() if data.startswith(magic)), None)
    if known:
        return known
    if data[:2] in _ZLIB_HEADS and _inflates(data):
        return _zlib
    return _zip if b"PK\x05\x06" in data[-66_000:] and _has_members(data) else None


def _has_members(data: bytes) -> bool:
    """Say whether a zip is within bytes: zipimport's own code has its magic numbers, and nothing packed."""
    with suppress(*FAULTS):
        return bool(zipfile.ZipFile(io.BytesIO(data)).infolist())
    return False


def _zip(data: bytes) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        _bounded(sum(member.file_size for member in archive.infolist()))
        if archive.comment:
            yield "comment", archive.comment
        if before := data[: min((member.header_offset for member in archive.infolist()), default=0)]:
            yield "before it", before
        for member in archive.infolist():
            yield member.filename, b"" if member.is_dir() else archive.read(member)


def _tar(data: bytes) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            yield member.name, content.read() if content else member.linkname.encode(errors="replace")


def _compressed(open_: Callable[..., Any]) -> Opener:
    def opens(data: bytes) -> Iterator[tuple[str, bytes]]:
        with open_(io.BytesIO(data)) as file:
            content = file.read(LIMIT + 1)
        _bounded(len(content))
        yield "unpacked", content

    return opens


def _inflates(data: bytes) -> bool:
    try:
        return bool(zlib.decompressobj().decompress(data, 100))
    except zlib.error:
        return False


def _zlib(data: bytes) -> Iterator[tuple[str, bytes]]:
    content = zlib.decompressobj().decompress(data, LIMIT + 1)
    _bounded(len(content))
    yield "unpacked", content


def _bounded(size: int) -> None:
    if size > LIMIT:
        raise ValueError


_COMPRESSED = {
    b"\x1f\x8b\x08": _compressed(gzip.open),
    b"BZh": _compressed(bz2.open),
    b"\xfd7zXZ\0": _compressed(lzma.open),
    b"\x5d\0\0": _compressed(lzma.open),
}
