"""The engine of `local`: every service a process of this machine, on real servers, without Docker or root.

What runs is read from the process table (a service's command line says its release), so no record of it can be
stale. A new release starts beside the old one, at the same port; the old one leaves when the new one is healthy.
"""

import fcntl
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil

from ci.delivery import servers
from ci.delivery.engines import Replica, Sealed
from ci.delivery.engines.processes import logfiles
from ci.delivery.release import Image, Release
from ci.ground import command, errors, files, git, ports, processes
from ci.ground.repo import LOCAL, Repo

PATIENCE_SECONDS = 30
KEPT_RELEASES = 50
LAST_LINES = 15
ENTRY = "runtime.entry"
SANDBOX = "sandbox"
SANDBOX_KEYS = ("SMS_PROVIDER_API_KEY", "SMTP_USERNAME", "SMTP_PASSWORD")


@contextmanager
def lock(repo: Repo, name: str) -> Iterator[None]:
    """Hold the environment; the kernel lets go of it when this process ends, however it ends."""
    path = repo.state_of(LOCAL) / "lock"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise errors.LockedError(
                f"{holder} is at work on {name}", "wait until it is done, then try again"
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()}")
        file.flush()
        yield


def unlock(repo: Repo, name: str) -> str:
    """Do nothing: the kernel lets go of a lock whose holder is gone."""
    return "nothing to do, the lock ends with its holder"


def image(repo: Repo, name: str, sha: str) -> Image:
    """Return the working tree: `local` runs what stands in it."""
    return Image(git.sha(repo.root))


def prepare(repo: Repo, release: Release, sealed: Sealed) -> str:
    """Clear away what a killed deploy left, then start Postgres, Redis and the sandbox where they do not run."""
    _end_strays(repo)
    _claim(repo, release.plain)
    for server in _servers(repo, sealed):
        servers.start(server)
    _start_sandbox(repo, release, sealed)
    return "postgres, redis and the sandbox run"


def migrate(repo: Repo, release: Release, sealed: Sealed) -> None:
    """Run the migrations with the api's environment; MigrationError shows their last lines."""
    result = command.attempt(
        [*_entry("api"), "model.migrate"],
        input=release.bundle_for("api", sealed).reveal().encode(),
        env=_environ(repo, release.plain_for("api")),
        cwd=repo.state_of(LOCAL),
    )
    if result.code:
        raise errors.MigrationError(
            "the migration failed, nothing was started",
            "mend it in model/migrations, then deploy again",
            result.stdout.decode(errors="replace").splitlines()[-LAST_LINES:],
        )


def apply(repo: Repo, release: Release, sealed: Sealed) -> list[Replica]:
    """Start every replica of the release; each gets only the keys that name its service."""
    return [
        _spawn(repo, release, sealed, service)
        for service, about in release.services.items()
        for _ in range(about.replicas)
    ]


def wait(repo: Repo, release: Release, replicas: Iterable[Replica]) -> None:
    """Ask each replica at its own address until all are ready; StartError shows the log of one that is not."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    for replica in replicas:
        while not healthy(replica):
            if not processes.runs(replica.pid):
                raise _start_error(repo, replica, "ended at its start")
            if time.monotonic() > deadline:
                raise _start_error(repo, replica, f"was not ready within {PATIENCE_SECONDS} s")
            time.sleep(0.05)


def edge(repo: Repo, release: Release) -> str:
    """Return nothing: the replicas share the public port themselves."""
    return ""


def record(repo: Repo, release: Release) -> None:
    """Make it the current release; the one before drains, and is gone when this returns."""
    kept = [*history(repo, release.environment), release][-KEPT_RELEASES:]
    files.replace(_releases(repo), json.dumps([one.document() for one in kept], indent=1), mode=0o600)
    _end_strays(repo, grace=float(release.plain.get("SHUTDOWN_GRACE_SECONDS", 30)))


def undo(repo: Repo, release: Release, why: str) -> None:
    """End whatever is not of the current release; without one that runs, nothing is left running."""
    _end_strays(repo)
    if not replicas(repo, release.environment):
        stop(repo, release.environment, purge=False)


def history(repo: Repo, name: str) -> list[Release]:
    """Return the recorded releases, oldest first."""
    try:
        return [Release.parse(one) for one in json.loads(_releases(repo).read_bytes())]
    except FileNotFoundError:
        return []


def replicas(repo: Repo, name: str) -> list[Replica]:
    """Return what runs now, from the process table."""
    found = [_replica(process) for process in processes.of(repo.state_of(LOCAL), ENTRY)]
    return sorted(found, key=lambda one: (one.service, one.release, one.pid))


def healthy(replica: Replica) -> bool:
    """Ask one replica whether it is ready."""
    try:
        return httpx.get(f"{replica.address}/readyz", timeout=5).is_success
    except httpx.HTTPError:
        return False


def drift(repo: Repo, name: str) -> list[str]:
    """Return nothing: nobody edits processes by hand."""
    return []


def run(repo: Repo, release: Release, service: str, argv: Sequence[str]) -> tuple[int, list[str]]:
    """Run a module once with a service's environment; return its exit code and what it printed."""
    raise errors.UsageError("a one-off process of local needs no engine", "python -m MODULE, or inv decrypt")


def logs(repo: Repo, name: str, service: str | None, *, follow: bool) -> Iterator[str]:
    """Yield the last lines of each log, or of one, then what is added to them for as long as one follows."""
    yield from logfiles.read(repo.state_of(LOCAL) / "logs", service, name, follow=follow)


def stop(repo: Repo, name: str, *, purge: bool) -> str:
    """Stop everything of the environment; `purge` deletes its data, secrets and identity, too."""
    names = []
    for module in (ENTRY, SANDBOX):
        running = processes.of(repo.state_of(LOCAL), module)
        names += [processes.service(process) for process in running]
        processes.end(running, grace=PATIENCE_SECONDS)
    names += [data.name for data in _data(repo) if servers.stop(data)]
    if purge:
        for data in _data(repo):
            servers.purge(data)
        shutil.rmtree(repo.state_of(LOCAL))
    return ", ".join(names) or "nothing ran"


def _entry(service: str) -> list[str]:
    return [sys.executable, "-m", ENTRY, "--bundle", "-", service]


def _environ(repo: Repo, plain: Mapping[str, str]) -> dict[str, str]:
    return {**plain, "PYTHONPATH": str(repo.root)}


def _spawn(repo: Repo, release: Release, sealed: Sealed, service: str) -> Replica:
    """Start one replica with a health socket of its own; the api's also share the public port."""
    sockets = [_listen(0)]
    if service == "api":
        port = urlsplit(release.plain["PUBLIC_BASE_URL"]).port
        sockets.append(_listen(port or 80, shared=True))
    flag = "--fd" if service == "api" else "--health-fd"
    listeners = [word for one in sockets for word in (flag, str(one.fileno()))]
    argv = [
        *_entry(service),
        release.services[service].module,
        *listeners,
        "--sha",
        release.sha,
        "--release",
        str(release.number),
    ]
    process = command.spawn(
        argv,
        input=release.bundle_for(service, sealed).reveal().encode(),
        env=_environ(repo, release.plain_for(service)),
        cwd=repo.state_of(LOCAL),
        log=_log(repo, service),
        pass_fds=[one.fileno() for one in sockets],
    )
    address = f"http://{ports.HOST}:{sockets[0].getsockname()[1]}"
    for one in sockets:
        one.close()
    return Replica(service, release.number, process.pid, address, time.time())


def _listen(port: int, *, shared: bool = False) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:  # the old release and the new one listen at one port while they change places
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((ports.HOST, port))
    listener.listen(1024)
    return listener


def _replica(process: psutil.Process) -> Replica:
    """Read a service's process: its command line says service and release, its sockets the health address."""
    listening: list[int] = []
    with suppress(psutil.Error):  # it may end while we look
        listening = [one.laddr.port for one in process.net_connections("tcp4") if one.status == psutil.CONN_LISTEN]
    private = f"http://{ports.HOST}:{max(listening)}" if listening else ""  # the system hands out high ports
    return Replica(
        processes.service(process), processes.release(process), process.pid, private, process.info["create_time"]
    )


def _start_sandbox(repo: Repo, release: Release, sealed: Sealed) -> None:
    if processes.of(repo.state_of(LOCAL), SANDBOX):
        return
    values = {**release.plain, **{key: value.reveal() for key, value in sealed.items()}}
    port, smtp_port = _sandbox_ports(release.plain)
    argv = [sys.executable, "-m", SANDBOX, "--port", str(port), "--smtp-port", str(smtp_port)]
    process = command.spawn(
        [*argv, "--state", str(repo.state_of(LOCAL) / "sandbox.json")],
        input=json.dumps({key: values[key] for key in SANDBOX_KEYS}).encode(),
        env=_environ(repo, {}),
        cwd=repo.state_of(LOCAL),
        log=_log(repo, "sandbox"),
    )
    wait(repo, release, [Replica("sandbox", 0, process.pid, f"http://{ports.HOST}:{port}", time.time())])


def _claim(repo: Repo, plain: Mapping[str, str]) -> None:
    """Raise PortInUseError when a port of this environment belongs to a process that is not of it."""
    own = {process.pid for module in (ENTRY, SANDBOX) for process in processes.of(repo.state_of(LOCAL), module)}
    for port in (urlsplit(plain["PUBLIC_BASE_URL"]).port or 80, *_sandbox_ports(plain)):
        holder = processes.listening(port)
        if holder is None or holder.pid not in own:
            servers.require_free(port)


def _sandbox_ports(plain: Mapping[str, str]) -> tuple[int, int]:
    return urlsplit(plain["SMS_PROVIDER_URL"]).port or 80, int(plain["SMTP_PORT"])


def _end_strays(repo: Repo, grace: float = 1) -> None:
    """End the services that are not of the current release."""
    past = history(repo, LOCAL)
    current = past[-1].number if past else 0
    strays = [one for one in processes.of(repo.state_of(LOCAL), ENTRY) if processes.release(one) != current]
    processes.end(strays, grace)


def _data(repo: Repo) -> tuple[Path, Path]:
    return repo.state_of(LOCAL) / "postgres", repo.state_of(LOCAL) / "redis"


def _servers(repo: Repo, sealed: Sealed) -> tuple[servers.Server, servers.Server]:
    postgres, redis = _data(repo)
    return (
        servers.postgres(sealed["DATABASE_URL"].reveal(), postgres, _log(repo, "postgres")),
        servers.redis(sealed["REDIS_URL"].reveal(), redis, _log(repo, "redis")),
    )


def _start_error(repo: Repo, replica: Replica, what: str) -> errors.StartError:
    last = _log(repo, replica.service).read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
    hint = f"the lines above are the end of its log; inv logs --service={replica.service} shows more"
    return errors.StartError(f"{replica.service} {what}", hint, last)


def _log(repo: Repo, service: str) -> Path:
    return repo.state_of(LOCAL) / f"logs/{service}.log"


def _releases(repo: Repo) -> Path:
    return repo.state_of(LOCAL) / "releases.json"
