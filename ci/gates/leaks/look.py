"""From hits to findings: judged, distinguished, each once, at a place that holds no secret itself."""

import base64
import hashlib
import re
import urllib.parse
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ci.gates.finding import Finding, Rule, finding
from ci.gates.leaks import patterns, rules, scanner
from ci.gates.leaks.feed import Feed, Source
from ci.gates.leaks.placeholders import Judge
from ci.ground.repo import Repo
from ci.ground.schema import Schema

HIDDEN = "***"
OWN_LINES = Path(__file__).with_name("own.txt")  # own.py says what they are
OWN = frozenset(map(bytes.fromhex, OWN_LINES.read_text(encoding="ascii").split()))
_RANK = {rule: rank for rank, rule in enumerate(rules.RULES)}
_GENERIC = ("generic-api-key", "curl-auth-header", "curl-auth-user")  # of gitleaks; they give way to each of ours


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
    """One look of the gate: the program, what it looks for, and what it has found so far.

    `own` has the digests of lines that are no findings.
    """

    def __init__(self, program: Path, schema: Schema, own: Collection[bytes] = OWN) -> None:
        keys = list(schema.keys.values())
        self.program = program
        self.patterns = patterns.every(keys)
        self.schemes = patterns.schemes(keys)
        self.judge = Judge(keys)
        self.own = own
        self.leaks: list[Leak] = []
        self.size = 0

    @classmethod
    def of(cls, repo: Repo) -> "Look":
        """Return a look with a checkout's program and schema."""
        return cls(repo.tool("gitleaks"), repo.schema)

    def at(self, feed: Feed) -> None:
        """Let gitleaks look at a feed, and keep what is not a placeholder."""
        known = {pattern.id: pattern for pattern in self.patterns}
        self.size += feed.size
        leaks: dict[tuple[Source, int], set[Leak]] = {}
        for hit in scanner.scan(self.program, self.patterns, feed):
            for leak in self._judged(feed, hit, known.get(hit.rule)):
                if leak.digest in self.own:
                    continue
                leaks.setdefault((leak.source, leak.line), set()).add(leak)
        for same in leaks.values():
            first = min(map(_rank, same))
            self.leaks += [leak for leak in same if _rank(leak) == first]
        self.leaks += [_whole(rules.UNREADABLE, source) for source in feed.unreadable]

    def names(self, feed: Feed, names: Iterable[str]) -> None:
        """Put file names into a feed; a key file is known by its name alone."""
        for name in names:
            source = Source(name, kind="name")
            feed.text(source, name.encode(errors="surrogateescape"))
            if patterns.KEY_FILES.search(name):
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

    def _judged(self, feed: Feed, hit: scanner.Hit, pattern: patterns.Pattern | None) -> Iterable[Leak]:
        source, line = feed.at(hit.first)
        text = feed.lines(hit.first, hit.last)
        if b"\n%s\n" % text in feed.before.get(source, b""):
            return []  # the older version had it, and has the finding
        if pattern is None:
            return [Leak(source, line, rules.PROVIDER, hit.rule, _digest(text), "")]
        for variant in (text, *_decoded(text)):
            matches = list(pattern.matches(variant))
            if matches:
                break
        else:  # decoded in a way that only gitleaks knows: it cannot be shown to be a placeholder
            return [Leak(source, line, pattern.rule, "", _digest(text), "")]
        return [
            Leak(
                source,
                line + match.line,
                rule,
                match.name if rule is rules.SCHEMA_KEY else "",
                _digest(text),
                match.value,
            )
            for match in matches
            for rule in [self._rule(pattern, match)]
            if not self.judge.dismisses(match, rule)
        ]

    def _rule(self, pattern: patterns.Pattern, match: patterns.Match) -> Rule:
        scheme = match.name.lower().partition(":")[0].partition("+")[0]
        return rules.SCHEMA_URL if pattern.rule is rules.URL and scheme in self.schemes else pattern.rule

    def _secret_names(self) -> dict[str, set[str]]:
        values: dict[str, set[str]] = {}
        for leak in self.leaks:
            if leak.source.kind != "content" and leak.digest:
                name = leak.source.inner[-1] if leak.source.inner else leak.source.id
                values.setdefault(name, set()).add(leak.value)
        return values


def _rank(leak: Leak) -> int:
    return len(_RANK) if leak.key in _GENERIC else _RANK[leak.rule]


def _whole(rule: Rule, source: Source) -> Leak:
    return Leak(source, 1, rule, "", b"", "")


def _decoded(text: bytes) -> Iterator[bytes]:
    """Give a text as gitleaks decodes it: percent, Unicode escapes, base64 and hex."""
    yield urllib.parse.unquote_to_bytes(text)
    yield re.sub(rb"\\?\\u([0-9A-Fa-f]{4})", lambda match: chr(int(match[1], 16)).encode(errors="replace"), text)
    for run in re.findall(rb"[A-Za-z0-9+/_-]{16,}", text):
        with suppress(ValueError):
            yield base64.b64decode(
                run + b"=" * (-len(run) % 4), altchars=b"-_" if b"-" in run or b"_" in run else b"+/"
            )
        with suppress(ValueError):
            yield bytes.fromhex(run.decode())


def _digest(text: bytes) -> bytes:
    return hashlib.blake2b(text.strip(), digest_size=16).digest()


def _masked(place: str, secret: Mapping[str, Iterable[str]]) -> str:
    for name, values in secret.items():
        if name in place:
            known = all(value and value in name for value in values)
            shown = name if known else HIDDEN
            for value in sorted(values, key=len, reverse=True) if known else ():
                shown = shown.replace(value, HIDDEN)
            place = place.replace(name, shown)
    return place


def _finding(leak: Leak, place: str) -> Finding:
    prefix = {"content": "", "name": "in its name, ", "message": "in its message, "}.get(leak.source.kind, "")
    return finding(leak.rule, place, f"{prefix}{leak.rule.what}", line=leak.line, key=leak.key)
