"""The engine that tests deploy with: it runs nothing, and keeps what others would in one file.

A test makes a step fail by its name: `change(repo, name, fails={"wait": "the reason"})`.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from ci.delivery.engines import Kind, Replica, Sealed
from ci.delivery.release import FAILED, HEALTHY, UNFINISHED, Image, Release, current
from ci.ground import errors, files, git, processes
from ci.ground.environments import Environment
from ci.ground.repo import Repo

EMPTY: dict[str, Any] = {"releases": [], "running": [], "bundles": [], "fails": {}, "lock": None, "url": ""}
FAULTS = {"smoke": errors.SmokeError}


def state(repo: Repo, name: str) -> dict[str, Any]:
    """Return all that the engine knows."""
    try:
        return {**EMPTY, **json.loads(_path(repo, name).read_bytes())}
    except FileNotFoundError:
        return EMPTY


def change(repo: Repo, name: str, **changed: Any) -> None:
    """Replace what the engine knew."""
    files.replace(_path(repo, name), json.dumps(state(repo, name) | changed))


class Fake:
    """The releases of one environment, in a file; `note` is its one setting."""

    versioned = True
    images = None

    def __init__(self, repo: Repo, environment: Environment) -> None:
        self.recorded = dict(environment.settings)
        self._repo, self._name = repo, environment.name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """There is no connection."""

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the environment; the lock of a process that is gone is replaced."""
        holder = self._state["lock"]
        if holder and processes.runs(holder):
            raise errors.LockedError(f"process {holder} is at work on {self._name}", "wait until it is done")
        self._change(lock=os.getpid())
        try:
            yield
        finally:
            self._change(lock=None)

    def unlock(self) -> str:
        """Remove the lock."""
        holder = self._state["lock"]
        self._change(lock=None)
        return f"process {holder}" if holder else "nobody's"

    def image(self, sha: str, names: Sequence[str]) -> Image:
        """Return images whose ids are their commit's."""
        commit = git.commit(self._repo.root, sha or "HEAD")
        return Image(commit[: git.SHORT], dict.fromkeys(names, f"sha256:{commit}"))

    def prepare(self, release: Release, sealed: Sealed) -> str:
        """Keep the bundles and claim the number; what was not finished before is noted as failed."""
        past = [_ended(one, "interrupted") if one.result == UNFINISHED else one for one in self.history()]
        bundles = _bundles(past) | set(release.bundles().values())
        self._keep([*past, release], bundles=sorted(bundles))
        self._fail("prepare")
        return "the bundles are kept"

    def apply(self, release: Release, sealed: Sealed) -> list[Replica]:
        """Replace the replicas that ran by the release's."""
        self._change(running=_wanted(release))
        self._fail("apply")
        return self.replicas()

    def wait(self, release: Release, replicas: Iterable[Replica]) -> None:
        """Do nothing."""
        self._fail("wait")

    def url(self, release: Release, service: str) -> str:
        """Return where a test has a proxy."""
        return str(self._state["url"])

    def record(self, release: Release) -> None:
        """Note that the release is healthy."""
        self._fail("record")
        self._keep([*self.history()[:-1], release])

    def undo(self, release: Release, why: str) -> None:
        """Restore the current release's replicas, drop the failed one's bundles, and note why."""
        past = [_ended(release, why) if one.number == release.number else one for one in self.history()]
        runs = current(past)
        self._keep(past, bundles=sorted(_bundles(past)), running=_wanted(runs) if runs else [])
        self._fail("undo")

    def history(self) -> list[Release]:
        """Return the recorded releases, oldest first."""
        return [Release.parse(one) for one in self._state["releases"]]

    def changes(self, before: Release | None, after: Release) -> list[str]:
        """Compare the notes."""
        old = before.settings if before else {}
        return [] if old == after.settings else [f"note      {after.settings.get('note', 'none')}"]

    def replicas(self) -> list[Replica]:
        """Return what would run."""
        return [Replica(service, number, 0, "fake", time.time()) for service, number in self._state["running"]]

    def healthy(self, replica: Replica) -> bool:
        """Return that it is, unless its service was given another name by hand."""
        return not replica.service.endswith("-sick")

    def drift(self) -> list[str]:
        """Compare what would run with the current release."""
        runs = current(self.history())
        wanted, running = _wanted(runs) if runs else [], self._state["running"]
        return [] if running == wanted else [f"{len(running)} replicas run, {len(wanted)} should"]

    def logs(self, service: str | None, *, follow: bool) -> Iterator[str]:
        """Yield one line of each replica."""
        yield from (
            f"{one.service} | release {one.release}" for one in self.replicas() if service in (None, one.service)
        )

    def run(self, release: Release, reader: str, argv: Sequence[str], sealed: Sealed) -> tuple[int, list[str]]:
        """Return the words that would be run; a job fails where a test says so."""
        if why := self._state["fails"].get(reader):
            return 1, [why]
        return 0, [" ".join((reader, *(argv or release.reader(reader).declared.command)))]

    def stop(self, *, purge: bool) -> str:
        """Forget what would run; `purge` forgets the releases as well."""
        what = ", ".join(sorted({one.service for one in self.replicas()})) or "nothing ran"
        self._change(running=[], **({"releases": [], "bundles": []} if purge else {}))
        return what

    @property
    def _state(self) -> dict[str, Any]:
        return state(self._repo, self._name)

    def _change(self, **changed: Any) -> None:
        change(self._repo, self._name, **changed)

    def _keep(self, past: Sequence[Release], **changed: Any) -> None:
        self._change(releases=[one.document() for one in past], **changed)

    def _fail(self, step: str) -> None:
        if why := self._state["fails"].get(step):
            raise FAULTS.get(step, errors.StartError)(why, "fix it", ["the end of the log"])


def _wanted(release: Release) -> list[list[str | int]]:
    return [[name, release.number] for name, about in release.services.items() for _ in range(about.replicas)]


def _bundles(past: Sequence[Release]) -> set[str]:
    return {bundle for one in past if one.result == HEALTHY for bundle in one.bundles().values()}


def _ended(release: Release, why: str) -> Release:
    return replace(release, result=f"{FAILED}: {why}")


def _path(repo: Repo, name: str) -> Path:
    return repo.state / f"fake-{name}.json"


KIND = Kind({"note": {"type": "string"}}, lambda: Fake)
