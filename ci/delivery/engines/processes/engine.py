"""The engine `processes`: every service a process of this machine, on real servers, without Docker or root.

What runs is read from the process table (a command line names environment, release, service and port), so no
record of it can be stale. A proxy owns the public ports. A new release starts beside the old one; the proxy
leads to it when it is healthy, and the old one leaves when its requests have ended.
"""

import fcntl
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
import psutil

from ci.delivery import servers
from ci.delivery.engines import Replica, Sealed
from ci.delivery.engines.processes import logfiles, replicas, routes
from ci.delivery.engines.processes.routes import Route
from ci.delivery.process import filled
from ci.delivery.release import Image, Release, current
from ci.ground import command, errors, files, git, ports, processes, product
from ci.ground.environments import Environment
from ci.ground.events import Events
from ci.ground.repo import Repo
from ci.ground.services import Health, Public, Service, Setup

PATIENCE_SECONDS = 30
HEALTH_SECONDS = 5
STEADY_SECONDS = 1  # a service whose health nobody can ask is healthy when it has run for as long
KEPT_RELEASES = 50
LAST_LINES = 15
LAST_PORT = 65535
PROXY = "proxy"
PROXY_MODULE = "ci.delivery.engines.processes.proxy"  # not imported: it runs by itself


class Processes:
    """The processes of one environment; everything that they keep is in the environment's folder."""

    versioned = False
    images = None

    def __init__(self, repo: Repo, environment: Environment) -> None:
        self.recorded: Mapping[str, Any] = {"ports": dict(environment.settings.get("ports", {}))}
        self._repo, self._name = repo, environment.name
        self._folder = repo.state_of(environment.name)
        self._place = replicas.Place(repo.root, self._folder)
        self._packages: dict[Setup, Mapping[str, str]] = {}
        self._begun: Release | None = None
        self._ran = False  # when the deploy began
        self._sealed: Sealed = {}

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

    def image(self, sha: str, names: Sequence[str]) -> Image:
        """Return the working tree."""
        return Image(git.sha(self._repo.root))

    def prepare(self, release: Release, sealed: Sealed) -> Events[str]:
        """Remove what a killed deploy left, install the product's packages, start servers and the proxy."""
        self._begun, self._sealed, self._ran = release, sealed, bool(self.replicas())
        for reader in (*release.services, *release.jobs):
            yield from self._install(reader)
        self._lead_back(release)
        self._end_strays()
        self._claim(release)
        for server in self._servers(sealed):
            servers.start(server)
        if self._ports(release):
            self._start_proxy()
        running = [*self._asked, *([PROXY] if self._ports(release) else [])]
        return f"running: {', '.join(running) or 'nothing'}"

    def apply(self, release: Release, sealed: Sealed) -> list[Replica]:
        """Start every replica of the release beside what runs; a `single` service replaces the old one at once."""
        started = []
        for name, service in release.services.items():
            if service.declared.single:
                self._end([replica for replica in self.replicas() if replica.service == name])
            started += [self._start(release, sealed, name) for _ in range(service.replicas)]
        return started

    def wait(self, release: Release, replicas: Iterable[Replica]) -> None:
        """Wait until all replicas are healthy, and have the proxy lead to them.

        StartError shows the log of one that is not.
        """
        replicas = list(replicas)
        self._wait(replicas)
        self._lead(release, replicas)

    def _wait(self, replicas: Iterable[Replica]) -> None:
        begun = time.monotonic()
        for replica in replicas:
            patience = declared.start_seconds if (declared := self._declared(replica)) else PATIENCE_SECONDS
            while not self.healthy(replica):
                if not processes.runs(replica.pid):
                    raise self._start_error(replica, "ended at its start")
                if time.monotonic() > begun + patience:
                    raise self._start_error(replica, f"was not ready within {patience} s")
                time.sleep(0.05)

    def url(self, release: Release, service: str) -> str:
        """Return where a service is reached; empty for one that is not public."""
        port = self._ports(release).get(service)
        return f"http://{ports.HOST}:{port}" if port else ""

    def record(self, release: Release) -> None:
        """Make it the current release; the previous one drains, and has ended when this returns."""
        kept = [*self.history(), release][-KEPT_RELEASES:]
        files.replace(self._releases, json.dumps([record.document() for record in kept], indent=1), mode=0o600)
        if not self._ports(release):
            processes.end(self._proxies(), PATIENCE_SECONDS)
        self._end_strays()

    def undo(self, release: Release, why: str) -> None:
        """End everything that is not of the current release; if that one does not run, stop the environment."""
        runs = current(self.history())
        if runs is None or not (self._ran or self._replicas_of(runs)):
            self.stop(purge=False)
            return
        single = [name for name, service in runs.services.items() if service.declared.single]
        again = [self._restart(runs, name) for name in single if not self._replicas_of(runs, name)]
        self._lead(runs, self._replicas_of(runs))
        if self._ports(runs):
            self._start_proxy()
        self._end_strays()
        with suppress(errors.StartError):  # why the deploy failed is what matters
            self._wait(again)

    def history(self) -> list[Release]:
        """Return the recorded releases, oldest first."""
        try:
            return [Release.parse(document) for document in json.loads(self._releases.read_bytes())]
        except FileNotFoundError:
            return []

    def changes(self, before: Release | None, after: Release) -> list[str]:
        """Return how the ports differ."""
        old, new = self._ports(before) if before else {}, self._ports(after)
        changed = [name for name in new if old.get(name) != new[name]]
        return [f"port      {name} {old.get(name, 'none')} → {new[name]}" for name in changed]

    def replicas(self) -> list[Replica]:
        """Return what runs now, from the process table, without what runs once."""
        running = [replicas.read(process) for process in self._processes() if not replicas.once(process)]
        return sorted(running, key=lambda replica: (replica.service, replica.release, replica.pid))

    def healthy(self, replica: Replica) -> bool:
        """Ask one replica whether it is ready, as its service says."""
        health = declared.health if (declared := self._declared(replica)) else Health()
        if health.ready or health.alive:
            try:
                answer = httpx.get(f"{replica.address}{health.ready or health.alive}", timeout=HEALTH_SECONDS)
            except httpx.HTTPError:
                return False
            return answer.is_success or answer.is_redirect
        if not processes.runs(replica.pid) or time.time() - replica.since < STEADY_SECONDS:
            return False
        if health.command and self._begun and self._begun.number == replica.release:  # its values are at hand
            return self._commanded(self._begun, replica, health.command)
        return True

    def drift(self) -> list[str]:
        """Return nothing: processes are not edited by hand."""
        return []

    def run(self, release: Release, reader: str, argv: Sequence[str], sealed: Sealed) -> tuple[int, list[str]]:
        """Run a job, or a command with the environment of a service or a job, once."""
        return replicas.run(self._place, release, sealed, [reader, *argv], self._packages_of(reader))

    def logs(self, service: str | None, *, follow: bool) -> Iterator[str]:
        """Yield the last lines of each log, or of one, then what is added to them while following."""
        yield from logfiles.read(self._folder / "logs", service, self._name, follow=follow)

    def stop(self, *, purge: bool) -> str:
        """Stop everything of the environment; `purge` deletes its folder: data, secrets and identity."""
        running = self._processes(proxy=True)
        names = list(dict.fromkeys(processes.word(process, "--service") or PROXY for process in running))
        processes.end(running, self._grace(running))
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

    def _install(self, reader: str) -> Events[None]:
        setup = self._repo.schema.setup_of(reader)
        if setup not in self._packages:
            self._packages[setup] = yield from product.environment(self._repo, setup)

    def _packages_of(self, reader: str) -> Mapping[str, str]:
        for _ in self._install(reader):
            """They are there since the deploy, or come now without a word."""
        return self._packages[self._repo.schema.setup_of(reader)]

    def _start(self, release: Release, sealed: Sealed, name: str) -> Replica:
        return replicas.start(self._place, release, sealed, name, self._packages_of(name))

    def _restart(self, release: Release, name: str) -> Replica:
        """Start a `single` service again, in the place of any other release's."""
        self._end([replica for replica in self.replicas() if replica.service == name])
        return self._start(release, self._sealed, name)

    def _commanded(self, release: Release, replica: Replica, words: Sequence[str]) -> bool:
        """Say whether the command that asks for a replica's health ends with 0, and in time."""
        argv = [replica.service, *filled(release, words, replica.port)]
        packages, timed = self._packages_of(replica.service), {"port": replica.port, "timeout": HEALTH_SECONDS}
        try:
            return replicas.run(self._place, release, self._sealed, argv, packages, **timed)[0] == 0
        except errors.CommandError:
            return False

    def _ports(self, release: Release) -> dict[str, int]:
        """Return the ports at which services are reached: of public ones, and of those that the settings name."""
        named = release.settings.get("ports", {})
        return {
            name: _port(release, name, named.get(name, service.declared.port))
            for name, service in release.services.items()
            if service.declared.port and (service.declared.public or name in named)
        }

    def _lead(self, release: Release, replicas: Sequence[Replica]) -> None:
        """Have the proxy lead to these replicas, and to no other."""
        table: dict[int, list[Route]] = {}
        for name, port in self._ports(release).items():
            public = release.services[name].declared.public or Public()
            own = tuple(replica.port for replica in replicas if replica.service == name)
            table.setdefault(port, []).append(Route(public.host, public.path, public.private, own))
        routes.write(self._folder, table)

    def _lead_back(self, release: Release) -> None:
        """Have the proxy lead to the current release, not to one whose deploy was killed; to none if none runs."""
        runs = current(self.history())
        running = self._replicas_of(runs) if runs else []
        self._lead(runs if runs and running else release, running)

    def _proxies(self) -> list[psutil.Process]:
        return [process for process in self._processes(proxy=True) if not processes.word(process, "--service")]

    def _start_proxy(self) -> None:
        if self._proxies():
            return
        tag = f"{self._folder.resolve()}#0"
        words: list[str | Path] = [sys.executable, "-m", PROXY_MODULE, "--tag", tag, self._folder]
        env, log = {"PYTHONPATH": str(self._repo.root)}, logfiles.path(self._folder, PROXY)
        command.spawn(words, log=log, env=env, cwd=self._repo.root)

    def _processes(self, *, proxy: bool = False) -> list[psutil.Process]:
        found = processes.of(self._folder)
        return [process for process in found if proxy or processes.word(process, "--service")]

    def _claim(self, release: Release) -> None:
        """Raise PortInUseError when a port of this environment belongs to a process that is not of it."""
        own = {process.pid for process in self._processes(proxy=True)}
        for port in set(self._ports(release).values()):
            holder = processes.listening(port)
            if holder is None or holder.pid not in own:
                servers.require_free(port)

    def _end_strays(self) -> None:
        """End the services and jobs that are not of the current release."""
        runs = current(self.history())
        number = runs.number if runs else 0
        strays = [process for process in self._processes() if replicas.read(process).release != number]
        processes.end(strays, self._grace(strays))

    def _end(self, ending: Sequence[Replica]) -> None:
        pids = {replica.pid for replica in ending}
        found = [process for process in self._processes() if process.pid in pids]
        processes.end(found, self._grace(found))

    def _grace(self, ending: Iterable[psutil.Process]) -> float:
        """Return the seconds after which the slowest of these processes is killed, as its own release says."""
        try:
            past = self.history()
        except errors.FormatError:  # another version's, whose processes are ended all the same
            past = []
        drains = {
            (name, release.number): service.declared.drain_seconds
            for release in (*past, *([self._begun] if self._begun else []))
            for name, service in release.services.items()
        }
        own = (replicas.read(process) for process in ending)
        return 2 * max((drains.get((one.service, one.release), 0) for one in own), default=0) + 1

    def _replicas_of(self, release: Release, service: str = "") -> list[Replica]:
        running = [replica for replica in self.replicas() if replica.release == release.number]
        return [replica for replica in running if service in ("", replica.service)]

    def _declared(self, replica: Replica) -> Service | None:
        """Return what a replica's release declares of its service, when that is known."""
        past = [*([self._begun] if self._begun else []), *reversed(self.history())]
        release = next((release for release in past if release.number == replica.release), None)
        service = release.services.get(replica.service) if release else None
        return service.declared if service else None

    @cached_property
    def _asked(self) -> dict[str, tuple[str, str]]:
        """The servers that the generated URLs of this environment ask for: kind and key, by the server's name."""
        asked: dict[str, tuple[str, str]] = {}
        for key in self._repo.schema.within(self._name).secrets():
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


def _port(release: Release, service: str, named: int | str) -> int:
    """Return the port that the settings name; ConfigurationError when a plain value holds none."""
    value = str(named if isinstance(named, int) else release.plain.get(named, ""))
    try:
        port = int(value) if value.isdecimal() else urlsplit(value).port
    except ValueError:
        port = None
    if not port or port > LAST_PORT:
        hint = "ports in config/environments.yaml takes a number, or a plain key with a URL that has a port"
        raise errors.ConfigurationError(f"the port of {service} is {named}, which names none", hint)
    return port
