"""What a program prints, without the sealed values that it was given."""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote, urlsplit

from runtime import Secret
from runtime.secret import MASK

SHORTEST_LINE = 8  # characters of a line of a value that is hidden by itself
SHORTEST_PART = 16  # characters of what a comma or a colon separates, such as one token of a list


class Redaction:
    """Values, and the forms in which a program may print them: lines, parts, for a URL, in base64, in JSON."""

    def __init__(self, values: Iterable[Secret]) -> None:
        pieces = {piece for value in values for piece in _pieces(value.reveal()) if piece}
        forms = {form for piece in pieces for form in _forms(piece)}
        self._forms = sorted(forms, reverse=True)  # a form before those that it begins with
        self._pattern = re.compile(b"|".join(map(re.escape, self._forms)) or b"(?!)")

    def text(self, text: str) -> str:
        """Return a text without the values."""
        data = text.encode(errors="surrogateescape")
        return self._pattern.sub(MASK.encode(), data).decode(errors="surrogateescape")

    def split(self, data: bytes, *, last: bool) -> tuple[bytes, bytes]:
        """Return what may be shown of a stream, and what may still become a value; nothing may at the `last`."""
        held = len(data) if last else self._held(data)
        shown, position = [], 0
        # A search for each form is many times as fast as the pattern, and most pieces have none.
        matches = self._pattern.finditer(data) if any(form in data for form in self._forms) else ()
        for match in matches:
            if match.start() >= held:
                break
            shown += [data[position : match.start()], MASK.encode()]
            position = match.end()
        end = max(position, held)
        return b"".join([*shown, data[position:end]]), data[end:]

    def _held(self, data: bytes) -> int:
        """Return where the first form begins that the end of the data cuts off."""
        first = len(data)
        for form in self._forms:
            start = data.find(form[:1], max(0, len(data) - len(form) + 1))
            while 0 <= start < first and not form.startswith(data[start:]):
                start = data.find(form[:1], start + 1)
            first = start if 0 <= start < first else first
        return first


class Stream:
    """One stream of a program, as it comes; a value may be cut by the pieces that it comes in."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction, self._held = redaction, b""

    def shown(self, data: bytes) -> bytes:
        """Return what may be shown now; nothing more comes after an empty piece."""
        shown, self._held = self._redaction.split(self._held + data, last=not data)
        return shown


def in_base64(raw: bytes) -> Iterator[bytes]:
    """Yield the part of the value's base64 that does not depend on its context, in both alphabets."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw)
        part = encoded[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        yield part
        yield part.translate(bytes.maketrans(b"+/", b"-_"))


def _pieces(value: str) -> Iterator[str]:
    """Yield a value, and what in it is as secret: its longer lines and parts, the password of a URL."""
    yield value
    lines = value.splitlines()
    if len(lines) > 1:
        yield from (line for line in lines if len(line) >= SHORTEST_LINE)
        return
    try:
        password = urlsplit(value).password
    except ValueError:
        password = None
    if password:
        yield from (password, unquote(password))
    elif "://" not in value:
        yield from (part for part in re.split("[,:]", value) if len(part) >= SHORTEST_PART)


def _forms(piece: str) -> Iterator[bytes]:
    raw = piece.encode(errors="surrogateescape")
    yield raw
    yield quote(raw, safe="").encode()
    for text in (json.dumps(piece), json.dumps(piece, ensure_ascii=False), repr(piece)):  # as a log has it
        yield text[1:-1].encode(errors="surrogateescape")
    if len(raw) >= SHORTEST_LINE:
        yield from in_base64(raw)
