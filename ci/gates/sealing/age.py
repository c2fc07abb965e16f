"""The header of an age file, by age-encryption.org/v1 (C2SP age.md): refused wherever age refuses it.

Of the kinds of stanzas that age itself has, the arguments are looked at as well. What needs a key, the MAC and the
payload's tags, is not.
"""

import base64
import binascii
import re
from dataclasses import dataclass

_VERSION = b"age-encryption.org/v1\n"
_WIDTH = 64  # of a line of a stanza's body; a shorter line ends it
_KEY = _SHARE = 32
_HYBRID = 1088 + _SHARE  # of ML-KEM-768, and of X25519 after it (C2SP age-plugin, X-Wing)
_SIZES = {b"X25519": _SHARE, b"mlkem768x25519": _HYBRID, b"scrypt": 16}  # of the first argument
_NONCE = 16
_HIGHEST_WORK = 22  # age's own limit, 2^22
_PRIME = 2**255 - 19
# The points of Curve25519 whose order divides 8: with them every shared secret is zero, so that anybody can
# compute the key that wraps the file's (RFC 7748, section 6.1).
_LOW_ORDER = frozenset(
    (
        *(0, 1, _PRIME - 1),
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    )
)


class Malformed(Exception):  # noqa: N818, it is a fault of the file
    """A header that age refuses, and why."""


@dataclass(frozen=True)
class Stanza:
    """One stanza: its kind, its further arguments, and its body."""

    kind: bytes
    arguments: tuple[bytes, ...]
    body: bytes


def parse(data: bytes) -> tuple[list[Stanza], bytes]:
    """Return the stanzas of an age file and its payload; Malformed says what is wrong with the header."""
    if not data.startswith(_VERSION):
        raise Malformed("is not an age file of version 1")
    rest, stanzas = data[len(_VERSION) :], []
    while not rest.startswith(b"---"):
        stanza, rest = _stanza(rest)
        stanzas.append(stanza)
    mac, _, payload = rest.partition(b"\n")
    if not stanzas:
        raise Malformed("has no stanza, nobody can open it")
    if not mac.startswith(b"--- ") or len(_decoded(mac[4:], "a MAC")) != _KEY:
        raise Malformed("has a MAC that is not of 32 bytes")
    if len(payload) < _NONCE:
        raise Malformed("ends before its payload's nonce")
    if len(stanzas) > 1 and any(stanza.kind == b"scrypt" for stanza in stanzas):
        raise Malformed("has a stanza beside that of a passphrase")
    for stanza in stanzas:
        _check(stanza)
    return stanzas, payload


def low_order(share: bytes) -> bool:
    """Whether an X25519 share gives a shared secret of zero; its highest bit does not count."""
    return int.from_bytes(share, "little") % 2**255 % _PRIME in _LOW_ORDER


def _stanza(data: bytes) -> tuple[Stanza, bytes]:
    """Take one stanza from the beginning of a header."""
    line, end, rest = data.partition(b"\n")
    if not end or not re.fullmatch(rb"->(?: [\x21-\x7e]+)+", line):
        raise Malformed("has a line that begins no stanza, or one with an empty or unprintable argument")
    kind, *arguments = line.split(b" ")[1:]
    rows = []
    while True:
        row, end, rest = rest.partition(b"\n")
        if not end or len(row) > _WIDTH:
            raise Malformed("has a stanza whose last line is missing, or a line that is too long")
        rows.append(row)
        if len(row) < _WIDTH:
            return Stanza(kind, tuple(arguments), _decoded(b"".join(rows), "a body")), rest


def _check(stanza: Stanza) -> None:
    """Raise Malformed unless a stanza of a kind that age has is as age writes it; others are for plugins."""
    if stanza.kind not in _SIZES:
        return
    name, expected = stanza.kind.decode(), 2 if stanza.kind == b"scrypt" else 1
    if len(stanza.arguments) != expected:
        raise Malformed(f"has a stanza {name} with {len(stanza.arguments)} arguments")
    first = _decoded(stanza.arguments[0], "an argument")
    if len(first) != _SIZES[stanza.kind]:
        raise Malformed(f"has a stanza {name} with an argument of another length")
    if len(stanza.body) != _KEY:
        raise Malformed(f"has a stanza {name} whose body is not a file key")
    if stanza.kind == b"scrypt":
        work = stanza.arguments[1]
        if not re.fullmatch(rb"[1-9][0-9]?", work) or int(work) > _HIGHEST_WORK:
            raise Malformed("has a work factor that is not a number from 1 to 22")
    elif low_order(first[-_SHARE:]):
        raise Malformed(f"has a stanza {name} with a share of low order, so that anybody can open it")


def _decoded(text: bytes, what: str) -> bytes:
    """Return what base64 without padding holds; only the one text that it has is taken."""
    try:
        data = base64.b64decode(text + b"=" * (-len(text) % 4))
    except binascii.Error:
        data = b""
    if base64.b64encode(data).rstrip(b"=") != text:
        raise Malformed(f"has {what} that is not canonical base64")
    return data
