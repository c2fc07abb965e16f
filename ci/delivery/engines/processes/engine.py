"""The engine `processes`: every service a process of this machine, on real servers, without Docker or root.

What runs is read from the process table (a service's command line names its release), so no record of it can be
stale. A new release starts beside the old one, at the same port; the old one leaves when the new one is healthy.
"""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from ci.delivery import servers
from ci.delivery.engines import Replica, Sealed
from ci.delivery.engines.processes import logfiles, replicas, sandbox
from ci.delivery.release import Image, Release
from ci.ground import command, errors, files, git, processes, product
from ci.ground.environments import Environment
from ci.ground.events import Events
from ci.ground.repo import Repo

PATIENCE_SECONDS = 30
KEPT_RELEASES = 50
LAST_LINES = 15


class Processes:
    """The processes of one environment; everything that they keep is in the environment's folder."""

    versioned = False
    images = None

    def __init__(self, repo: Repo, environment: Environment) -> None:
        self.recorded: Mapping[str, Any] = {}
        self._repo, self._name = repo, environment.name
        self._folder = repo.state_of(environment.name)
        self._place = replicas.Place(Path(), repo.root, self._folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """There is no connection."""

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the environment; the kernel releases it when this process ends, however it ends."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._folder / "lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip() or "another process"
                raise errors.LockedError(
                    f"{holder} is at work on {self._name}", "wait until it is done, then try again"
                ) from None
            file.truncate(0)
            file.write(f"process {os.getpid()}")
            file.flush()
            yield

    def unlock(self) -> str:
        """Do nothing: the kernel releases a lock whose holder has ended."""
        return "nothing to do, the lock ends with its holder"

    def image(self, sha: str) -> Image:
        """Return the working tree."""
        return Image(git.sha(self._repo.root))

    def prepare(self, release: Release, sealed: Sealed) -> Events[str]:
        """Remove what a killed deploy left, then start the servers and the sandbox where they do not run."""
        python = yield from product.python(self._repo)
        self._place = replace(self._place, python=python)
        self._end_strays()
        self._claim(release.plain)
        for server in self._servers(sealed):
            servers.start(server)
        if process := sandbox.start(self._place, release, sealed):
            self.wait(release, [process])
        return f"{', '.join(self._asked)} and the sandbox run"

    def migrate(self, release: Release, sealed: Sealed) -> None:
        """Run the migrations with the api's environment; MigrationError shows their last lines."""
        result = command.attempt(
            [*replicas.entry(self._place, "api"), "model.migrate"],
            input=release.bundle_for("api", sealed).reveal().encode(),
            env=replicas.environ(self._place, release.plain_for("api")),
            cwd=self._folder,
        )
        if result.code:
            raise errors.MigrationError(
                "the migration failed, nothing was started",
                "fix it in model/migrations, then deploy again",
                (result.stdout + result.stderr).decode(errors="replace").splitlines()[-LAST_LINES:],
            )

    def apply(self, release: Release, sealed: Sealed) -> list[Replica]:
        """Start every replica of the release; each gets only the keys that name its service."""
        return [
            replicas.start(self._place, release, sealed, name)
            for name, service in release.services.items()
            for _ in range(service.replicas)
        ]

    def wait(self, release: Release, replicas: Iterable[Replica]) -> None:
        """Ask each replica at its own address until all are ready; StartError shows the log of one that is not."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        for replica in replicas:
            while not self.healthy(replica):
                if not processes.runs(replica.pid):
                    raise self._start_error(replica, "ended at its start")
                if time.monotonic() > deadline:
                    raise self._start_error(replica, f"was not ready within {PATIENCE_SECONDS} s")
                time.sleep(0.05)

    def url(self, release: Release) -> str:
        """Return nothing: the replicas share the public port themselves."""
        return ""

    def record(self, release: Release) -> None:
        """Make it the current release; the previous one drains, and has ended when this returns."""
        kept = [*self.history(), release][-KEPT_RELEASES:]
        files.replace(self._releases, json.dumps([record.document() for record in kept], indent=1), mode=0o600)
        self._end_strays(grace=float(release.plain.get("SHUTDOWN_GRACE_SECONDS", 30)))

    def undo(self, release: Release, why: str) -> None:
        """End everything that is not of the current release; if that one does not run, stop the environment."""
        self._end_strays()
        if not self.replicas():
            self.stop(purge=False)

    def history(self) -> list[Release]:
        """Return the recorded releases, oldest first."""
        try:
            return [Release.parse(document) for document in json.loads(self._releases.read_bytes())]
        except FileNotFoundError:
            return []

    def changes(self, before: Release | None, after: Release) -> list[str]:
        """Return nothing: the engine has no settings of its own."""
        return []

    def replicas(self) -> list[Replica]:
        """Return what runs now, from the process table."""
        running = [replicas.read(process) for process in processes.of(self._folder, replicas.ENTRY)]
        return sorted(running, key=lambda replica: (replica.service, replica.release, replica.pid))

    def healthy(self, replica: Replica) -> bool:
        """Ask one replica whether it is ready."""
        try:
            return httpx.get(f"{replica.address}/readyz", timeout=5).is_success
        except httpx.HTTPError:
            return False

    def drift(self) -> list[str]:
        """Return nothing: processes are not edited by hand."""
        return []

    def run(self, release: Release, service: str, argv: Sequence[str]) -> tuple[int, list[str]]:
        """Refuse: a one-off process of this machine needs no engine."""
        raise errors.UsageError(
            f"a one-off process of {self._name} needs no engine", "python -m MODULE, or inv decrypt"
        )

    def logs(self, service: str | None, *, follow: bool) -> Iterator[str]:
        """Yield the last lines of each log, or of one, then what is added to them while following."""
        yield from logfiles.read(self._folder / "logs", service, self._name, follow=follow)

    def stop(self, *, purge: bool) -> str:
        """Stop everything of the environment; `purge` deletes its folder: data, secrets and identity."""
        names = []
        for module in (replicas.ENTRY, sandbox.MODULE):
            running = processes.of(self._folder, module)
            names += [processes.service(process) for process in running]
            processes.end(running, grace=PATIENCE_SECONDS)
        data = {self._folder / name for name in self._asked} | servers.known(self._folder)
        names += [folder.name for folder in sorted(data) if servers.stop(folder)]
        if purge:
            for folder in data:
                servers.purge(folder)
            shutil.rmtree(self._folder, ignore_errors=not self._folder.exists())
        return ", ".join(names) or "nothing ran"

    @property
    def _releases(self) -> Path:
        return self._folder / "releases.json"

    def _claim(self, plain: Mapping[str, str]) -> None:
        """Raise PortInUseError when a port of this environment belongs to a process that is not of it."""
        modules = (replicas.ENTRY, sandbox.MODULE)
        own = {process.pid for module in modules for process in processes.of(self._folder, module)}
        for port in (urlsplit(plain["PUBLIC_BASE_URL"]).port or 80, *sandbox.ports(plain)):
            holder = processes.listening(port)
            if holder is None or holder.pid not in own:
                servers.require_free(port)

    def _end_strays(self, grace: float = 1) -> None:
        """End the services that are not of the current release."""
        past = self.history()
        current = past[-1].number if past else 0
        running = processes.of(self._folder, replicas.ENTRY)
        processes.end([process for process in running if processes.release(process) != current], grace)

    @cached_property
    def _asked(self) -> dict[str, tuple[str, str]]:
        """The servers that the generated URLs of this environment ask for: kind and key, by the server's name."""
        asked: dict[str, tuple[str, str]] = {}
        for key in self._repo.schema.secrets():
            template = key.generator(self._name) or ""
            kind = servers.kind(template) if "{port}" in template else ""
            if kind:
                asked[kind if kind not in asked else f"{kind}-{key.name.lower()}"] = (kind, key.name)
        return asked

    def _servers(self, sealed: Sealed) -> Iterator[servers.Server]:
        for name, (kind, key) in self._asked.items():
            log = logfiles.path(self._folder, name)
            source = f"{key} of {self._name}"
            yield servers.server(kind, sealed[key].reveal(), self._folder / name, log, source)

    def _start_error(self, replica: Replica, what: str) -> errors.StartError:
        log = logfiles.path(self._folder, replica.service)
        last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
        hint = f"the lines above are the end of its log; inv logs --env={self._name} --service={replica.service}"
        return errors.StartError(f"{replica.service} {what}", f"{hint} shows more", last)
