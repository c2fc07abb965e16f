"""The leaks gate and its peers on a corpus from elsewhere: `nox -s corpus -- FOLDER` prints a table.

FOLDER holds `*.jsonl` files, whose rows are cases: `text`, `leak` (whether it is one) and, if it matters, `path`.
Each case is a file of its own for each tool, and a tool finds it when it reports anything in that file.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from detect_secrets import SecretsCollection
from detect_secrets.settings import default_settings

from ci.gates.leaks.feed import Feed, Source
from ci.gates.leaks.look import Look
from ci.ground import command, repo


@dataclass(frozen=True)
class Case:
    """A text under a path, and whether it is a leak."""

    path: str
    text: str
    leak: bool


def cases(folder: Path) -> list[Case]:
    """Return the cases of a folder."""
    rows = [json.loads(row) for path in sorted(folder.glob("*.jsonl")) for row in path.open(encoding="utf-8")]
    return [Case(row.get("path") or "case.txt", row["text"], row["leak"]) for row in rows]


def ours(listed: Sequence[Case]) -> set[int]:
    """Return which cases the gate finds; nothing of this repository's own lines is excused."""
    here = repo.here()
    look = Look.of(here)
    look.own = ()
    feed = Feed(named=lambda number: listed[int(number)].path)
    for number, case in enumerate(listed):
        look.names(feed, [case.path])
        feed.add(Source(str(number)), case.text.encode())
    look.at(feed)
    named = {leak.source.id for leak in look.leaks if leak.source.kind == "name"}
    found = {int(leak.source.id) for leak in look.leaks if leak.source.kind == "content"}
    return found | {number for number, case in enumerate(listed) if case.path in named}


def gitleaks(listed: Sequence[Case]) -> set[int]:
    """Return which cases `gitleaks dir` finds with its own rules."""
    with tempfile.TemporaryDirectory() as name:
        _written(Path(name), listed)
        words = ["dir", name, "--no-banner", "--no-color", "--exit-code", "0", "--report-format", "json"]
        done = command.attempt([repo.here().tool("gitleaks"), *words, "--report-path", "-"], timeout=600)
    return {_number(Path(name), row["File"]) for row in json.loads(done.stdout)}


def detect_secrets(listed: Sequence[Case]) -> set[int]:
    """Return which cases detect-secrets finds with its default settings."""
    with tempfile.TemporaryDirectory() as name, default_settings():
        found = SecretsCollection()
        found.scan_files(*map(str, _written(Path(name), listed)), num_processors=1)
        return {_number(Path(name), path) for path in found.files}


def table(listed: Sequence[Case], tools: Mapping[str, Callable[[Sequence[Case]], set[int]]]) -> str:
    """Return recall, precision and F1 of each tool, in Markdown."""
    leaks = {number for number, case in enumerate(listed) if case.leak}
    lines = ["| tool | found | false alarms | recall | precision | F1 |", "|---|---|---|---|---|---|"]
    for name, tool in tools.items():
        found = tool(listed)
        right, wrong = len(found & leaks), len(found - leaks)
        recall, precision = right / max(len(leaks), 1), right / max(right + wrong, 1)
        f1 = 2 * recall * precision / max(recall + precision, 1e-9)
        counted = f"{right:,} of {len(leaks):,} | {wrong} of {len(listed) - len(leaks):,}"
        lines.append(f"| {name} | {counted} | {recall:.2%} | {precision:.2%} | {f1:.3f} |")
    return "\n".join(lines)


def _written(folder: Path, listed: Sequence[Case]) -> list[Path]:
    paths = [folder / str(number) / case.path for number, case in enumerate(listed)]
    for path, case in zip(paths, listed, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(case.text, encoding="utf-8", newline="")
    return paths


def _number(folder: Path, path: str) -> int:
    return int(Path(path).resolve().relative_to(folder.resolve()).parts[0])


if __name__ == "__main__":
    peers = {"Lockstep": ours, "gitleaks": gitleaks, f"detect-secrets {version('detect-secrets')}": detect_secrets}
    sys.stdout.write(table(cases(Path(sys.argv[1])), peers) + "\n")
