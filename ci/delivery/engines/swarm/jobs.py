"""One-off processes: a migration before a release, or a module that an operator runs."""

import secrets
import time
from collections.abc import Sequence
from typing import Any

from ci.delivery.engines.swarm import bundles, services, specs
from ci.delivery.engines.swarm.cluster import Cluster, label
from ci.delivery.release import Release
from ci.ground import errors

PATIENCE_SECONDS = 900  # a migration may take its time


def run(cluster: Cluster, release: Release, service: str, argv: Sequence[str]) -> tuple[int, list[str]]:
    """Run a module once and return its exit code and its lines; its service is removed."""
    part = f"job-{secrets.token_hex(4)}"
    spec = specs.job(cluster, release, service, list(argv), bundles.ids(cluster)) | {"Name": cluster.name(part)}
    job = cluster.api.create_service(spec["TaskTemplate"], **services.options(spec))
    try:
        task = _ended(cluster, spec["Name"])
        lines = list(services.lines(cluster, part, tail=1000))
        status = task["Status"]
        code = (status.get("ContainerStatus") or {}).get("ExitCode") or 0
        if status["State"] != "complete":
            lines, code = [*lines, status.get("Err") or "it was cut off with its node"], code or 1
        return code, lines
    finally:
        services.remove(cluster, [job], patience=0)


def sweep(cluster: Cluster) -> None:
    """Remove the one-off processes that have ended and that a killed command left."""
    jobs = [service for service in cluster.services() if label(service, "kind") == "job"]
    services.remove(cluster, [job for job in jobs if _over(cluster, job)])


def _over(cluster: Cluster, job: dict[str, Any]) -> bool:
    tasks = services.tasks(cluster, job["Spec"]["Name"])
    return bool(tasks) and all(map(_done, tasks))


def _done(task: dict[str, Any]) -> bool:
    """Say whether a task is over; on a lost node its state is still `running`, its desired state `shutdown`."""
    return task["Status"]["State"] in services.ENDED or task["DesiredState"] == "shutdown"


def _ended(cluster: Cluster, name: str) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for task in services.tasks(cluster, name):
            if _done(task):
                return task
        time.sleep(services.PAUSE_SECONDS)
    raise errors.EngineError(f"{name} did not end within {PATIENCE_SECONDS} s", "it was stopped; docker node ls")
