"""From texts to findings: found, judged, each once, at a place that holds no secret itself."""

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from ci.gates.finding import Finding, Rule, finding
from ci.gates.leaks import known, parsed, rules, values
from ci.gates.leaks.feed import Feed, Source, Text
from ci.gates.leaks.judge import Candidate, Judge, generic
from ci.gates.leaks.lines import Lines
from ci.gates.leaks.names import Kind, kind
from ci.gates.leaks.scanner import Engine, Gitleaks, Hit
from ci.ground import programs
from ci.ground.repo import Repo
from ci.ground.schema import Schema

HIDDEN = "***"
OWN_LINES = Path(__file__).with_name("own.txt")  # own.py says what they are
OWN = frozenset(map(bytes.fromhex, OWN_LINES.read_text(encoding="ascii").split()))
KEY_FILES = re.compile(
    r"(?i)\.(?:p12|pfx|jks|keystore|kdbx|agekey|ppk)$|(?:^|/)id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?$"
)
_RANK = {rule: rank for rank, rule in enumerate(rules.RULES)}
_NAME_BEFORE = re.compile(r"([A-Za-z_][\w.-]*)\W*$")
_PUTTY = re.compile(rb"PuTTY-User-Key-File-\d[\s\S]{0,4000}?Private-Lines: *\d+\r?\n([A-Za-z0-9+/=]{16,})")


@dataclass(frozen=True)
class Leak:
    """One leak in a source: rule, key, line, a digest of that line to recognise it, and the value if known."""

    source: Source
    line: int
    rule: Rule
    key: str
    digest: bytes
    value: str


class Look:
    """One look of the gate: the engine, what it looks for, and what it has found so far.

    `own` has the digests of lines that are not findings. `state` returns a digest of everything that decides about
    a leak, and is called for a history only; where it is empty nothing is known from earlier looks.
    """

    def __init__(
        self, engine: Engine, schema: Schema, own: Collection[bytes] = OWN, state: Callable[[], str] = str
    ) -> None:
        keys = list(schema.keys.values())
        self.engine = engine
        self.judge = Judge(keys)
        self.lines = Lines(
            self.judge.secret, {scheme for key in keys if key.secret for scheme in key.rules.get("url", ())}
        )
        self.own = own
        self.state = state
        self.leaks: list[Leak] = []
        self.size = 0
        self._parsed: tuple[bytes, parsed.Parsed | None] | None = None

    @classmethod
    def of(cls, repo: Repo) -> "Look":
        """Return a look with a checkout's program and schema."""
        program, schema = repo.tool("gitleaks"), repo.schema

        def state() -> str:
            keys = [(key.name, dict(key.rules), dict(key.meta)) for key in schema.keys.values()]
            return known.state(programs.digest(program).encode(), repr(keys).encode())

        return cls(Gitleaks(program), schema, state=state)

    def at(self, feed: Feed) -> None:
        """Find what may be leaks in a feed, and keep what the judge does not dismiss."""
        self.size += feed.size
        leaks: dict[tuple[Source, int], set[Leak]] = {}
        with ThreadPoolExecutor(1) as pool:  # an engine is a program of its own: it reads while we do
            hits = pool.submit(self.engine.scan, feed.texts) if feed.texts else None
            read = list(self._read(feed))
        for leak in (*self._known(feed, hits.result() if hits else ()), *read):
            if leak.digest not in self.own:
                leaks.setdefault((leak.source, leak.line), set()).add(leak)
        for same in leaks.values():
            first = min(map(_rank, same))
            self.leaks += [leak for leak in same if _rank(leak) == first]
        self.leaks += [_whole(rules.UNREADABLE, source) for source in feed.unreadable]
        self.leaks += [_whole(rules.KEY_FILE, source) for source in feed.keys]

    def names(self, feed: Feed, names: Iterable[str]) -> None:
        """Put file names into a feed; a key file is known by its name alone."""
        for name in names:
            source = Source(name, kind="name")
            feed.text(source, name.encode(errors="surrogateescape"))
            if KEY_FILES.search(name):
                self.leaks.append(_whole(rules.KEY_FILE, source))

    def findings(
        self, place: Callable[[Source], str], order: Callable[[Source], int] | None = None
    ) -> list[Finding]:
        """Return a finding for each leak; of one line in many versions of a file only the first in `order`."""
        secret = self._secret_names()
        first: dict[object, Leak] = {}
        for leak in sorted(self.leaks, key=lambda leak: (order(leak.source) if order else 0, leak.line, leak.key)):
            where = place(leak.source).partition(":")[2] if order else leak.source
            first.setdefault((leak.rule, leak.key, where, leak.source.kind, leak.digest), leak)
        return [_finding(leak, _masked(place(leak.source), secret)) for leak in first.values()]

    def _known(self, feed: Feed, hits: Iterable[Hit]) -> Iterator[Leak]:
        """Give what the engine knows, and the judge does not dismiss."""
        for hit in hits:
            text = feed.texts[hit.text]
            if self._dismissed(hit):
                continue
            around = _between(text.data, hit.first, hit.last)
            if b"\n%s\n" % around not in feed.before.get(text.source, b""):
                # the older version had it otherwise, and has the finding
                yield Leak(text.source, text.line(hit.first), rules.PROVIDER, hit.rule, _digest(around), "")

    def _dismissed(self, hit: Hit) -> bool:
        before = hit.match.partition(hit.secret)[0] if hit.secret else hit.match
        name = _NAME_BEFORE.search(before)
        return self.judge.dismisses_known(hit.rule, name[1] if name else "", hit.secret)

    def _read(self, feed: Feed) -> Iterator[Leak]:
        """Give what is read as names and values, and the judge does not dismiss."""
        worded = self.lines.worded([text.data for text in feed.texts])
        for text, numbers in zip(feed.texts, worded, strict=True):
            for candidate in self._candidates(text, numbers):
                if candidate.line < 0 or self.judge.dismisses(candidate):
                    continue
                around = _between(text.data, candidate.line, candidate.last)
                if b"\n%s\n" % around in feed.before.get(text.source, b""):
                    continue
                rule = candidate.rule
                if rule is rules.ASSIGNMENT and text.path.endswith(".ipynb"):
                    rule = rules.NOTEBOOK
                key = candidate.name if rule is rules.SCHEMA_KEY else ""
                yield Leak(text.source, text.line(candidate.line), rule, key, _digest(around), candidate.value)

    def _candidates(self, text: Text, numbers: Sequence[int]) -> Iterator[Candidate]:
        structure = self._structure(text) if numbers else None
        skipped: Collection[int] = ()
        if structure:
            offset = text.first - 1 if text.whole else 0
            skipped = {line - offset for line in structure.lines}
            last = text.data.count(b"\n")
            within = (
                replace(candidate, line=candidate.line + line, last=candidate.last + line)
                for line, inner in structure.texts
                for candidate in self._inner(inner.encode(errors="replace"), text.path)
            )
            for candidate in (*structure.candidates, *within):
                if 0 <= candidate.line - offset <= last:
                    yield replace(candidate, line=candidate.line - offset, last=candidate.last - offset)
        yield from self.lines.candidates(text.data, text.path, numbers, skipped, text.fresh)
        if text.binary:
            yield from self._strings(text)
        if b"PuTTY-User-Key-File" in text.data:
            for match in _PUTTY.finditer(text.data):
                line = text.data.count(b"\n", 0, match.start(1))
                yield Candidate(rules.ASSIGNMENT, "private_key", match[1].decode(), line, line)

    def _inner(self, text: bytes, path: str) -> Iterator[Candidate]:
        """Give what may be leaks in a value of a structured file that is a script, or a notebook's code."""
        (numbers,) = self.lines.worded([text])
        return self.lines.candidates(text, "cell.py" if path.endswith(".ipynb") else "script.sh", numbers)

    def _structure(self, text: Text) -> parsed.Parsed | None:
        """Return what a structured file holds, if anything in this text could be a leak."""
        if text.at or text.source.kind != "content":
            return None
        file = text.whole or text.data
        if self._parsed is None or self._parsed[0] is not file:
            self._parsed = (file, parsed.parse(file, text.path, self.lines.bound))
        return self._parsed[1]

    def _strings(self, text: Text) -> Iterator[Candidate]:
        """Give what is beside a name of a secret among the strings of a binary, or right behind it."""
        strings = text.data.decode(errors="replace").split("\n")
        for number, string in enumerate(strings):
            for name in self.judge.secret:
                # In a row of SQLite a byte is before it and its value behind it; but ERRORTOKEN is no TOKEN.
                match = name in string and re.search(rf"(?<![A-Z0-9_]{{2}}){name}", string)
                if not match:
                    continue
                behind = string[match.end() :]
                near = [behind, *strings[max(number - 3, 0) : number], *strings[number + 1 : number + 4]]
                for value in near:
                    word = value.strip().strip("\t ")
                    if _random(word):
                        yield Candidate(rules.SCHEMA_KEY, name, word, number, number)

    def _secret_names(self) -> dict[str, set[str]]:
        names: dict[str, set[str]] = {}
        for leak in self.leaks:
            if leak.source.kind != "content" and leak.digest:
                name = leak.source.inner[-1] if leak.source.inner else leak.source.id
                names.setdefault(name, set()).add(leak.value)
        return names


def _random(word: str) -> bool:
    return values.random_looking(word) and kind(word) is Kind.NONE


def _rank(leak: Leak) -> int:
    return len(_RANK) if generic(leak.key) else _RANK[leak.rule]


def _whole(rule: Rule, source: Source) -> Leak:
    return Leak(source, 1, rule, "", b"", "")


def _between(data: bytes, first: int, last: int) -> bytes:
    return b"\n".join(data.split(b"\n", last + 1)[first : last + 1])


def _digest(text: bytes) -> bytes:
    return hashlib.blake2b(text.strip(), digest_size=16).digest()


def _masked(place: str, secret: Mapping[str, Iterable[str]]) -> str:
    for name, held in secret.items():
        if name in place:
            known = all(value and value in name for value in held)
            shown = name if known else HIDDEN
            for value in sorted(held, key=len, reverse=True) if known else ():
                shown = shown.replace(value, HIDDEN)
            place = place.replace(name, shown)
    return place


def _finding(leak: Leak, place: str) -> Finding:
    prefix = {"content": "", "name": "in its name, ", "message": "in its message, "}.get(leak.source.kind, "")
    return finding(leak.rule, place, f"{prefix}{leak.rule.what}", line=leak.line, key=leak.key)
