"""The secrets that `inv init` left for later: accepted as missing in config/exceptions.yaml until they are set."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

from ci.ground import documents, errors
from ci.ground.repo import Repo
from ci.sealing import change

DAYS = 90  # after which they are findings
RULE = "parity/missing"
LINE = "- {{rule: {rule}, place: secrets/{name}.enc.env, key: {key}, reason: {reason}, expires: {day}}}\n"
REASON = "not set by inv init"
_OURS = re.compile(
    rf"(?m)^ *- \{{rule: {RULE}, place: secrets/(\S+)\.enc\.env, key: (\w+), reason: {REASON}, .*\n"
)
_HEAD, _EMPTY, _ITEM = (
    re.compile(f"(?m)^{pattern}") for pattern in ("exceptions:", r"exceptions: *\[ *\]", "( *)- ")
)


def path(repo: Repo) -> Path:
    """Return where exceptions are kept."""
    return repo.root / "config/exceptions.yaml"


def accepted(repo: Repo, missing: Mapping[str, Sequence[str]]) -> str:
    """Return the file with an exception for each secret that has no value, by environment, and no other of ours.

    It is empty when it would hold nothing. ConfigurationError when a team wrote the list so that no line fits in.
    """
    before = _read(repo)
    text = _without(before, {pair for pair in _OURS.findall(before) if pair[1] not in missing.get(pair[0], ())})
    day = (datetime.now(UTC) + timedelta(days=DAYS)).date()
    known = set(_OURS.findall(text))
    lines = [
        LINE.format(rule=RULE, name=name, key=key, reason=REASON, day=day)
        for name, keys in missing.items()
        for key in keys
        if (name, key) not in known
    ]
    return _with(text, lines) if lines else text


def settled(repo: Repo, name: str, values: Mapping[str, str | None]) -> change.Files:
    """Return the file without the exceptions for those of an environment's secrets that get a value."""
    before = _read(repo)
    after = _without(before, {(name, key) for key, value in values.items() if value})
    return {} if after == before else {path(repo): after.encode() or None}


def _with(text: str, lines: Sequence[str]) -> str:
    """Return the text with more items in its list, as far to the right as those that are there."""
    text = _EMPTY.sub("exceptions:", text).rstrip("\n")
    if not _HEAD.search(text):
        text = f"{text}\nexceptions:".lstrip("\n")
    item = _ITEM.search(text)
    text += "".join(f"\n{item[1] if item else '  '}{line}".rstrip("\n") for line in lines) + "\n"
    try:
        documents.load(text)
    except yaml.YAMLError:
        hint = "write each exception as lines of its own that begin with -, below exceptions:"
        raise errors.ConfigurationError("config/exceptions.yaml takes no further line", hint) from None
    return text


def _without(text: str, pairs: set[tuple[str, str]]) -> str:
    """Return the text without our lines for these environments and keys; empty when nothing is left."""
    after = _OURS.sub(lambda line: "" if (line[1], line[2]) in pairs else line[0], text)
    if after == text or _ITEM.search(after):
        return after
    return "" if after.strip() == "exceptions:" else _HEAD.sub("exceptions: []", after)


def _read(repo: Repo) -> str:
    return path(repo).read_text(encoding="utf-8") if path(repo).exists() else ""
