"""One replica of a service as a process: how it is started, and what its process says of itself."""

import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from ci.delivery.engines import Replica, Sealed
from ci.delivery.engines.processes import logfiles
from ci.delivery.release import Release
from ci.ground import command, ports, processes

ENTRY = "runtime.entry"


@dataclass(frozen=True)
class Place:
    """Where an environment's processes run: the product's Python, the checkout, and the environment's folder."""

    python: Path
    root: Path
    folder: Path


def entry(place: Place, service: str) -> list[str | Path]:
    """Return the argv of a service that reads its bundle from stdin."""
    return [place.python, "-m", ENTRY, "--bundle", "-", service]


def environ(place: Place, plain: Mapping[str, str]) -> dict[str, str]:
    """Return what a process of the product is given beside what programs inherit."""
    return {**plain, "PYTHONPATH": str(place.root)}


def start(place: Place, release: Release, sealed: Sealed, service: str) -> Replica:
    """Start one replica with a health socket of its own; the api's also share the public port."""
    sockets = [_listen(0)]
    if service == "api":
        port = urlsplit(release.plain["PUBLIC_BASE_URL"]).port
        sockets.append(_listen(port or 80, shared=True))
    flag = "--fd" if service == "api" else "--health-fd"
    listeners = [word for listener in sockets for word in (flag, str(listener.fileno()))]
    argv = [*entry(place, service), release.services[service].module, *listeners]
    process = command.spawn(
        [*argv, "--sha", release.sha, "--release", str(release.number)],
        input=release.bundle_for(service, sealed).reveal().encode(),
        env=environ(place, release.plain_for(service)),
        cwd=place.folder,
        log=logfiles.path(place.folder, service),
        pass_fds=[listener.fileno() for listener in sockets],
    )
    address = f"http://{ports.HOST}:{sockets[0].getsockname()[1]}"
    for listener in sockets:
        listener.close()
    return Replica(service, release.number, process.pid, address, time.time())


def read(process: psutil.Process) -> Replica:
    """Read a service's process: its command line names service and release, its sockets the health address."""
    listening: list[int] = []
    with suppress(psutil.Error):  # the process may end meanwhile
        sockets = process.net_connections("tcp4")
        listening = [socket.laddr.port for socket in sockets if socket.status == psutil.CONN_LISTEN]
    private = f"http://{ports.HOST}:{max(listening)}" if listening else ""  # the system hands out high ports
    service, release = processes.service(process), processes.release(process)
    return Replica(service, release, process.pid, private, process.info["create_time"])


def _listen(port: int, *, shared: bool = False) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:  # the old release and the new one listen at one port while they change places
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((ports.HOST, port))
    listener.listen(1024)
    return listener
