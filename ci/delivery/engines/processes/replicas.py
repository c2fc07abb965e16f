"""One replica of a service, or a job, as a process: how it is started, and what its process says of itself."""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from ci.delivery import process as processes_of
from ci.delivery.engines import Replica, Sealed
from ci.delivery.engines.processes import logfiles
from ci.delivery.release import Release
from ci.ground import command, errors, ports, processes

DAY_SECONDS = 24 * 60 * 60  # a migration may take its time
ONCE = "/once"  # ends the tag of what runs once, a job or a command with a service's keys: it is no replica


@dataclass(frozen=True)
class Place:
    """Where an environment's processes run: the checkout, and the environment's folder."""

    root: Path
    folder: Path

    def argv(
        self,
        release: Release,
        reader: str,
        words: Sequence[str],
        packages: Mapping[str, str],
        *,
        port: int = 0,
        mark: str = "",
    ) -> list[str]:
        """Return the words that start a process, which reads its bundle from stdin.

        ToolMissingError when neither the product's packages nor this machine have the program.
        """
        tag = f"{self.folder.resolve()}#{release.number}{mark}"
        folder = str(self.root / "runtime")
        argv = processes_of.argv(release, reader, words, bundle="-", folder=folder, port=port, tag=tag)
        program, entry = argv[argv.index("--") + 1], argv[0]
        for name in dict.fromkeys((program, entry)):
            if not shutil.which(str(self.root / name) if "/" in name else name, path=packages.get("PATH")):
                hint = "setup in config/schema.yaml says how the product's packages come here"
                raise errors.ToolMissingError(f"{reader}: {name} is not on this machine", hint)
        return [shutil.which(entry, path=packages.get("PATH")) or entry, *argv[1:]]


def start(place: Place, release: Release, sealed: Sealed, service: str, packages: Mapping[str, str]) -> Replica:
    """Start one replica, at a free port if its service has one; it gets only the keys of its service."""
    port = ports.free() if release.services[service].declared.port else 0
    process = command.spawn(
        place.argv(release, service, (), packages, port=port),
        input=release.bundle_for(service, sealed).reveal().encode(),
        env={**release.plain_for(service), **packages},
        cwd=place.root,
        log=logfiles.path(place.folder, service),
    )
    return Replica(service, release.number, process.pid, _address(port), time.time(), port=port)


def run(
    place: Place,
    release: Release,
    sealed: Sealed,
    argv: Sequence[str],
    packages: Mapping[str, str],
    *,
    port: int = 0,
    timeout: float = DAY_SECONDS,
) -> tuple[int, list[str]]:
    """Run a job, or a command with the keys of one, to its end: its exit code and its lines.

    `argv` begins with the name of the job or the service; without more it is the job's own command. `port` is
    that of the replica it is about. CommandError when it takes longer than `timeout` seconds.
    """
    reader, *words = argv
    result = command.attempt(
        place.argv(release, reader, words, packages, port=port, mark=ONCE),
        input=release.bundle_for(reader, sealed).reveal().encode(),
        env={**release.plain_for(reader), **packages},
        cwd=place.root,
        timeout=timeout,
        whole=True,
    )
    return result.code, (result.stdout + result.stderr).decode(errors="replace").splitlines()


def read(process: psutil.Process) -> Replica:
    """Read a process: its command line names service, release and port."""
    number = processes.word(process, "--tag").rpartition("#")[2].removesuffix(ONCE)
    port = int(processes.word(process, "--port") or 0)
    service = processes.word(process, "--service")
    return Replica(service, int(number), process.pid, _address(port), process.info["create_time"], port=port)


def once(process: psutil.Process) -> bool:
    """Whether a process is of something that runs once."""
    return processes.word(process, "--tag").endswith(ONCE)


def _address(port: int) -> str:
    return f"http://{ports.HOST}:{port}" if port else ""
