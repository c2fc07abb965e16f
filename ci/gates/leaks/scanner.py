"""The real gitleaks, called once, so that it cannot fail open.

It gets everything through `gitleaks stdin`, and nothing through `gitleaks git` or `dir`: those leave out merges,
archives, what an attribute calls binary, messages, names and UTF-16, and end with 0 when git fails. A run counts
only if it ended with our own exit code for leaks, reported no error, read every byte (it says how many), and found
the markers: one for each of our patterns and one of its own rules at the start, and one at the very end.
"""

import base64
import json
import re
import secrets
import string
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ci.gates.leaks import patterns, rules
from ci.gates.leaks.feed import Feed
from ci.gates.leaks.patterns import Pattern
from ci.ground import command
from ci.ground.errors import GateError

FOUND = 42  # the exit code for leaks; 1 is what gitleaks ends with when it dies
HINT = "nothing was checked; is .tools/bin/gitleaks the pinned one? ./run inv --list installs it"
_TROUBLE = re.compile(rb" (?:ERR|FTL|PNC|WRN (?!leaks found: \d)) ?|^panic:|^fatal error:|partial", re.MULTILINE)
_SCANNED = re.compile(rb"scanned ~(\d+) bytes")


@dataclass(frozen=True)
class Hit:
    """One thing that gitleaks found: the id of its rule, and the lines of the feed."""

    rule: str
    first: int
    last: int


def scan(program: Path, listed: Sequence[Pattern], feed: Feed) -> list[Hit]:
    """Let gitleaks look at a feed and return what it found; GateError when it cannot be relied on."""
    examples = [pattern.example.format(**_random()) for pattern in listed]
    first = "\n\n".join([*examples, ""]).encode() + _marker_of_gitleaks()
    last = _marker_of_gitleaks()
    text = b"".join([first, *feed.parts, last])
    with tempfile.TemporaryDirectory(prefix="lockstep-leaks-") as folder:
        config = Path(folder) / "rules.toml"
        config.write_text(patterns.toml(listed))
        # It reads .gitleaksignore in its working folder, so that folder is empty but for the rules.
        done = command.attempt(_argv(program, config), input=text, cwd=Path(folder), timeout=3600)
    _believable(done, len(text))
    hits = _hits(done.stdout)
    before, after = first.count(b"\n"), first.count(b"\n") + feed.next_line
    ids = {hit.rule for hit in hits if hit.first <= before}
    missing = [pattern.id for pattern in listed if pattern.id not in ids]
    if missing or "github-pat" not in ids or not any(hit.first >= after for hit in hits):
        names = ", ".join(missing[:3]) or "one of its own"
        raise GateError(f"gitleaks did not find the marker of {names}", HINT)
    return [Hit(hit.rule, hit.first - before, hit.last - before) for hit in hits if before < hit.first < after]


def _argv(program: Path, config: Path) -> list[str | Path]:
    return [
        program,
        "stdin",
        *("--config", config, "--gitleaks-ignore-path", config.parent),
        *("--exit-code", str(FOUND), "--redact=100", "--ignore-gitleaks-allow"),
        *("--report-format", "json", "--report-path", "-"),
        *("--no-banner", "--no-color", "--log-level", "info"),
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
        return [Hit(row["RuleID"], row["StartLine"], row["EndLine"]) for row in rows]
    except (ValueError, KeyError, TypeError):
        raise GateError("gitleaks' report cannot be read", HINT) from None


def _marker_of_gitleaks() -> bytes:
    return f"{rules.PROVIDER.example.format(**_random())}\n\n".encode()


def _random() -> dict[str, str]:
    letters = string.ascii_letters + string.digits
    return {
        "random": f"{secrets.token_hex(8)}+{secrets.token_hex(4)}",
        "alnum36": "".join(secrets.choice(letters) for _ in range(36)),
        "bech32": "".join(secrets.choice("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L") for _ in range(58)),
        "base64": base64.b64encode(secrets.token_bytes(24)).decode(),
    }
