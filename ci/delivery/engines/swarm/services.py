"""Services, as the swarm has them: put in place, watched until they are healthy, taken away."""

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
PAUSE_SECONDS = 0.1
LAST_LINES = 15
TRIES = 5
LATE_SECONDS = 5  # that a manager may take to hear of a container's end
SILENCE_SECONDS = 5  # a log that is not followed comes within moments


def put(cluster: Cluster, spec: dict[str, Any]) -> None:
    """Make a service, or bring the one of this name to the spec."""
    for left in reversed(range(TRIES)):
        found = find(cluster, spec["Name"])
        try:
            if found is None:
                cluster.api.create_service(spec["TaskTemplate"], **_options(spec))
            else:
                about = (found["ID"], found["Version"]["Index"])
                cluster.api.update_service(*about, task_template=spec["TaskTemplate"], **_options(spec))
        except APIError as error:
            # The swarm itself may have changed it between the two calls, when it rolls back.
            if left and OUTDATED in str(error.explanation):
                time.sleep(PAUSE_SECONDS)
                continue
            raise
        return


def _options(spec: dict[str, Any]) -> dict[str, Any]:
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
    return next((one for one in cluster.services() if one["Spec"]["Name"] == name), None)


def remove(cluster: Cluster, those: Iterable[dict[str, Any]], patience: float = 60) -> None:
    """Take services away and wait until their containers are gone."""
    gone = list(those)
    for one in gone:
        with absent():
            cluster.api.remove_service(one["ID"])
    deadline = time.monotonic() + patience
    for one in gone:
        while _left(cluster, one) and time.monotonic() < deadline:
            time.sleep(PAUSE_SECONDS)


def _left(cluster: Cluster, service: dict[str, Any]) -> bool:
    wanted = {"label": [f"com.docker.swarm.service.id={service['ID']}"]}
    return bool(cluster.api.containers(filters=wanted))


def tasks(cluster: Cluster, name: str) -> list[dict[str, Any]]:
    """Return the tasks of a service, those of the past too, the newest first."""
    found = cluster.api.tasks(filters={"service": [name]})
    return sorted(found, key=lambda one: str(one["CreatedAt"]), reverse=True)


def wait(cluster: Cluster, release: Release, *, strict: bool) -> None:
    """Wait until every replica is of this release and healthy; StartError shows the health log of one that is not.

    `strict` takes the first task that ends for a failure; without it, the swarm may try again for as long as there
    is patience, as it does when an old release is put back.
    """
    replicas = sum(service.replicas for service in release.services.values())
    deadline = time.monotonic() + 30 + replicas * (specs.PATIENCE_SECONDS + 15)
    waiting = list(release.services)
    while waiting:
        waiting = [name for name in waiting if not _settled(cluster, release, name, strict=strict)]
        if waiting and time.monotonic() > deadline:
            raise fault(
                cluster, release, waiting[0], "was not healthy in time", tasks(cluster, cluster.name(waiting[0]))
            )
        if waiting:
            time.sleep(PAUSE_SECONDS)


def _settled(cluster: Cluster, release: Release, name: str, *, strict: bool) -> bool:
    """Say whether a service has its replicas, all of this release, and the swarm is done watching them."""
    found = tasks(cluster, cluster.name(name))
    ours = [one for one in found if specs.release_of(one) == release.number]
    if strict and (bad := [one for one in ours if one["Status"]["State"] in ENDED]):
        raise fault(cluster, release, name, _ended(bad[-1]), bad)
    live = [one for one in found if one["DesiredState"] in ("running", "ready")]
    ready = [one for one in live if one in ours and one["Status"]["State"] == "running"]
    service = find(cluster, cluster.name(name)) or {}
    under_way = (service.get("UpdateStatus") or {}).get("State") in ("updating", "rollback_started")
    return not under_way and len(ready) == len(live) == release.services[name].replicas


def drain(cluster: Cluster, release: Release) -> None:
    """Wait until the replicas that the swarm is ending are gone; the swarm itself ends them after their grace.

    One that still has to write down what it has sent needs the values that it began with, and a rotation is about
    to revoke them. What goes on at a lost node nobody can know.
    """
    begun = time.monotonic()
    while (leaving := _leaving(cluster, release)) and time.monotonic() - begun < max(map(_grace, leaving)):
        time.sleep(PAUSE_SECONDS)


def _leaving(cluster: Cluster, release: Release) -> list[dict[str, Any]]:
    up = {one["ID"] for one in cluster.api.nodes() if one["Status"]["State"] == "ready"}
    found = [one for name in release.services for one in tasks(cluster, cluster.name(name))]
    there = [one for one in found if one.get("NodeID") in up and one["Status"]["State"] == "running"]
    return [one for one in there if one["DesiredState"] == "shutdown"]


def _grace(task: dict[str, Any]) -> float:
    """Return the seconds after which the swarm ends a task, and some more to say so."""
    return float(task["Spec"]["ContainerSpec"].get("StopGracePeriod", 0)) / specs.SECOND + LATE_SECONDS


def _ended(task: dict[str, Any]) -> str:
    status = task["Status"]
    # A task that is never healthy is stopped, and ends without an error.
    return f"ended at its start: {status['Err']}" if status.get("Err") else "did not become healthy"


def fault(
    cluster: Cluster, release: Release, name: str, what: str, found: list[dict[str, Any]]
) -> errors.StartError:
    """Return the error that shows why: what the health check said, and the end of the log."""
    ours = [one for one in found if specs.release_of(one) == release.number]
    detail = [*_health(cluster, ours[-1]), *_log(cluster, name, ours[-1])] if ours else []
    hint = f"the lines above are its health check's and the end of its log; release {release.number} is taken back"
    return errors.StartError(f"{name} of {cluster.environment} {what}", hint, detail)


def _health(cluster: Cluster, task: dict[str, Any]) -> list[str]:
    """Return what the health check of a task said, as far as its container is on this node."""
    container = (task["Status"].get("ContainerStatus") or {}).get("ContainerID", "")
    said: list[str] = []
    with absent():
        state = cluster.api.inspect_container(container)["State"] if container else {}
        said = [one["Output"].strip().rpartition("\n")[2] for one in (state.get("Health") or {}).get("Log") or ()]
    return [f"health: {line}" for line in dict.fromkeys(said) if line]


def _log(cluster: Cluster, name: str, task: dict[str, Any]) -> list[str]:
    found = lines(cluster, name, tail=200, details=True)
    parts = [line.partition(" ") for line in found]  # the details come first: com.docker.swarm.task.id=…,…
    return [line for details, _, line in parts if task["ID"] in details][-LAST_LINES:]


def lines(
    cluster: Cluster, name: str, *, tail: int = 50, follow: bool = False, details: bool = False
) -> Iterator[str]:
    """Yield the lines that a service's replicas have logged."""
    with absent():
        stream = cluster.api.service_logs(
            cluster.name(name), stdout=True, stderr=True, tail=tail, follow=follow, details=details
        )
        rest = b""
        for chunk in stream if follow else _until_silent(stream):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from (line.decode(errors="replace") for line in whole)


def _until_silent(stream: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what comes of a log that should end; its part on a lost node would take a quarter of an hour to."""
    chunks: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def read() -> None:
        try:
            for chunk in stream:
                chunks.put(chunk)
        finally:
            chunks.put(None)

    threading.Thread(target=read, daemon=True).start()
    try:
        while (chunk := chunks.get(timeout=SILENCE_SECONDS)) is not None:
            yield chunk
    except queue.Empty:
        yield b"the rest of the log does not come: is a node lost? docker node ls\n"


def stray(cluster: Cluster) -> list[str]:
    """Return the names of containers that carry our labels and belong to no service."""
    return sorted(one["Names"][0].lstrip("/") for one in _strays(cluster))


def sweep_strays(cluster: Cluster) -> None:
    """Take away the containers that carry our labels and belong to no service."""
    for one in _strays(cluster):
        with absent():
            cluster.api.remove_container(one["Id"], force=True)


def _strays(cluster: Cluster) -> list[dict[str, Any]]:
    found = cluster.api.containers(filters=cluster.filters())
    return [one for one in found if "com.docker.swarm.service.id" not in one["Labels"]]
