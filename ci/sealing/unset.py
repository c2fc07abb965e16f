"""The secrets that `inv init` left for later: accepted as missing in config/exceptions.yaml until they are set."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ci.ground.repo import Repo
from ci.sealing import change

DAYS = 90  # after which they are findings
RULE = "parity/missing"
LINE = "  - {{rule: {rule}, place: secrets/{name}.enc.env, key: {key}, reason: {reason}, expires: {day}}}\n"
REASON = "not set by inv init"
_OURS = re.compile(
    rf"(?m)^  - \{{rule: {RULE}, place: secrets/(\S+)\.enc\.env, key: (\w+), reason: {REASON}, .*\n"
)


def path(repo: Repo) -> Path:
    """Return where exceptions are kept."""
    return repo.root / "config/exceptions.yaml"


def accepted(repo: Repo, missing: Mapping[str, Sequence[str]]) -> str:
    """Return the file with an exception for each secret that has no value, by environment."""
    text, day = _read(repo), (datetime.now(UTC) + timedelta(days=DAYS)).date()
    known = set(_OURS.findall(text))
    lines = [
        LINE.format(rule=RULE, name=name, key=key, reason=REASON, day=day)
        for name, keys in missing.items()
        for key in keys
        if (name, key) not in known
    ]
    if lines:
        text = (text.rstrip("\n") or "exceptions:") + "\n"
    return text + "".join(lines)


def settled(repo: Repo, name: str, values: Mapping[str, str | None]) -> change.Files:
    """Return the file without the exceptions for those of an environment's secrets that get a value."""
    before = _read(repo)
    after = _OURS.sub(lambda line: "" if line[1] == name and values.get(line[2]) else line[0], before)
    if after == before:
        return {}
    return {path(repo): None if after == "exceptions:\n" else after.encode()}


def _read(repo: Repo) -> str:
    return path(repo).read_text(encoding="utf-8") if path(repo).exists() else ""
