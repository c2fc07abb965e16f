"""Engines that know credentials by their form, and the real gitleaks as one that cannot fail open.

gitleaks gets one tar of files with their own names: no rule reaches from one text into the next, and rules for
names see names. It gets nothing through `gitleaks git`, which leaves out merges, archives, what an attribute calls
binary, messages, names and UTF-16, and ends with 0 when git fails. A run counts only if it ended with our own exit
code for leaks, reported no error, read every byte (it says how many), and found the markers, the first and the
last file. The tar is in memory (/dev/shm) where the machine has that, and readable by its owner alone.
"""

import io
import json
import re
import secrets
import string
import tarfile
import tempfile
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

from ci.gates.leaks import rules
from ci.gates.leaks.feed import Text
from ci.ground import command
from ci.ground.errors import GateError

FOUND = 42  # the exit code for leaks; 1 is what gitleaks ends with when it dies
HINT = "nothing was checked; is .tools/bin/gitleaks the pinned one? ./run inv --list installs it"
_TROUBLE = re.compile(rb" (?:ERR|FTL|PNC|WRN (?!leaks found: \d)) ?|^panic:|^fatal error:|partial", re.MULTILINE)
_SCANNED = re.compile(rb"scanned ~(\d+) bytes")
_MEMBER = re.compile(r"!(\d+)/")
# gitleaks takes a file for an archive when its name has one of these anywhere, and looks into no archive in
# another.
_PACKED = re.compile(r"(?i)\.(?=7z|br|bz2|gz|lz|mz|rar|s2|sz|tar|t[bgxz][z2]|xz|z|zip|zst)")
# Files that its own allow-list leaves out: their checksums are no keys, but a token in them is a token.
_LEFT_OUT = re.compile(
    r"(?ix)gitleaks\.toml|\.(?:bmp|gif|jpe?g|png|svg|tiff?|eot|[ot]tf|woff2?|docx?|xlsx?|pdf|bin|socket|vsidx|v2|suo|wsuo|.dll|pdb|exe|gltf|gem)$"
    r"|go\.(?:mod|sum|work(?:\.sum)?)$|/vendor/|/gradlew|gradle\.lockfile$|/mvnw|MavenWrapperDownloader|node_modules|bower_components"
    r"|(?:deno|Pipfile|poetry|yarn)\.lock$|npm-shrinkwrap\.json$|package-lock\.json$|pnpm-lock\.yaml$|/(?:angular|bootstrap|jquery|plotly|swagger-?ui)|javascript\.json$"
    r"|/(?:v?env|virtualenv)/lib|/lib(?:64)?/python|/python/|\.dist-info|verification-metadata\.xml|Database.refactorlog|/\.git$"
)
_GENERIC_ELSEWHERE = "generic-api-key"
GAP = b"\n" * 12  # between two texts of a file: more than any rule passes over, but for those of _SPANS
SHARED = 16_000  # bytes of texts that share a file
_SPANS = re.compile(rb"(?i)-----BEGIN|\bkind\b")  # a text that is alone: a key, or an object of Kubernetes


@dataclass(frozen=True)
class Hit:
    """What an engine found: the text's index, the rule's id, lines counted from 0, the secret and around it."""

    text: int
    rule: str
    first: int
    last: int
    secret: str
    match: str


class Engine(Protocol):
    """What looks at texts and says where it knows a credential; GateError when it cannot be relied on."""

    def scan(self, texts: Sequence[Text]) -> list[Hit]:
        """Return what was found in the texts."""


@dataclass(frozen=True)
class Gitleaks:
    """gitleaks with its own rules, and none of the examined checkout's settings."""

    program: Path

    def scan(self, texts: Sequence[Text]) -> list[Hit]:
        """Return what was found in the texts."""
        markers = [_File("marker.txt", [_marker()]), _File("marker.txt", [_marker()])]
        packed = [markers[0], *_files(texts), markers[1]]
        memory = Path("/dev/shm")  # noqa: S108, the kernel's folder in memory
        with tempfile.TemporaryDirectory(
            prefix="lockstep-leaks-", dir=memory if memory.is_dir() else None
        ) as name:
            folder = Path(name)
            (folder / "rules.toml").write_text('title = "lockstep"\n[extend]\nuseDefault = true\n')
            (folder / "feed.tar").write_bytes(_packed(packed))
            # It reads .gitleaksignore in its working folder, which has none.
            done = command.attempt(_argv(self.program, folder), input=b"", cwd=folder, timeout=3600)
        _believable(done, sum(len(file.content) for file in packed))
        hits = _hits(done.stdout)
        last = len(packed) - 1
        if not all(any(hit.text == at and hit.rule == "github-pat" for hit in hits) for at in (0, last)):
            raise GateError("gitleaks did not find its markers", HINT)
        placed = (packed[hit.text].placed(hit) for hit in hits if 0 < hit.text < last)
        return [
            hit
            for hit in placed
            if not (hit.rule == _GENERIC_ELSEWHERE and _LEFT_OUT.search("/" + texts[hit.text].path))
        ]


@dataclass
class _File:
    """A file of the tar: texts with empty lines between them, and their indices."""

    name: str
    parts: list[bytes]
    indices: list[int] = field(default_factory=list)

    @cached_property
    def content(self) -> bytes:
        # An empty first line, for gitleaks leaves out a file that begins as a program or a picture does.
        return b"\n" + GAP.join(self.parts)

    def placed(self, hit: Hit) -> Hit:
        """Return a hit in the file as one in a text; what begins before a text ends in it."""
        lines = [part.count(b"\n") + len(GAP) for part in self.parts[:-1]]
        begins = list(accumulate(lines, initial=1))
        at = bisect_right(begins, hit.last) - 1
        first, last = (max(line - begins[at], 0) for line in (hit.first, hit.last))
        return replace(hit, text=self.indices[at], first=first, last=last)


def _files(texts: Sequence[Text]) -> list[_File]:
    """Return what gitleaks reads; small texts of one name share a file, for files cost it more than lines do."""
    files: list[_File] = []
    opened: dict[str, _File] = {}
    for index, text in enumerate(texts):
        part = text.known_by_form
        alone = not part.endswith(b"\n") or bool(_SPANS.search(part))  # some rules ask for the end of a text
        file = None if alone else opened.get(text.path)
        if file is None or sum(map(len, file.parts)) + len(part) > SHARED:
            file = _File(text.path, [])
            files.append(file)
            if not alone:
                opened[text.path] = file
        file.parts.append(part)
        file.indices.append(index)
    return files


def _packed(files: Sequence[_File]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for number, file in enumerate(files):
            member = tarfile.TarInfo(f"{number}/{_named(file.name)}")
            member.size = len(file.content)
            archive.addfile(member, io.BytesIO(file.content))
    return packed.getvalue()


def _named(path: str) -> str:
    """Return a name for a path that gitleaks neither leaves out nor takes for an archive."""
    clean = re.sub(r"[^\w./ @+-]|\.\.", "_", path, flags=re.ASCII)[-150:].strip("/ .") or "file"
    clean = _PACKED.sub("_", clean)
    return "file.txt" if _LEFT_OUT.search("/" + clean) else clean


def _argv(program: Path, folder: Path) -> list[str | Path]:
    return [
        program,
        "dir",
        *("--config", folder / "rules.toml", "--gitleaks-ignore-path", folder),
        *("--exit-code", str(FOUND), "--ignore-gitleaks-allow", "--max-archive-depth", "1"),
        *("--report-format", "json", "--report-path", "-"),
        *("--no-banner", "--no-color", "--log-level", "info"),
        folder / "feed.tar",
    ]


def _believable(done: command.Result, size: int) -> None:
    if done.code != FOUND:
        raise GateError(f"gitleaks ended with {done.code}, and there was a marker to find", HINT)
    if _TROUBLE.search(done.stderr):
        raise GateError("gitleaks reported an error", HINT)  # not which: its words can hold what it read
    scanned = _SCANNED.search(done.stderr)
    if not scanned or int(scanned[1]) != size:
        raise GateError(f"gitleaks did not read all of the {size} bytes", HINT)


def _hits(report: bytes) -> list[Hit]:
    try:
        rows: list[dict[str, Any]] = json.loads(report)
        return [_hit(row) for row in rows]
    except (ValueError, KeyError, TypeError):
        raise GateError("gitleaks' report cannot be read", HINT) from None


def _hit(row: dict[str, Any]) -> Hit:
    member = _MEMBER.search(row["File"])
    if member is None:
        raise ValueError
    first = row["StartLine"] - 1
    return Hit(int(member[1]), row["RuleID"], first, first + row["Match"].count("\n"), row["Secret"], row["Match"])


def _marker() -> bytes:
    letters = string.ascii_letters + string.digits
    token = "".join(secrets.choice(letters) for _ in range(36))
    return f"{rules.PROVIDER.example.format(alnum36=token)}\n".encode()
