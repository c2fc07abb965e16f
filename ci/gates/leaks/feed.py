"""Everything that is to be looked at, as texts with the names and the line numbers that they have in their files.

Of a later version of a file only the lines around a change are a text. What is packed or encoded is unpacked
first.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from ci.gates.leaks import archives, encodings

SEGMENT = 90_000  # bytes of a text: gitleaks reads a file in pieces of 100 kB
AROUND = 4  # lines before and after a change, where a name may be that a value belongs to
REPEATED = 4_000  # bytes of a segment that the next one repeats
_PRINTABLE = re.compile(rb"[\t\x20-\x7e]{6,}")


@dataclass(frozen=True)
class Source:
    """Where a text comes from: an object's id or a path, the names within archives, and what it is of that."""

    id: str
    inner: tuple[str, ...] = ()
    kind: str = "content"

    def within(self, place: str) -> str:
        """Return a place and what is named within it."""
        return "!".join((place, *self.inner))


@dataclass(frozen=True)
class Text:
    """A text: whose it is, the number of its first line there, its file's name, and the file if it is a part.

    `at` is the line that all of it stands in, when it was encoded in that line. `fresh` has the lines, counted
    from 0, that are new or beside a new one; all are when there is none.
    """

    source: Source
    first: int
    data: bytes
    path: str
    whole: bytes = b""
    binary: bool = False
    at: int = 0
    fresh: frozenset[int] | None = None

    def line(self, number: int) -> int:
        """Return the line of the source that a line of the text, counted from 0, is."""
        return self.at or self.first + number

    @property
    def known_by_form(self) -> bytes:
        """The text with empty lines where they are old: what is known by its form alone stands in new ones."""
        if self.fresh is None:
            return self.data
        lines = self.data.split(b"\n")
        return b"\n".join(line if number in self.fresh else b"" for number, line in enumerate(lines))


@dataclass
class Feed:
    """The texts that were added; `named` gives an object's file name, `skipped` leaves contents out."""

    texts: list[Text] = field(default_factory=list)
    unreadable: set[Source] = field(default_factory=set)
    keys: set[Source] = field(default_factory=set)
    before: dict[Source, bytes] = field(default_factory=dict)
    size: int = 0
    opened: int = 0
    skipped: Callable[[Source, bytes], bool] | None = None
    named: Callable[[str], str] = str

    def add(self, source: Source, data: bytes) -> None:
        """Add a content: archives are unpacked, wide encodings read as text, of binaries what is printable is."""
        opener = archives.opener(data)
        if not opener and self.skipped and self.skipped(source, data):
            return
        if archives.closed(data) or (opener and len(source.inner) >= archives.DEPTH):
            self.unreadable.add(source)
        elif opener:
            self._unpack(source, data, opener)
            return
        if encodings.private_key(data):
            self.keys.add(source)
        wide = encodings.wide(data)
        if wide is not None:
            self.text(source, wide)
        elif b"\0" not in data and not encodings.is_binary(data):
            self.text(source, data)
            self._decoded(source, data)
        else:
            self._binary(source, data)

    def add_version(self, source: Source, old: bytes | None, new: bytes) -> None:
        """Add what is new in a content, and some lines around that; `old` was looked at before."""
        special = archives.opener(new) or archives.closed(new) or encodings.wide(new) is not None
        if old is None or special or b"\0" in new or b"\0" in old:
            self.add(source, new)
            return
        self.before[source] = b"\n%s\n" % old
        for line, piece, fresh in changes(old, new):
            self.text(source, piece, line, whole=new, fresh=fresh)
            self._decoded(source, piece, line)

    def text(
        self,
        source: Source,
        data: bytes,
        first: int = 1,
        *,
        whole: bytes = b"",
        binary: bool = False,
        fresh: frozenset[int] | None = None,
    ) -> None:
        """Add what is known to be text, which begins with a line of that number."""
        for line, piece in segments(data, first):
            cut = len(piece) < len(data)
            part = whole or (data if cut else b"")
            self._add(Text(source, line, piece, self._path(source), part, binary, 0, None if cut else fresh))

    def _add(self, text: Text) -> None:
        self.texts.append(text)
        self.size += len(text.data)

    def _path(self, source: Source) -> str:
        path = "/".join((self.named(source.id) if source.kind == "content" else source.kind, *source.inner))
        return path.removesuffix("/unpacked").rpartition(".")[0] if path.endswith("/unpacked") else path

    def _decoded(self, source: Source, data: bytes, first: int = 1) -> None:
        """Add what is encoded within a text: as text at the same line, or unpacked."""
        for number, content in encodings.decoded(data):
            opener = archives.opener(content)
            if opener and len(source.inner) < archives.DEPTH:
                self._unpack(source, content, opener, silent=True)
            else:
                for _, piece in segments(content):
                    self._add(Text(source, first + number, piece, self._path(source) + ".txt", at=first + number))

    def _binary(self, source: Source, data: bytes) -> None:
        mostly_text = data.count(b"\0") * 50 < len(data) and not encodings.is_binary(data)
        self.text(source, data if mostly_text else b"\n".join(_PRINTABLE.findall(data)), binary=True)
        for content in encodings.runs(data):
            self.text(source, content)
        for content in archives.streams(data):
            self.text(source, content)

    def _unpack(self, source: Source, data: bytes, opener: archives.Opener, *, silent: bool = False) -> None:
        self.opened += 1
        try:
            for name, content in opener(data):
                inside, named = Source(source.id, (*source.inner, name)), name.encode(errors="replace")
                if not (self.skipped and self.skipped(inside, named)):
                    self.text(Source(source.id, source.inner, "name in it"), named)
                self.add(inside, content)
        except archives.FAULTS:
            if not silent:
                self.unreadable.add(source)
            self.text(source, b"\n".join(_PRINTABLE.findall(data)), binary=True)


def changes(old: bytes, new: bytes) -> Iterator[tuple[int, bytes, frozenset[int] | None]]:
    """Give what is new in a text, with AROUND lines on both sides: the first line's number, the lines, the fresh.

    Two lines are fresh unless they followed each other before: what moved below another name is new too. A text
    with a private key is given whole, for only its head says what it is.
    """
    if b"PRIVATE KEY" in new:
        yield 1, new, None
        return
    before, after = old.split(b"\n"), new.split(b"\n")
    known = set(pairwise([b"", *before]))
    second = [number for number, pair in enumerate(pairwise([b"", *after])) if pair not in known]
    fresh = {line for number in second for line in (number - 1, number)}
    start = end = 0
    for number in [*second, len(after) + 3 * AROUND]:
        if end and number - AROUND > end:
            lines = after[start:end]
            yield start + 1, b"\n".join(lines), frozenset(at for at in range(len(lines)) if start + at in fresh)
            end = 0
        start = start if end else max(number - AROUND, 0)
        end = number + AROUND + 1


def segments(data: bytes, line: int = 1) -> Iterator[tuple[int, bytes]]:
    """Cut a text whose first line has this number: give each segment, and the number of its first line."""
    start = 0
    while len(data) - start > SEGMENT:
        end, following = _cut(data, start)
        yield line, data[start:end]
        line += data.count(b"\n", start, following)
        start = following
    yield line, data[start:]


def _cut(data: bytes, start: int) -> tuple[int, int]:
    """Return where a segment ends and where the next one starts, which is before that when the two have no gap."""
    half, full = start + SEGMENT // 2, start + SEGMENT
    blank = data.rfind(b"\n\n", half, full)
    if blank >= 0:
        return blank + 2, blank + 2
    newline = data.rfind(b"\n", half, full)
    end = newline + 1 if newline >= 0 else full
    back = data.find(b"\n", end - REPEATED, end - 1)
    return end, back + 1 if back >= 0 else end - REPEATED
