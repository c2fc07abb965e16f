"""The age file that holds the data key for one recipient, as sops writes it into one line of metadata.

The format is age-encryption.org/v1 (C2SP age.md): a header with one stanza per reader, its MAC, and the payload:
here a data key of 32 bytes, so a nonce of 16, the key and a tag of 16.
"""

import base64
import binascii
import re
from enum import Enum

from ci.gates.finding import Rule
from ci.gates.sealing import age
from ci.gates.sealing.ciphertext import made_up

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
_PAYLOAD = 16 + 32 + 16  # nonce, data key and tag


class Kind(Enum):
    """The two kinds of native age recipients: how they look, and what their stanza is called."""

    X25519 = (rf"age1{_BECH32}{{58}}", b"X25519")
    POST_QUANTUM = (rf"age1pq1{_BECH32}{{1952}}", b"mlkem768x25519")

    def __init__(self, recipient: str, stanza: bytes) -> None:
        self.recipient = re.compile(recipient)
        self.stanza = stanza


def kind(recipient: str) -> Kind | None:
    """Return the kind of a recipient; None for a plugin's, an SSH key, or a text that is not a recipient."""
    return next((candidate for candidate in Kind if candidate.recipient.fullmatch(recipient)), None)


def problem(recipient: str, line: bytes) -> tuple[Rule, str] | None:
    """Say what is wrong with the envelope of a recipient, given as the file has it; None when nothing is wrong."""
    raw = _opened(line)
    if raw is None:
        return ENVELOPE, "is not the armor that age writes"
    begun = sum(row.startswith(b"->") for row in raw.partition(b"\n---")[0].split(b"\n"))
    if begun > 1:
        return HIDDEN_READER, f"has {begun} stanzas, so {begun} can open it"
    try:
        (stanza,), payload = age.parse(raw)
    except age.Malformed as error:
        return ENVELOPE, str(error)
    own = kind(recipient)
    if len(payload) != _PAYLOAD or stanza.kind not in [each.stanza for each in Kind]:
        return ENVELOPE, "is not one stanza of age's own and a data key"
    if own is None or stanza.kind != own.stanza:
        return KIND, "is not of the recipient's kind"
    return (ENVELOPE, "reads like text") if made_up(payload) else None


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
