"""What a service of a release looks like to the swarm: data, made here, sent and compared elsewhere."""

from collections.abc import Mapping
from typing import Any

from ci.delivery.engines.swarm.cluster import PREFIX, Cluster
from ci.delivery.release import Release

PORT = 8000
BUNDLE = "/run/secrets/bundle"
SECOND = 1_000_000_000  # the swarm counts nanoseconds
PATIENCE_SECONDS = 30  # what a replica may take to become ready, also on a busy machine
MEMORY_MB = 1024  # where environments.yaml says nothing; several times what either service takes
PIDS = 1024  # processes and threads; a worker has two for each of WORKER_CONCURRENCY, at most 256
PUBLIC = "api"  # the service that the proxy leads to

# Ready once, then alive: a replica gets traffic once database, queue and schema are ready, and is not killed for
# an outage of theirs later on. The check needs no program of the image but its Python. It runs every second in
# each replica, with the bare _socket: importing the module around that costs more than all the rest.
CHECK = f"""
import _socket, os, sys
once = '/tmp/ready'
path = 'healthz' if os.path.exists(once) else 'readyz'
s = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
s.settimeout(4)
s.connect(('127.0.0.1', {PORT}))
s.sendall(f'GET /{{path}} HTTP/1.0\\r\\n\\r\\n'.encode())
said = b''.join(iter(lambda: s.recv(4096), b''))
head, _, body = said.partition(b'\\r\\n\\r\\n')
print(body.decode()[:500])
if head.split()[1] != b'200':
    sys.exit(1)
open(once, 'a').close()
"""


def service(cluster: Cluster, release: Release, name: str, ids: Mapping[str, str]) -> dict[str, Any]:
    """Return the spec of one service; `ids` are those of the bundles."""
    settings = release.services[name]
    grace = float(release.plain_for(name).get("SHUTDOWN_GRACE_SECONDS", 30))
    port = "--port" if name == PUBLIC else "--health-port"
    command = [settings.module, port, str(PORT), "--sha", release.sha, "--release", str(release.number)]
    container = _container(cluster, release, name, ids) | {
        "Args": ["--bundle", BUNDLE, name, *command],
        "StopGracePeriod": int((grace + 5) * SECOND),  # the process' own grace ends first
        "Healthcheck": {
            "Test": ["CMD", "python", "-ISc", CHECK],
            "Interval": 1 * SECOND,
            "Timeout": 5 * SECOND,
            "StartPeriod": PATIENCE_SECONDS * SECOND,
            "Retries": 3,
        },
    }
    return {
        "Name": cluster.name(name),
        "Labels": cluster.labels(service=name, release=release.number),
        "TaskTemplate": _task(cluster, container, release, name),
        "Mode": {"Replicated": {"Replicas": settings.replicas}},
        "UpdateConfig": _update(),
        "RollbackConfig": _update(),
        # No virtual address: it needs IPVS, which many kernels lack. The proxy asks DNS for the replicas instead.
        "EndpointSpec": {"Mode": "dnsrr"},
    }


def job(
    cluster: Cluster, release: Release, service: str, argv: list[str], ids: Mapping[str, str]
) -> dict[str, Any]:
    """Return the spec of a process that runs once with a service's environment."""
    container = _container(cluster, release, service, ids) | {
        "Args": ["--bundle", BUNDLE, service, *argv],
        "Healthcheck": {"Test": ["NONE"]},  # the image's own would have a long migration killed
    }
    task = _task(cluster, container, release, service) | {"RestartPolicy": {"Condition": "none"}}
    return {
        "Name": cluster.name("job"),
        "Labels": cluster.labels(kind="job", release=release.number),
        "TaskTemplate": task,
        "Mode": {"Replicated": {"Replicas": 1}},
    }


def _container(cluster: Cluster, release: Release, service: str, ids: Mapping[str, str]) -> dict[str, Any]:
    bundle = release.services[service].bundle
    file = {"Name": BUNDLE, "UID": "0", "GID": "0", "Mode": 0o444}  # the image decides whom it runs as
    return {
        "Image": release.image,
        "Command": ["python", "-m", "runtime.entry"],
        "Env": sorted(f"{key}={value}" for key, value in release.plain_for(service).items()),
        "Labels": cluster.labels(service=service, release=release.number),
        "ReadOnly": True,
        "Mounts": [{"Type": "tmpfs", "Target": "/tmp", "TmpfsOptions": {"SizeBytes": 16 * 1024 * 1024}}],  # noqa: S108
        "CapabilityDrop": ["ALL"],
        "Init": True,
        "Secrets": [{"File": file, "SecretID": ids.get(bundle, ""), "SecretName": bundle}],
    }


def _task(cluster: Cluster, container: dict[str, Any], release: Release, service: str) -> dict[str, Any]:
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


def _update() -> dict[str, Any]:
    """A new replica is healthy before an old one is ended; if it never is, the swarm rolls back by itself.

    That also holds for the worker: a message is claimed in the database, so two workers share and none doubles.
    """
    return {
        "Parallelism": 1,
        "Order": "start-first",
        "FailureAction": "rollback",
        "Monitor": 1 * SECOND,
        "MaxFailureRatio": 0,
    }


def release_of(task: Mapping[str, Any]) -> int:
    """Return the release that a task or a service runs; 0 when it is not one of ours."""
    spec = task["Spec"].get("TaskTemplate", task["Spec"])
    labels = spec["ContainerSpec"].get("Labels") or {}
    return int(labels.get(f"{PREFIX}.release", 0))
