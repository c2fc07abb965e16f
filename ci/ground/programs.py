"""Installed programs, and whether they are still what was installed: only those are started."""

import hashlib
import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ci.ground import errors


def program(tools: Path, name: str) -> Path:
    """Return the path of a program; ToolMissingError without one, ToolMismatchError unless it was installed."""
    if not os.access(tools / name, os.X_OK):
        raise errors.ToolMissingError(f"{name} is not installed", "run ./run inv --list, it installs")
    known = [tool["programs"][name] for tool in record(tools).values() if name in tool["programs"]]
    if not any(is_same(tools / name, installed) for installed in known):
        raise mismatch(name)
    return tools / name


def is_same(path: Path, installed: Mapping[str, Any]) -> bool:
    """Whether a program is as it was installed: untouched, or of the same content."""
    return is_untouched(path, installed) or digest(path) == installed["sha256"]


def is_untouched(path: Path, installed: Mapping[str, Any]) -> bool:
    """Whether the kernel knows of no change to a program."""
    return bool(now := facts(path)) and now == installed.get("facts")


def facts(path: Path) -> list[int]:
    """Return what changes with a program; one of them is a time that nobody can set. Empty without a program."""
    if not os.access(path, os.X_OK):
        return []
    status = path.stat()
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def digest(path: Path) -> str:
    """Return the sha256 of a program; empty without one."""
    return _sha256(path, tuple(facts(path))) if os.access(path, os.X_OK) else ""


@cache
def _sha256(path: Path, _facts: tuple[int, ...]) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def record(tools: Path) -> dict[str, Any]:
    """Return what was installed, by tool; nothing when its record is missing or spoilt."""
    try:
        return dict(json.loads(record_path(tools).read_bytes()))
    except (FileNotFoundError, ValueError):
        return {}


def record_path(tools: Path) -> Path:
    """Return where the record is kept."""
    return tools.parent / "installed.json"


def mismatch(*names: str) -> errors.ToolMismatchError:
    """Return the error of programs that are not what was installed."""
    hint = "remove .tools, the next ./run installs them again"
    return errors.ToolMismatchError(f"not what was installed: {', '.join(names)}", hint)
