"""What a service of a release looks like to the swarm: data, made here, sent and compared elsewhere."""

from collections.abc import Mapping, Sequence
from typing import Any

from ci.delivery import process
from ci.delivery.engines.swarm.bundles import held
from ci.delivery.engines.swarm.cluster import PREFIX, Cluster
from ci.delivery.release import Release, Service
from ci.ground import services as declarations
from ci.ground.services import python_module

BUNDLE, EMPTY = "/run/secrets/bundle", "/dev/null"
SECOND = 1_000_000_000  # the swarm counts nanoseconds
MEMORY_MB = 1024  # where environments.yaml says nothing
PIDS = 1024  # processes and threads
TEMPORARY_MB = 64  # of each folder that is in memory
UNCHECKED: Mapping[str, Any] = {"Test": ["NONE"]}
LISTENS = "import _socket; _socket.socket().connect(('127.0.0.1', {port}))"
LISTENS_SH = """\
for table in /proc/net/tcp /proc/net/tcp6; do
    [ ! -r $table ] || while read -r _ local _ state _; do
        case $local:$state in *:{port:04X}:0A) exit 0 ;; esac
    done <$table
done
exit 1
"""


def service(cluster: Cluster, release: Release, name: str, ids: Mapping[str, str]) -> dict[str, Any]:
    """Return the spec of one service; `ids` are those of the bundles."""
    about = release.services[name]
    container = _container(cluster, release, name, ids, ()) | {
        "StopGracePeriod": int(grace(about) * SECOND),
        "StopSignal": "SIGTERM",  # the image may name another, which the entrypoint would not delay
        "Healthcheck": _health(release, name),
    }
    order = "stop-first" if about.declared.single else "start-first"
    task = _task(cluster, container, release, name)
    task["Networks"][0]["Aliases"] = [name]
    return {
        "Name": cluster.name(name),
        "Labels": cluster.labels(service=name, release=release.number),
        "TaskTemplate": task,
        "Mode": {"Replicated": {"Replicas": about.replicas}},
        "UpdateConfig": _update(order),
        "RollbackConfig": _update(order),
        # No virtual address: it needs IPVS, which many kernels lack. The proxy asks DNS for the replicas instead.
        "EndpointSpec": {"Mode": "dnsrr"},
    }


def job(
    cluster: Cluster, release: Release, reader: str, argv: Sequence[str], ids: Mapping[str, str]
) -> dict[str, Any]:
    """Return the spec of a process that runs once: a job, or a command with a reader's environment."""
    container = _container(cluster, release, reader, ids, argv) | {
        "Healthcheck": UNCHECKED  # the image's own would have a long migration killed
    }
    task = _task(cluster, container, release, reader) | {"RestartPolicy": {"Condition": "none"}}
    return {
        "Name": cluster.name("job"),
        "Labels": cluster.labels(kind="job", release=release.number),
        "TaskTemplate": task,
        "Mode": {"Replicated": {"Replicas": 1}},
    }


def grace(about: Service) -> float:
    """Return the seconds after which the swarm kills a service: its draining and its own end come before."""
    return 2 * about.declared.drain_seconds + 5


def unchecked(release: Release, name: str) -> bool:
    """Say whether a service is healthy as soon as it runs."""
    return _health(release, name) == UNCHECKED


def release_of(task: Mapping[str, Any]) -> int:
    """Return the release that a task or a service runs; 0 when it is not one of ours."""
    spec = task["Spec"].get("TaskTemplate", task["Spec"])
    labels = spec["ContainerSpec"].get("Labels") or {}
    return int(labels.get(f"{PREFIX}.release", 0))


def _container(
    cluster: Cluster, release: Release, reader: str, ids: Mapping[str, str], command: Sequence[str]
) -> dict[str, Any]:
    about = release.reader(reader)
    bundle = held(release).get(reader)
    argv = process.argv(release, reader, command, bundle=BUNDLE if bundle else EMPTY)
    file = {"Name": BUNDLE, "UID": "0", "GID": "0", "Mode": 0o444}  # the image decides whom it runs as
    secret = {"File": file, "SecretID": ids.get(bundle or "", ""), "SecretName": bundle}
    port = {"PORT": str(about.declared.port)} if isinstance(about, Service) and about.declared.port else {}
    return {
        "Image": release.image_of(reader),
        "Command": argv[:2],
        "Args": argv[2:],
        "Env": sorted(f"{key}={value}" for key, value in (port | release.plain_for(reader)).items()),
        "Labels": cluster.labels(service=reader, release=release.number),
        "ReadOnly": True,
        "Mounts": _mounts(cluster, about.declared if isinstance(about, Service) else None),
        "CapabilityDrop": ["ALL"],
        "Init": True,
        "Secrets": [secret] if bundle else [],
    }


def _health(release: Release, name: str) -> Mapping[str, Any]:
    """Return how the swarm asks a service's health, through runtime/ or by the service's own command.

    A public service that declares none is healthy when it listens: else its replicas would end before the new ones
    can answer.
    """
    declared = release.services[name].declared
    health, port, python = declared.health, str(declared.port), python_module(declared.command)
    paths = [path for path in (health.ready, health.alive) if path]
    if health.command:
        command = process.filled(release, health.command, declared.port)
        bundle = BUNDLE if name in held(release) else EMPTY
        return _check(
            declared, process.argv(release, name, command, bundle=bundle), every=5
        )  # each starts a program
    if paths and python:
        return _check(declared, [declared.command[0], "-IS", f"{process.FOLDER}/health.py", port, *paths])
    if paths:
        return _check(declared, ["sh", f"{process.FOLDER}/health.sh", port, *paths])
    if declared.public and python:
        return _check(declared, [declared.command[0], "-ISc", LISTENS.format(port=port)])
    if declared.public:
        return _check(declared, ["sh", "-c", LISTENS_SH.format(port=declared.port)])
    return UNCHECKED


def _check(service: declarations.Service, argv: Sequence[str], every: int = 1) -> dict[str, Any]:
    return {
        "Test": ["CMD", *argv],
        "Interval": every * SECOND,
        "Timeout": 5 * SECOND,
        "StartPeriod": service.start_seconds * SECOND,
        "Retries": 3,
    }


def _mounts(cluster: Cluster, service: declarations.Service | None) -> list[dict[str, Any]]:
    """Return what may be written to: folders in memory, and volumes, which outlive the service."""
    temporary, kept = (service.temporary, service.kept) if service else ((), {})
    volumes = [
        {
            "Type": "volume",
            "Source": cluster.name(name),
            "Target": folder,
            "VolumeOptions": {"Labels": cluster.labels(kind="volume")},
        }
        for name, folder in sorted(kept.items())
    ]
    size = {"SizeBytes": TEMPORARY_MB * 1024 * 1024}
    folders = dict.fromkeys(("/tmp", *temporary))  # noqa: S108, the container's own
    return [{"Type": "tmpfs", "Target": folder, "TmpfsOptions": size} for folder in folders] + volumes


def _task(cluster: Cluster, container: dict[str, Any], release: Release, reader: str) -> dict[str, Any]:
    # A job has the place and the limits of the service whose keys it reads first.
    service = release.jobs[reader].declared.keys[0] if reader in release.jobs else reader
    resources = release.settings["resources"].get(service, {})
    memory = int(resources.get("memory_mb", MEMORY_MB))
    limits = {"MemoryBytes": memory * 1024 * 1024, "Pids": PIDS}  # what runs away ends in its own container
    if "cpus" in resources:
        limits["NanoCPUs"] = int(resources["cpus"] * SECOND)
    return {
        "ContainerSpec": container,
        "Resources": {"Limits": limits},
        "RestartPolicy": {"Condition": "any", "Delay": 1 * SECOND},
        "Placement": {"Constraints": list(release.settings["placement"].get(service, ()))},
        "Networks": [{"Target": cluster.network}],
    }


def _update(order: str) -> dict[str, Any]:
    """Return how replicas are replaced; if a new one is never healthy, the swarm rolls back by itself.

    By `start-first` it is healthy before an old one is ended; a service of which two may never run ends first.
    """
    return {
        "Parallelism": 1,
        "Order": order,
        "FailureAction": "rollback",
        "Monitor": 1 * SECOND,
        "MaxFailureRatio": 0,
    }
