"""Services, as the swarm has them: created or updated, watched until they are healthy, removed."""

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

from docker.errors import APIError

from ci.delivery.engines.swarm import specs
from ci.delivery.engines.swarm.cluster import OUTDATED, Cluster, absent
from ci.delivery.release import Release
from ci.ground import errors

ENDED = ("failed", "rejected", "complete", "orphaned")  # a service's task should be in none of these
PAUSE_SECONDS = 0.05
LAST_LINES = 15
TRIES = 10
STEADY_SECONDS = 2  # a service without a health check must have run for so long
LATE_SECONDS = 5  # a manager may hear of a container's end this much later
SILENCE_SECONDS = 5  # a log that is not followed arrives within moments, unless a node is lost
PATIENCE_SECONDS = 60  # a busy machine may need so long for the next part of one


def put(cluster: Cluster, spec: dict[str, Any]) -> None:
    """Create a service, or bring the one of this name to the spec."""
    for left in reversed(range(TRIES)):
        service = find(cluster, spec["Name"])
        try:
            if service is None:
                cluster.api.create_service(spec["TaskTemplate"], **options(spec))
            else:
                identity = (service["ID"], service["Version"]["Index"])
                cluster.api.update_service(*identity, task_template=spec["TaskTemplate"], **options(spec))
        except APIError as error:
            # The swarm itself may have changed it between the two calls, when it rolls back.
            if not left or OUTDATED not in str(error.explanation):
                raise
            time.sleep(PAUSE_SECONDS)
        else:
            return


def options(spec: dict[str, Any]) -> dict[str, Any]:
    """Return what the SDK takes beside a spec's template, by the SDK's names."""
    return {
        "name": spec["Name"],
        "labels": spec["Labels"],
        "mode": spec["Mode"],
        "update_config": spec.get("UpdateConfig"),
        "rollback_config": spec.get("RollbackConfig"),
        "endpoint_spec": spec.get("EndpointSpec"),
    }


def find(cluster: Cluster, name: str) -> dict[str, Any] | None:
    """Return a service by its name."""
    return next((service for service in cluster.services() if service["Spec"]["Name"] == name), None)


def remove(cluster: Cluster, services: Iterable[dict[str, Any]], *, wait: bool = True) -> None:
    """Remove services, and wait until their containers have ended; the swarm kills them after their grace."""
    removed = list(services)
    for service in removed:
        with absent():
            cluster.api.remove_service(service["ID"])
    graces = [_grace({"Spec": service["Spec"]["TaskTemplate"]}) for service in removed] if wait else []
    deadline = time.monotonic() + max(graces, default=0)
    for identifier in (service["ID"] for service in removed):
        own = {"label": [f"com.docker.swarm.service.id={identifier}"]}
        while cluster.api.containers(filters=own) and time.monotonic() < deadline:
            time.sleep(PAUSE_SECONDS)


def tasks(cluster: Cluster, name: str) -> list[dict[str, Any]]:
    """Return the tasks of a service, with those that have ended, the newest first."""
    listed = cluster.api.tasks(filters={"service": [name]})
    return sorted(listed, key=lambda task: str(task["CreatedAt"]), reverse=True)


def wait(cluster: Cluster, release: Release, *, strict: bool) -> None:
    """Wait until every replica is of this release and healthy; StartError shows the health log of one that is not.

    `strict` takes the first task that ends for a failure; without it, the swarm may try again until the deadline,
    as it does when an old release is restored.
    """
    starts = sum(service.replicas * (service.declared.start_seconds + 15) for service in release.services.values())
    ends = sum(specs.grace(service) for service in release.services.values() if service.declared.single)
    deadline = time.monotonic() + 30 + starts + ends
    waiting = list(release.services)
    while waiting := [name for name in waiting if not _settled(cluster, release, name, strict=strict)]:
        if time.monotonic() > deadline:
            late = waiting[0]
            raise fault(cluster, release, late, "was not healthy in time", tasks(cluster, cluster.name(late)))
        time.sleep(PAUSE_SECONDS)
    if strict and (unchecked := [name for name in release.services if specs.unchecked(release, name)]):
        time.sleep(STEADY_SECONDS)  # that they run is all that is known of them
        for name in unchecked:
            if not _settled(cluster, release, name, strict=True):
                raise fault(cluster, release, name, "does not run any more", tasks(cluster, cluster.name(name)))


def _settled(cluster: Cluster, release: Release, name: str, *, strict: bool) -> bool:
    """Say whether a service has its replicas, all of this release, and the swarm is done watching them."""
    every = tasks(cluster, cluster.name(name))
    ours = [task for task in every if specs.release_of(task) == release.number]
    if strict and (bad := [task for task in ours if task["Status"]["State"] in ENDED]):
        reason = bad[-1]["Status"].get("Err")  # a task that is never healthy is stopped, and ends without an error
        what = f"ended at its start: {reason}" if reason else "did not become healthy"
        raise fault(cluster, release, name, what, bad)
    live = [task for task in every if task["DesiredState"] in ("running", "ready")]
    ready = [task for task in live if task in ours and task["Status"]["State"] == "running"]
    if not len(ready) == len(live) == release.services[name].replicas:
        return False
    service = find(cluster, cluster.name(name)) or {}
    return (service.get("UpdateStatus") or {}).get("State") not in ("updating", "rollback_started")


def drain(cluster: Cluster, release: Release) -> None:
    """Wait until the replicas that the swarm is ending have ended; the swarm kills them after their grace.

    A replica that still has to record what it has sent needs the values that it began with, and a rotation is
    about to revoke them. What happens on a lost node cannot be known.
    """
    begun = time.monotonic()
    while (leaving := _leaving(cluster, release)) and time.monotonic() - begun < max(map(_grace, leaving)):
        time.sleep(PAUSE_SECONDS)


def _leaving(cluster: Cluster, release: Release) -> list[dict[str, Any]]:
    up = {node["ID"] for node in cluster.api.nodes() if node["Status"]["State"] == "ready"}
    every = [task for name in release.services for task in tasks(cluster, cluster.name(name))]
    running = [task for task in every if task.get("NodeID") in up and task["Status"]["State"] == "running"]
    return [task for task in running if task["DesiredState"] == "shutdown"]


def _grace(task: dict[str, Any]) -> float:
    """Return the seconds after which the swarm kills a task, and some more for a manager to hear of it."""
    return (
        float(task["Spec"]["ContainerSpec"].get("StopGracePeriod", 10 * specs.SECOND)) / specs.SECOND
        + LATE_SECONDS
    )


def fault(
    cluster: Cluster, release: Release, name: str, what: str, suspects: list[dict[str, Any]]
) -> errors.StartError:
    """Return the error that shows the health check's output and the end of the log."""
    ours = [task for task in suspects if specs.release_of(task) == release.number]
    detail = [*_health(cluster, ours[-1]), *_log(cluster, name, ours[-1])] if ours else []
    hint = f"the lines above are its health check's and the end of its log; release {release.number} is taken back"
    return errors.StartError(f"{name} of {cluster.environment} {what}", hint, detail)


def _health(cluster: Cluster, task: dict[str, Any]) -> list[str]:
    """Return the output of a task's health check, if its container is on this node."""
    container = (task["Status"].get("ContainerStatus") or {}).get("ContainerID", "")
    last: list[str] = []
    with absent():
        state = cluster.api.inspect_container(container)["State"] if container else {}
        checks = (state.get("Health") or {}).get("Log") or ()
        last = [check["Output"].strip().rpartition("\n")[2] for check in checks]
    return [f"health: {line}" for line in dict.fromkeys(last) if line]


def _log(cluster: Cluster, name: str, task: dict[str, Any]) -> list[str]:
    logged = lines(cluster, name, tail=200, details=True)
    parts = [line.partition(" ") for line in logged]  # a line begins with details: com.docker.swarm.task.id=…,…
    return [line for details, _, line in parts if task["ID"] in details][-LAST_LINES:]


def lines(
    cluster: Cluster, name: str, *, tail: int | str = 50, follow: bool = False, details: bool = False
) -> Iterator[str]:
    """Yield the lines that a service's replicas have logged."""
    with absent():
        stream = cluster.api.service_logs(
            cluster.name(name), stdout=True, stderr=True, tail=tail, follow=follow, details=details
        )
        rest = b""
        for chunk in stream if follow else _until_silent(cluster, stream):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from (line.decode(errors="replace") for line in whole)


def _until_silent(cluster: Cluster, stream: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the parts of a log that should end; the part on a lost node would end after 15 minutes."""
    chunks: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def read() -> None:
        try:
            for chunk in stream:
                chunks.put(chunk)
        finally:
            chunks.put(None)

    threading.Thread(target=read, daemon=True).start()
    heard = time.monotonic()
    while True:
        try:
            chunk = chunks.get(timeout=SILENCE_SECONDS)
        except queue.Empty:
            lost = any(node["Status"]["State"] != "ready" for node in cluster.api.nodes())
            if not lost and time.monotonic() - heard < PATIENCE_SECONDS:
                continue
            yield b"the rest of the log is missing: is a node lost? docker node ls\n"
            return
        if chunk is None:
            return
        heard = time.monotonic()
        yield chunk


def stray(cluster: Cluster) -> list[str]:
    """Return the names of containers that carry our labels and belong to no service."""
    return sorted(container["Names"][0].lstrip("/") for container in _strays(cluster))


def sweep_strays(cluster: Cluster) -> None:
    """Remove the containers that carry our labels and belong to no service."""
    for container in _strays(cluster):
        with absent():
            cluster.api.remove_container(container["Id"], force=True)


def _strays(cluster: Cluster) -> list[dict[str, Any]]:
    containers = cluster.api.containers(filters=cluster.filters())
    return [container for container in containers if "com.docker.swarm.service.id" not in container["Labels"]]
