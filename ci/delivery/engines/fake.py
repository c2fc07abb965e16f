"""The engine that tests deploy with: it runs nothing, and keeps what others would in one file.

A test makes a step fail by its name: `{"fails": {"wait": "what it says"}}` in that file.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ci.delivery.engines import Replica, Sealed
from ci.delivery.release import FAILED, HEALTHY, UNFINISHED, Image, Release, current
from ci.ground import errors, files, git, processes
from ci.ground.repo import Repo

EMPTY: dict[str, Any] = {"releases": [], "running": [], "bundles": [], "fails": {}, "lock": None, "edge": ""}
FAULTS = {"migrate": errors.MigrationError, "smoke": errors.SmokeError}


def state(repo: Repo, name: str) -> dict[str, Any]:
    """Return all that the engine knows."""
    try:
        return {**EMPTY, **json.loads(_path(repo, name).read_bytes())}
    except FileNotFoundError:
        return EMPTY


def change(repo: Repo, name: str, **changed: Any) -> None:
    """Put this in the place of what the engine knew."""
    files.replace(_path(repo, name), json.dumps(state(repo, name) | changed))


@contextmanager
def lock(repo: Repo, name: str) -> Iterator[None]:
    """Hold the environment; the lock of a process that is gone is taken over."""
    holder = state(repo, name)["lock"]
    if holder and processes.runs(holder):
        raise errors.LockedError(f"process {holder} is at work on {name}", "wait until it is done")
    change(repo, name, lock=os.getpid())
    try:
        yield
    finally:
        change(repo, name, lock=None)


def unlock(repo: Repo, name: str) -> str:
    """Take the lock away."""
    holder = state(repo, name)["lock"]
    change(repo, name, lock=None)
    return f"process {holder}" if holder else "nobody's"


def image(repo: Repo, name: str, sha: str) -> Image:
    """Return an image whose id is its commit's."""
    commit = git.commit(repo.root, sha or "HEAD")
    return Image(commit[: git.SHORT], f"sha256:{commit}")


def prepare(repo: Repo, release: Release, sealed: Sealed) -> str:
    """Keep the bundles and claim the number; what was not finished before is noted as failed."""
    name = release.environment
    past = [_ended(one, "interrupted") if one.result == UNFINISHED else one for one in history(repo, name)]
    kept = {service.bundle for one in past if one.result == HEALTHY for service in one.services.values()}
    bundles = kept | {service.bundle for service in release.services.values()}
    _keep(repo, name, [*past, release], bundles=sorted(bundles))
    _fail(repo, name, "prepare")
    return "the bundles are kept"


def migrate(repo: Repo, release: Release, sealed: Sealed) -> None:
    """Do nothing."""
    _fail(repo, release.environment, "migrate")


def apply(repo: Repo, release: Release, sealed: Sealed) -> list[Replica]:
    """Put the release's replicas in the place of those that ran."""
    change(repo, release.environment, running=_wanted(release))
    _fail(repo, release.environment, "apply")
    return replicas(repo, release.environment)


def wait(repo: Repo, release: Release, replicas: Iterable[Replica]) -> None:
    """Do nothing."""
    _fail(repo, release.environment, "wait")


def edge(repo: Repo, release: Release) -> str:
    """Return where a test has one."""
    return str(state(repo, release.environment)["edge"])


def record(repo: Repo, release: Release) -> None:
    """Note that the release is healthy."""
    _fail(repo, release.environment, "record")
    _keep(repo, release.environment, [*history(repo, release.environment)[:-1], release])


def undo(repo: Repo, release: Release, why: str) -> None:
    """Put the current release's replicas back, drop the failed one's bundles, and note why."""
    name = release.environment
    past = [_ended(release, why) if one.number == release.number else one for one in history(repo, name)]
    kept = {service.bundle for one in past if one.result == HEALTHY for service in one.services.values()}
    runs = current(past)
    _keep(repo, name, past, bundles=sorted(kept), running=_wanted(runs) if runs else [])
    _fail(repo, name, "undo")


def history(repo: Repo, name: str) -> list[Release]:
    """Return the recorded releases, oldest first."""
    return [Release.parse(one) for one in state(repo, name)["releases"]]


def replicas(repo: Repo, name: str) -> list[Replica]:
    """Return what would run."""
    return [Replica(service, number, 0, "fake", time.time()) for service, number in state(repo, name)["running"]]


def healthy(replica: Replica) -> bool:
    """Say that it is, unless its service was given another name by hand."""
    return not replica.service.endswith("-sick")


def drift(repo: Repo, name: str) -> list[str]:
    """Compare what would run with the current release."""
    runs = current(history(repo, name))
    wanted = _wanted(runs) if runs else []
    found = state(repo, name)["running"]
    return [] if found == wanted else [f"{len(found)} replicas run, {len(wanted)} should"]


def logs(repo: Repo, name: str, service: str | None, *, follow: bool) -> Iterator[str]:
    """Yield one line of each replica."""
    yield from (f"{one.service} | release {one.release}" for one in replicas(repo, name))


def run(repo: Repo, release: Release, service: str, argv: Sequence[str]) -> tuple[int, list[str]]:
    """Return the words that would be run."""
    return 0, [" ".join((service, *argv))]


def stop(repo: Repo, name: str, *, purge: bool) -> str:
    """Forget what would run; `purge` forgets the releases, too."""
    what = ", ".join(sorted({one.service for one in replicas(repo, name)})) or "nothing ran"
    change(repo, name, running=[], **({"releases": [], "bundles": []} if purge else {}))
    return what


def _wanted(release: Release) -> list[list[str | int]]:
    return [[name, release.number] for name, about in release.services.items() for _ in range(about.replicas)]


def _ended(release: Release, why: str) -> Release:
    return replace(release, result=f"{FAILED}: {why}")


def _keep(repo: Repo, name: str, past: Sequence[Release], **changed: Any) -> None:
    change(repo, name, releases=[one.document() for one in past], **changed)


def _fail(repo: Repo, name: str, step: str) -> None:
    if why := state(repo, name)["fails"].get(step):
        raise FAULTS.get(step, errors.StartError)(why, "mend it", ["the end of the log"])


def _path(repo: Repo, name: str) -> Path:
    return repo.state / f"fake-{name}.json"
