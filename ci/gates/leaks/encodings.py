"""What is encoded within bytes: wide characters, base64, hex, percent and Unicode escapes, keys in DER."""

import base64
import binascii
import re
import urllib.parse
from collections.abc import Iterator
from contextlib import suppress

_MARKS = (
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_WIDE = (
    ("utf-32-le", re.compile(rb"(?:[\t\n\r\x20-\x7e]\0\0\0){6,}")),
    ("utf-32-be", re.compile(rb"(?:\0\0\0[\t\n\r\x20-\x7e]){6,}")),
    ("utf-16-le", re.compile(rb"(?:[\t\n\r\x20-\x7e]\0){6,}")),
    ("utf-16-be", re.compile(rb"(?:\0[\t\n\r\x20-\x7e]){6,}")),
)
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{24,}={0,2}(?:\r?\n[A-Za-z0-9+/_-]{4,}={0,2})*")
_ESCAPED = re.compile(rb"[^\s\"'`]*(?:%[0-9A-Fa-f]{2}|\\u00[0-9A-Fa-f]{2})[^\s\"'`]*")
_UNICODE = re.compile(rb"\\+u([0-9A-Fa-f]{4})")
_TEXT = re.compile(rb"[\t\n\r\x20-\x7e]+")
# A private key in DER: PKCS #8 (version, algorithm), PKCS #1 (version, a modulus) and SEC 1 (version, an octet
# string).
_DER = re.compile(
    rb"\x30(?:\x82..|\x81.|[\x20-\x7f])\x02\x01(?:\0\x30[\x05-\x20]\x06|\0\x02(?:\x82..|\x81.)|\x01\x04[\x1c-\x42])",
    re.DOTALL,
)


def wide(data: bytes) -> bytes | None:
    """Return the text of bytes that begin with the mark of UTF-16 or UTF-32, or None."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, errors="replace").encode()
    return None


def runs(data: bytes) -> Iterator[bytes]:
    """Give the texts of wide characters within a binary."""
    for encoding, pattern in _WIDE:
        found = [run.decode(encoding) for run in pattern.findall(data)]
        if found:
            yield "\n".join(found).encode()


def is_binary(data: bytes) -> bool:
    """Say whether bytes without a NUL are no text all the same."""
    head = data[:2_000]
    return sum(byte < 9 or 13 < byte < 27 for byte in head) * 10 > len(head)


def private_key(data: bytes) -> bool:
    """Say whether bytes are a private key in DER."""
    return bool(_DER.match(data))


def decoded(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Give what is encoded within a text and is text or an archive itself, and the line that it begins in."""
    for match in _BASE64.finditer(data):
        run = match[0]
        for content in _plain(run):
            if _TEXT.fullmatch(content) or content.startswith(
                (b"\x1f\x8b\x08", b"PK\x03\x04", b"BZh", b"\xfd7zXZ\0")
            ):
                yield data.count(b"\n", 0, match.start()), content
                break
    if b"%" in data or b"\\u00" in data:
        for match in _ESCAPED.finditer(data):
            content = _UNICODE.sub(lambda part: chr(int(part[1], 16)).encode(errors="replace"), match[0])
            content = urllib.parse.unquote_to_bytes(content)
            if content != match[0] and len(content) >= 12 and _TEXT.fullmatch(content):
                yield data.count(b"\n", 0, match.start()), content


def _plain(run: bytes) -> Iterator[bytes]:
    compact = re.sub(rb"\s", b"", run)
    first = run.split(b"\n")[0].strip()
    for text in dict.fromkeys((compact, first)):
        with suppress(ValueError):
            yield bytes.fromhex(text.decode())
        stripped = text.rstrip(b"=")
        with suppress(binascii.Error, ValueError):
            yield base64.b64decode(
                stripped + b"=" * (-len(stripped) % 4),
                altchars=b"-_" if b"-" in text or b"_" in text else b"+/",
                validate=True,
            )
