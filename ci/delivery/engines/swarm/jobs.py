"""Processes that run once: a job, or a command of an operator's with the environment of a service."""

import secrets
import time
from collections.abc import Container, Sequence
from typing import Any

from ci.delivery.engines.swarm import bundles, services, specs
from ci.delivery.engines.swarm.cluster import Cluster, label
from ci.delivery.release import Release
from ci.ground import errors

START_SECONDS = 900  # a node may have to fetch the image first


def run(cluster: Cluster, release: Release, reader: str, argv: Sequence[str]) -> tuple[int, list[str]]:
    """Run a job or a command once and return its exit code and its lines; its service is removed."""
    part = f"job-{secrets.token_hex(4)}"
    spec = specs.job(cluster, release, reader, argv, bundles.ids(cluster)) | {"Name": cluster.name(part)}
    job = cluster.api.create_service(spec["TaskTemplate"], **services.options(spec))
    try:
        status = _ended(cluster, spec["Name"])["Status"]
        lines = list(services.lines(cluster, part, tail="all"))
        code = (status.get("ContainerStatus") or {}).get("ExitCode") or 0
        if status["State"] != "complete" and not code:  # it never ran, or its node is lost
            lines, code = [*lines, status.get("Err") or "it was cut off with its node"], 1
        return code, lines
    finally:
        services.remove(cluster, [job], wait=False)


def sweep(cluster: Cluster, interrupted: Container[str] = ()) -> None:
    """Remove the one-off processes that have ended and that a killed command left.

    Those of an interrupted release are removed while they still run: no migration may run beside the next one.
    """
    jobs = [service for service in cluster.services() if label(service, "kind") == "job"]
    services.remove(cluster, [job for job in jobs if label(job, "release") in interrupted or _over(cluster, job)])


def _over(cluster: Cluster, job: dict[str, Any]) -> bool:
    tasks = services.tasks(cluster, job["Spec"]["Name"])
    return bool(tasks) and all(map(_done, tasks))


def _done(task: dict[str, Any]) -> bool:
    """Say whether a task is over; on a lost node its state is still `running`, its desired state `shutdown`."""
    return task["Status"]["State"] in services.ENDED or task["DesiredState"] == "shutdown"


def _ended(cluster: Cluster, name: str) -> dict[str, Any]:
    """Return the task when it is over, however long it runs; EngineError when it does not start."""
    begun, state = time.monotonic(), ""
    while state == "running" or time.monotonic() - begun < START_SECONDS:
        for task in services.tasks(cluster, name):
            if _done(task):
                return task
            state = task["Status"]["State"]
        time.sleep(services.PAUSE_SECONDS)
    late = f"{name} did not start within {START_SECONDS} s, it is {state or 'unknown'}"
    raise errors.EngineError(late, "is a node up that may run it? docker node ls")
