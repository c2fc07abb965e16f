"""One sealed file, as far as it can be judged without a key.

What sops' MAC protects, `sops decrypt` finds. Here is the rest: what it accepts, and what it would only report
to a person who has an identity. A message never repeats a value, nor ciphertext.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ci.gates.finding import Finding, Rule, finding
from ci.gates.sealing import ciphertext, envelope
from ci.ground.schema import KEY_NAME

_BACK = "take the last good file back: git checkout HEAD -- {file}"
_SET = "inv set --env={environment} --key={key}, and replace the value at its provider if this was ever pushed"
PLAINTEXT = Rule("sealing/plaintext", "a value in clear", "DB_PASSWORD={random}", _SET)
EMPTY = Rule("sealing/empty", "an empty value, which sops does not seal", "DB_PASSWORD=", _SET)
TRAILING = Rule("sealing/trailing", "text after a ciphertext, which sops ignores", "KEY=ENC[…]hunter2", _BACK)
TYPE = Rule("sealing/type", "a ciphertext of another type than str", "KEY=ENC[…,type:comment]", _BACK)
MALFORMED = Rule("sealing/malformed", "a ciphertext that sops did not write", "KEY=ENC[AES256_GCM,data:x]", _BACK)
MADE_UP = Rule("sealing/made-up", "a ciphertext that decodes to text", "data: with the base64 of a password", _SET)
IV = Rule(
    "sealing/reused-iv",
    "a nonce that is used twice",
    "a ciphertext copied to another key",
    "sops rotate -i {file}",
)
NAME = Rule("sealing/name", "a name that is no key", "PASSWORD_unencrypted=…", "rename it: A-Z, 0-9 and _ only")
DUPLICATE = Rule("sealing/duplicate", "a name that is there twice", "two lines for one key", _BACK)
COMMENT = Rule("sealing/comment", "a comment in clear", "# the old password was …", "delete the line")
LINE = Rule("sealing/line", "a line that sops did not write", "a blank line, a line without =", _BACK)
RETURN = Rule(
    "sealing/carriage-return", "line ends with a carriage return", "CRLF", "convert it to LF, or: " + _BACK
)
CONFLICT = Rule(
    "sealing/conflict",
    "the marks of a merge conflict",
    "<<<<<<< HEAD",
    "take one side (git checkout --theirs -- {file}) and set what the other changed with inv set",
)
UNSEALED = Rule(
    "sealing/unsealed",
    "a file under secrets/ that was never sealed",
    "no sops_ lines",
    "inv encrypt --env={environment} < {file}",
)
UNKNOWN = Rule(
    "sealing/metadata-unknown",
    "metadata that is not on the list",
    "sops_mac_only_encrypted=true",
    "delete the line",
)
METADATA = Rule("sealing/metadata", "metadata that is missing or not as sops writes it", "no sops_mac", _BACK)
ORDER = Rule("sealing/metadata-order", "a value after the metadata", "KEY=ENC[…] below sops_mac", _BACK)
RULES = (
    *(PLAINTEXT, EMPTY, TRAILING, TYPE, MALFORMED, MADE_UP, IV, NAME, DUPLICATE, COMMENT, LINE, RETURN, CONFLICT),
    *(UNSEALED, UNKNOWN, METADATA, ORDER),
    *envelope.RULES,
)

# One match a line: a good value (key, data, iv, tag), or else whatever it is.
_LINES = re.compile(rb"(?:([A-Z][A-Z0-9_]*)=" + ciphertext.PATTERN + rb"str\]|([^\n]*))\n")
_ENCRYPTED = re.compile(ciphertext.PATTERN + rb"(\w+)\]")
_MARK = re.compile(rb"(?m)^(?:<{7}|={7}|>{7}|\|{7})(?=[ \r\n]|\Z)")
_LISTED = re.compile(r"sops_age__list_(0|[1-9][0-9]{0,3})__map_(enc|recipient)")
_MAC_SIZE = 128  # SHA-512 in hex
_VALUES = {
    "sops_lastmodified": re.compile(rb"2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
    "sops_version": re.compile(rb"\d+\.\d+\.\d+"),
    "sops_unencrypted_suffix": re.compile(rb"_unencrypted"),
    "sops_mac": re.compile(ciphertext.PATTERN + rb"str\]"),
}
_REQUIRED = ("sops_lastmodified", "sops_mac", "sops_version")


@dataclass
class Sealed:
    """What a sealed file holds, as far as others need it; bytes are as in the file, lines count from 1."""

    place: str
    pairs: dict[tuple[bytes, bytes], str] = field(default_factory=dict)  # key by data and tag
    nonces: dict[bytes, int] = field(default_factory=dict)  # line by iv
    envelopes: dict[bytes, int] = field(default_factory=dict)  # line by enc
    recipients: list[tuple[str, int]] = field(default_factory=list)  # with their lines
    mac: bytes = b""
    values: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, rule: Rule, message: str, line: int, key: str = "") -> None:
        """Take note of a finding."""
        self.findings.append(finding(rule, self.place, message, line=line, key=key))


def read(place: str, data: bytes) -> Sealed:
    """Read a sealed file, with everything that is wrong with it."""
    file = Sealed(place)
    if b"\r" in data:
        file.add(RETURN, "has carriage returns, sops cannot read it", data.count(b"\n", 0, data.index(b"\r")) + 1)
        data = data.replace(b"\r\n", b"\n")
    marks = [data.count(b"\n", 0, mark.start()) + 1 for mark in _MARK.finditer(data)]
    if marks:
        file.add(CONFLICT, "has an unresolved merge conflict, sops cannot read it", marks[0])
        return file
    if data and not data.endswith(b"\n"):
        file.add(LINE, "the last line has no end", data.count(b"\n") + 1)
        data += b"\n"
    metadata: dict[str, tuple[bytes, int]] = {}
    keys: set[bytes] = set()
    for number, match in enumerate(_LINES.finditer(data), start=1):
        key, content, iv, tag, other = match.groups()
        if key is None:
            key = _other(file, number, other, metadata)
        else:
            _value(file, number, key.decode(), (content, iv, tag))
        if metadata and key and not key.startswith(b"sops_"):
            file.add(ORDER, "stands after the metadata", number, _shown(key))
        if key in keys:
            file.add(DUPLICATE, "is there twice, sops takes both", number, _shown(key))
        if key:
            keys.add(key)
    _metadata(file, metadata)
    return file


def _value(file: Sealed, number: int, key: str, parts: tuple[bytes, bytes, bytes]) -> None:
    """Look at a well-formed ciphertext."""
    content, iv, tag = parts
    file.values += 1
    file.pairs[content, tag] = key
    if iv in file.nonces:
        file.add(IV, f"has the nonce of line {file.nonces[iv]}", number, key)
    file.nonces.setdefault(iv, number)
    if any(ciphertext.made_up(ciphertext.decoded(part)) for part in parts):
        file.add(MADE_UP, "is no ciphertext, it decodes to text", number, key)


def _other(file: Sealed, number: int, line: bytes, metadata: dict[str, tuple[bytes, int]]) -> bytes:
    """Look at a line that is not a well-formed value, and return its name."""
    if line.startswith(b"#"):
        match = _ENCRYPTED.fullmatch(line[1:])
        if match and match[4] == b"comment":
            _value(file, number, "", (match[1], match[2], match[3]))
        else:
            file.add(COMMENT, "is a comment in clear", number)
        return b""
    name, equals, value = line.partition(b"=")
    if not equals:
        file.add(LINE, "is no KEY=value", number)
        return b""
    key = _shown(name)
    if name.startswith(b"sops_"):
        if key in _VALUES or _LISTED.fullmatch(key):
            metadata.setdefault(key, (value, number))
        else:
            file.add(UNKNOWN, "is no metadata that belongs here", number, key)
        return name
    if not KEY_NAME.fullmatch(key):
        file.add(NAME, "is a name that no key can have", number)
    if problem := _diagnosis(value):
        file.add(*problem, number, key)
    return name


def _diagnosis(value: bytes) -> tuple[Rule, str] | None:
    """Say why a value is not what sops wrote."""
    if not value:
        return EMPTY, "is empty, so it is not sealed"
    if not value.startswith(b"ENC["):
        return PLAINTEXT, "is not encrypted"
    inner, bracket, rest = value.rpartition(b"]")
    match = _ENCRYPTED.fullmatch(inner + bracket)
    if rest and match:
        return TRAILING, "has text after its ciphertext"
    if match is None:
        return MALFORMED, "is not a ciphertext as sops writes it"
    return (TYPE, "is not of type str") if match[4] != b"str" else None


def _metadata(file: Sealed, metadata: dict[str, tuple[bytes, int]]) -> None:
    if not metadata:
        file.add(UNSEALED, "has no metadata of sops, it was never sealed", 1)
        return
    for key in _REQUIRED:
        if key not in metadata:
            file.add(METADATA, "is missing", 1, key)
    for key, form in _VALUES.items():
        value, number = metadata.get(key, (b"", 0))
        match = form.fullmatch(value)
        if number and match is None:
            file.add(METADATA, "is not as sops writes it", number, key)
        elif match and key == "sops_mac":
            _mac(file, number, match)
    _recipients(file, metadata)


def _recipients(file: Sealed, metadata: dict[str, tuple[bytes, int]]) -> None:
    for name, recipient, content, number in _readers(file, metadata):
        file.recipients.append((recipient, number))
        if content in file.envelopes:
            file.add(envelope.ENVELOPE, f"is the envelope of line {file.envelopes[content]}", number, name)
        file.envelopes.setdefault(content, number)
        if problem := envelope.problem(recipient, content):
            file.add(*problem, number, name)
    if not file.recipients:
        file.add(METADATA, "has no recipient, nobody can open it", 1)


def _mac(file: Sealed, number: int, match: re.Match[bytes]) -> None:
    file.mac, parts = match[0], [ciphertext.decoded(part) for part in match.groups()]
    if len(parts[0]) != _MAC_SIZE or any(ciphertext.made_up(part) for part in parts):
        file.add(METADATA, "is not as sops writes it", number, "sops_mac")
    if match[2] in file.nonces:
        file.add(IV, f"has the nonce of line {file.nonces[match[2]]}", number, "sops_mac")
    file.nonces.setdefault(match[2], number)


def _readers(file: Sealed, metadata: dict[str, tuple[bytes, int]]) -> Iterator[tuple[str, str, bytes, int]]:
    """Yield the name of each envelope, its recipient, itself and its line; the list must have no gaps."""
    listed = {int(match[1]) for key in metadata if (match := _LISTED.fullmatch(key))}
    for index in sorted(listed):
        pair = [f"sops_age__list_{index}__map_{part}" for part in ("recipient", "enc")]
        missing = [key for key in pair if key not in metadata]
        if missing or index >= len(listed):
            file.add(METADATA, "stands alone, the list of recipients has a gap", 1, (missing or pair)[0])
        if not missing:
            (recipient, _), (content, number) = metadata[pair[0]], metadata[pair[1]]
            yield pair[1], recipient.decode(errors="replace"), content, number


def _shown(name: bytes) -> str:
    """Return a name as it may be shown: what is not a name might be part of a value."""
    text = name.decode(errors="replace")
    return text if re.fullmatch(r"(?:[A-Z][A-Z0-9_]*|sops_[a-z0-9_]+)", text) and len(text) <= 80 else ""  # noqa: PLR2004
