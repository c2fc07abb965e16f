"""The age file that holds the data key for one recipient, as sops writes it into one line of metadata.

The format is age-encryption.org/v1 (C2SP age.md): a header with one stanza per reader, its MAC, and the payload:
here a data key of 32 bytes, so a nonce of 16, the key and a tag of 16.
"""

import base64
import binascii
import re
from enum import Enum

from ci.gates.finding import Rule
from ci.gates.sealing.ciphertext import LAST_OF_16, LAST_OF_32, made_up

HIDDEN_READER = Rule(
    "sealing/hidden-reader",
    "an envelope that more than its one recipient can open",
    "a second stanza in a recipient's enc",
    "take the last good file back (git checkout HEAD -- {file}), rotate what it held, then: sops rotate -i {file}",
)
KIND = Rule(
    "sealing/envelope-kind",
    "an envelope of another kind than its recipient",
    "an X25519 stanza for a post-quantum recipient",
    "make it again: sops rotate -i {file}",
)
ENVELOPE = Rule(
    "sealing/envelope",
    "an envelope that is not an age file with a data key",
    "a cut armor, a payload of another size",
    "make it again: sops updatekeys {file}, or git checkout HEAD -- {file}",
)
RULES = (HIDDEN_READER, KIND, ENVELOPE)

_BEGIN, _END = b"-----BEGIN AGE ENCRYPTED FILE-----", b"-----END AGE ENCRYPTED FILE-----"
_WIDTH = 64
_BECH32 = "[023456789acdefghjklmnpqrstuvwxyz]"
_OF_32 = rb"[A-Za-z0-9+/]{42}" + LAST_OF_32


class Kind(Enum):
    """The two kinds of native age recipients: how they look, and what their stanza looks like."""

    X25519 = (rf"age1{_BECH32}{{58}}", rb"-> X25519 " + _OF_32)
    POST_QUANTUM = (rf"age1pq1{_BECH32}{{1952}}", rb"-> mlkem768x25519 [A-Za-z0-9+/]{1493}" + LAST_OF_16)

    def __init__(self, recipient: str, stanza: bytes) -> None:
        self.recipient = re.compile(recipient)
        self.header = re.compile(
            rb"age-encryption\.org/v1\n%b\n%b\n--- %b\n(.{64})" % (stanza, _OF_32, _OF_32), re.DOTALL
        )


def kind(recipient: str) -> Kind | None:
    """Return the kind of a recipient; None for a plugin's, an SSH key, or a text that is not a recipient."""
    return next((candidate for candidate in Kind if candidate.recipient.fullmatch(recipient)), None)


def problem(recipient: str, line: bytes) -> tuple[Rule, str] | None:
    """Say what is wrong with the envelope of a recipient, given as the file has it; None when nothing is wrong."""
    raw = _opened(line)
    if raw is None:
        return ENVELOPE, "is not the armor that age writes"
    stanzas = sum(row.startswith(b"->") for row in raw.partition(b"\n---")[0].split(b"\n"))
    if stanzas > 1:
        return HIDDEN_READER, f"has {stanzas} stanzas, so {stanzas} can open it"
    own, matches = kind(recipient), [(candidate, candidate.header.fullmatch(raw)) for candidate in Kind]
    match = next((match for candidate, match in matches if match and candidate is own), None)
    if match is None:
        if any(match for _, match in matches):
            return KIND, "is not of the recipient's kind"
        return ENVELOPE, "is not one stanza and a data key"
    return (ENVELOPE, "reads like text") if made_up(match[1]) else None


def _opened(line: bytes) -> bytes | None:
    """Return what an armor holds; None unless it is exactly what age writes."""
    first, *rows, last, end = line.split(b"\\n") if line.count(b"\\n") > 2 else [b""] * 3  # noqa: PLR2004, its frame
    body = b"".join(rows)
    whole = all(len(row) == _WIDTH for row in rows[:-1]) and 0 < len(rows[-1] if rows else b"") <= _WIDTH
    if (first, last, end) != (_BEGIN, _END, b"") or not whole:
        return None
    try:
        raw = base64.b64decode(body, validate=True)
    except binascii.Error:
        return None
    return raw if base64.b64encode(raw) == body else None
