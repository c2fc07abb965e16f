"""Engines that know credentials by their form, and the real gitleaks as one that cannot fail open.

gitleaks gets one tar, in which each text is a file with its own name: no rule reaches from one file into the
next, and rules for names see names. It gets nothing through `gitleaks git`, which leaves out merges, archives,
what an attribute calls binary, messages, names and UTF-16, and ends with 0 when git fails. A run counts only if
it ended with our own exit code for leaks, reported no error, read every byte (it says how many), and found the
markers, the first and the last file. The tar is in memory (/dev/shm) where the machine has that, and readable by
its owner alone.
"""

import io
import json
import re
import secrets
import string
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
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
        markers = [_marker(), _marker()]
        # An empty first line, for gitleaks leaves out a file that begins as a program or a picture does.
        contents = [b"\n" + content for content in (markers[0], *(text.data for text in texts), markers[1])]
        names = ["marker.txt", *(text.path for text in texts), "marker.txt"]
        memory = Path("/dev/shm")  # noqa: S108, the kernel's folder in memory
        with tempfile.TemporaryDirectory(
            prefix="lockstep-leaks-", dir=memory if memory.is_dir() else None
        ) as name:
            folder = Path(name)
            (folder / "rules.toml").write_text('title = "lockstep"\n[extend]\nuseDefault = true\n')
            (folder / "feed.tar").write_bytes(_packed(names, contents))
            # It reads .gitleaksignore in its working folder, which has none.
            done = command.attempt(_argv(self.program, folder), input=b"", cwd=folder, timeout=3600)
        _believable(done, sum(map(len, contents)))
        hits = _hits(done.stdout)
        last = len(contents) - 1
        if not all(any(hit.text == at and hit.rule == "github-pat" for hit in hits) for at in (0, last)):
            raise GateError("gitleaks did not find its markers", HINT)
        return [
            Hit(hit.text - 1, hit.rule, hit.first, hit.last, hit.secret, hit.match)
            for hit in hits
            if 0 < hit.text < last
            and not (hit.rule == _GENERIC_ELSEWHERE and _LEFT_OUT.search("/" + texts[hit.text - 1].path))
        ]


def _packed(names: Sequence[str], contents: Sequence[bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for number, (name, content) in enumerate(zip(names, contents, strict=True)):
            member = tarfile.TarInfo(f"{number}/{_named(name)}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
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
    first = max(row["StartLine"] - 2, 0)
    return Hit(int(member[1]), row["RuleID"], first, first + row["Match"].count("\n"), row["Secret"], row["Match"])


def _marker() -> bytes:
    letters = string.ascii_letters + string.digits
    token = "".join(secrets.choice(letters) for _ in range(36))
    return f"{rules.PROVIDER.example.format(alnum36=token)}\n".encode()
