"""Logs of processes: one file for each service."""

import time
from collections.abc import Iterator
from pathlib import Path

from ci.ground import errors

LAST_LINES = 50


def path(folder: Path, service: str) -> Path:
    """Return the log of a service in an environment's folder."""
    return folder / f"logs/{service}.log"


def read(folder: Path, service: str | None, name: str, *, follow: bool) -> Iterator[str]:
    """Yield the last lines of each log, or of one, then what is added to them for as long as one follows."""
    paths = sorted(folder.glob(f"{service or '*'}.log"))
    if not paths:
        known = ", ".join(path.stem for path in sorted(folder.glob("*.log")))
        raise errors.NotRunningError(
            f"no log of {service or name}", f"there is {known}" if known else "inv deploy starts it"
        )
    width = max(len(path.stem) for path in paths)
    ends = {}
    for path in paths:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        ends[path] = path.stat().st_size
        yield from (f"{path.stem:<{width}} | {line}" for line in lines[-LAST_LINES:])
    while follow:
        time.sleep(0.2)
        for path in paths:
            with path.open("rb") as file:
                file.seek(ends[path])
                added = file.read()
            ends[path] += len(added)
            yield from (f"{path.stem:<{width}} | {line}" for line in added.decode(errors="replace").splitlines())
