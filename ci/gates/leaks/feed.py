"""Everything that is to be looked at, as one text for `gitleaks stdin`, and what each of its lines is.

gitleaks reads a stream in pieces of up to 100 kB and ends a piece at a blank line, if one follows within 25 kB. So
this text has a blank line at least every 16 kB, and where the content has none, the next segment repeats the end
of the last: whatever is shorter than that is whole in one of the pieces.
"""

import bisect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from ci.gates.leaks import archives

SEGMENT = 16_000  # bytes between two blank lines
AROUND = 4  # lines before and after a change
REPEATED = 4_000  # bytes of a segment that the next one repeats
_PRINTABLE = re.compile(rb"[\t\x20-\x7e]{6,}")
_MARKS = (b"\xff\xfe", b"\xfe\xff")  # what UTF-16 begins with
_WIDE = (
    ("utf-16-le", re.compile(rb"(?:[\t\n\r\x20-\x7e]\0){6,}")),
    ("utf-16-be", re.compile(rb"(?:\0[\t\n\r\x20-\x7e]){6,}")),
)


@dataclass(frozen=True)
class Source:
    """Where a text comes from: an object's id or a path, the names within archives, and what it is of that."""

    id: str
    inner: tuple[str, ...] = ()
    kind: str = "content"

    def within(self, place: str) -> str:
        """Return a place and what is named within it."""
        return "!".join((place, *self.inner))


@dataclass
class Feed:
    """The text, and for each segment where it starts, whose it is and which line of that it starts with."""

    parts: list[bytes] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    origins: list[tuple[Source, int]] = field(default_factory=list)
    unreadable: set[Source] = field(default_factory=set)
    before: dict[Source, bytes] = field(default_factory=dict)
    size: int = 0
    opened: int = 0
    skipped: Callable[[Source, bytes], bool] | None = None
    next_line: int = 1

    def add(self, source: Source, data: bytes) -> None:
        """Add a content: archives are unpacked, UTF-16 is read as text, and of binaries what is printable."""
        opener = archives.opener(data)
        if not opener and self.skipped and self.skipped(source, data):
            return
        if data.startswith(archives.UNKNOWN) or (opener and len(source.inner) >= archives.DEPTH):
            self.unreadable.add(source)
        elif opener:
            self._unpack(source, data, opener)
            return
        if data.startswith(_MARKS):
            self.text(source, data.decode("utf-16", errors="replace").encode())
        elif b"\0" not in data:
            self.text(source, data)
        else:
            self._binary(source, data)

    def add_version(self, source: Source, old: bytes | None, new: bytes) -> None:
        """Add what is new in a content, and some lines around that; `old` was looked at before."""
        special = archives.opener(new) or new.startswith((*archives.UNKNOWN, *_MARKS))
        if old is None or special or b"\0" in new or b"\0" in old:
            self.add(source, new)
            return
        self.before[source] = b"\n%s\n" % old
        for line, piece in changes(old, new):
            self.text(source, piece, line)

    def text(self, source: Source, data: bytes, first: int = 1) -> None:
        """Add what is known to be text, which begins with a line of that number."""
        for line, piece in segments(data, first):
            whole = piece + b"\n\n"  # ends a segment, and is not part of the content
            self.parts.append(whole)
            self.starts.append(self.next_line)
            self.origins.append((source, line))
            self.next_line += whole.count(b"\n")
            self.size += len(whole)

    def at(self, line: int) -> tuple[Source, int]:
        """Return whose a line of the text is, and which line of that it is."""
        index = self._segment(line)
        source, first = self.origins[index]
        return source, first + line - self.starts[index]

    def lines(self, first: int, last: int) -> bytes:
        """Return the lines of the text from one to another, both included, up to the end of their segment."""
        index = self._segment(first)
        start = self.starts[index]
        return b"\n".join(self.parts[index].split(b"\n")[first - start : last - start + 1])

    def _segment(self, line: int) -> int:
        return max(bisect.bisect_right(self.starts, line) - 1, 0)

    def _binary(self, source: Source, data: bytes) -> None:
        mostly_text = data.count(b"\0") * 50 < len(data)
        self.text(source, data if mostly_text else b"\n".join(_PRINTABLE.findall(data)))
        for encoding, wide in _WIDE:
            runs = [run.decode(encoding) for run in wide.findall(data)]
            if runs:
                self.text(source, "\n".join(runs).encode())

    def _unpack(self, source: Source, data: bytes, opener: archives.Opener) -> None:
        self.opened += 1
        try:
            for name, content in opener(data):
                inside, named = Source(source.id, (*source.inner, name)), name.encode(errors="replace")
                if not (self.skipped and self.skipped(inside, named)):
                    self.text(Source(source.id, source.inner, "name in it"), named)
                self.add(inside, content)
        except archives.FAULTS:
            self.unreadable.add(source)
            self.text(source, b"\n".join(_PRINTABLE.findall(data)))


def changes(old: bytes, new: bytes) -> Iterator[tuple[int, bytes]]:
    """Give what is new in a text, with AROUND lines on both sides: the number of the first line, and the lines.

    A line is new unless it followed the same line before: what moved below another name is new too. A text with a
    private key is given whole, for only its head says what it is.
    """
    if b"PRIVATE KEY" in new:
        yield 1, new
        return
    before, after = old.split(b"\n"), new.split(b"\n")
    known = set(pairwise([b"", *before]))
    fresh = [number for number, pair in enumerate(pairwise([b"", *after])) if pair not in known]
    start = end = 0
    for number in fresh:
        if end and number - AROUND > end:
            yield start + 1, b"\n".join(after[start:end])
            end = 0
        start = start if end else max(number - AROUND, 0)
        end = number + AROUND + 1
    if end:
        yield start + 1, b"\n".join(after[start:end])


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
