"""The engine of Docker Swarm, from one node to many. All that it keeps is in the swarm itself.

Everything is named by project, environment and release number. A release is written down before anything is done
for it, and becomes the current one by one write after all of it is healthy: whenever a deploy is killed, the next
one sees what was begun and not ended.
"""

import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime

from docker.errors import APIError

from ci.delivery import image as images
from ci.delivery.engines import Replica, Sealed
from ci.delivery.engines.swarm import bundles, drifts, edges, jobs, records, services, specs, transfer
from ci.delivery.engines.swarm.cluster import Manager, connect, label
from ci.delivery.release import UNFINISHED, Image, Release, current
from ci.ground import errors, git
from ci.ground.repo import Repo


def lock(repo: Repo, name: str) -> AbstractContextManager[None]:
    """Hold the environment against other deploys, on this machine and on others."""
    return records.lock(connect(repo, name))


def unlock(repo: Repo, name: str) -> str:
    """Take the lock away, and say whose it was."""
    return records.unlock(connect(repo, name))


def image(repo: Repo, name: str, sha: str) -> Image:
    """Return the image that was built of a commit: the registry's, where there is one, else an engine's."""
    commit, registry = git.commit(repo.root, sha or "HEAD"), repo.environments.registry
    short = commit[: git.SHORT]
    if registry:
        return Image(short, f"{registry}@{_digest(connect(repo, name).api, registry, short)}")
    return Image(short, transfer.find(repo, name, images.tag(repo, commit)))


def _digest(api: Manager, registry: str, short: str) -> str:
    """Return an image's digest; the manager asks, for it was built on another machine."""
    try:
        return str(api.inspect_distribution(f"{registry}:{short}")["Descriptor"]["digest"])
    except APIError:
        hint = f"inv build --push={registry} brings it there"
        raise errors.EngineError(f"{registry} has no image {short}", hint) from None


def prepare(repo: Repo, release: Release, sealed: Sealed) -> str:
    """Note what was cut off before, claim the number, and keep the bundles."""
    cluster = connect(repo, release.environment)
    past = records.history(cluster)
    for one in past:
        if one.result == UNFINISHED:
            records.fail(cluster, one, "cut off")
    jobs.sweep(cluster)
    services.sweep_strays(cluster)
    records.claim(cluster, release)
    bundles.sweep(cluster, records.history(cluster))
    if sealed:
        bundles.store(cluster, release, sealed)
    bundles.require(cluster, release)
    brought = transfer.bring(repo, cluster, release)
    cut = ", ".join(f"release {one.number} was cut off" for one in past if one.result == UNFINISHED)
    return ", ".join(filter(None, [f"release {release.number} has its bundles", brought, cut]))


def migrate(repo: Repo, release: Release, sealed: Sealed) -> None:
    """Run the migrations once, in the release's image and with the api's environment."""
    code, lines = jobs.run(connect(repo, release.environment), release, specs.EDGED, ["model.migrate"])
    if code:
        hint = "mend it in model/migrations, then deploy again"
        raise errors.MigrationError(
            "the migration failed, nothing was started", hint, lines[-services.LAST_LINES :]
        )


def apply(repo: Repo, release: Release, sealed: Sealed) -> list[Replica]:
    """Have the swarm replace every service's replicas one by one."""
    cluster = connect(repo, release.environment)
    ids = bundles.ids(cluster)
    for name in release.services:
        services.put(cluster, specs.service(cluster, release, name, ids))
    wanted = {edges.NAME, *release.services}
    gone = [
        one for one in cluster.services() if label(one, "kind") != "job" and label(one, "service") not in wanted
    ]
    services.remove(cluster, gone)
    edges.put(cluster, release)
    return []


def wait(repo: Repo, release: Release, replicas: Iterable[Replica]) -> None:
    """Wait until every replica is of this release and healthy."""
    services.wait(connect(repo, release.environment), release, strict=True)


def edge(repo: Repo, release: Release) -> str:
    """Return where the edge is reached from here."""
    if not release.edge:
        return ""
    scheme = "https" if release.edge.get("certificate") else "http"
    return f"{scheme}://{repo.environments.by_name[release.environment].address}:{release.edge['port']}"


def record(repo: Repo, release: Release) -> None:
    """Make it the current release, let what ran before drain, and forget what retention does not keep."""
    cluster = connect(repo, release.environment)
    records.end(cluster, release)
    services.drain(cluster, release)
    records.prune(cluster, repo.environments.by_name[release.environment].keep_releases)
    jobs.sweep(cluster)  # the migration of a killed deploy may have been at work until now, with its bundle
    bundles.sweep(cluster, records.history(cluster))
    edges.sweep(cluster)


def undo(repo: Repo, release: Release, why: str) -> None:
    """Put the current release's services back, or take all away when there is none, and note why."""
    cluster = connect(repo, release.environment)
    jobs.sweep(cluster)
    runs = current(records.history(cluster))
    if runs is None:
        services.remove(cluster, cluster.services())
    elif drifts.touched(cluster, runs):
        apply(repo, runs, {})
        services.wait(cluster, runs, strict=False)
    records.fail(cluster, release, why)
    bundles.sweep(cluster, records.history(cluster))
    edges.sweep(cluster)


def history(repo: Repo, name: str) -> list[Release]:
    """Return the recorded releases, oldest first."""
    return records.history(connect(repo, name))


def replicas(repo: Repo, name: str) -> list[Replica]:
    """Return what runs now, or should and does not yet."""
    cluster = connect(repo, name)
    nodes = {one["ID"]: one["Description"]["Hostname"] for one in cluster.api.nodes()}
    found = []
    for service in cluster.services():
        if label(service, "kind") == "job":
            continue
        for task in services.tasks(cluster, service["Spec"]["Name"]):
            if task["DesiredState"] == "running":
                status = task["Status"]
                found.append(
                    Replica(
                        label(service, "service"),
                        specs.release_of(task),
                        (status.get("ContainerStatus") or {}).get("PID", 0),
                        nodes.get(task.get("NodeID", ""), ""),
                        datetime.fromisoformat(status["Timestamp"][:19] + "+00:00").timestamp(),
                        status["State"],
                    )
                )
    return sorted(found, key=lambda one: (one.service, one.release, one.pid))


def healthy(replica: Replica) -> bool:
    """Say whether a replica is ready: the swarm calls it running when its health check passed."""
    return replica.state == "running"


def drift(repo: Repo, name: str) -> list[str]:
    """Say, one line each, where what runs differs from the current release."""
    cluster = connect(repo, name)
    return drifts.look(cluster, records.history(cluster))


def logs(repo: Repo, name: str, service: str | None, *, follow: bool) -> Iterator[str]:
    """Yield the last lines of each service, or of one, then what is added for as long as one follows."""
    cluster = connect(repo, name)
    there = sorted(label(one, "service") for one in cluster.services() if label(one, "service"))
    names = [one for one in there if service in (None, one)]
    if not names:
        hint = f"there is {', '.join(there)}" if there else f"inv deploy --env={name} starts it"
        raise errors.NotRunningError(f"no log of {service or name}", hint)
    width = max(map(len, names))
    if not follow:
        for one in names:
            yield from (f"{one:<{width}} | {line}" for line in services.lines(cluster, one))
        return
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read(one: str) -> None:
        try:
            for line in services.lines(connect(repo, name), one, follow=True):
                lines.put(f"{one:<{width}} | {line}")
        finally:
            lines.put(None)

    for one in names:
        threading.Thread(target=read, args=[one], daemon=True).start()
    left = len(names)
    while left:
        line = lines.get()
        if line is None:
            left -= 1
        else:
            yield line


def run(repo: Repo, release: Release, service: str, argv: Sequence[str]) -> tuple[int, list[str]]:
    """Run a module once with a service's environment."""
    return jobs.run(connect(repo, release.environment), release, service, argv)


def stop(repo: Repo, name: str, *, purge: bool) -> str:
    """Stop everything of the environment; `purge` forgets its releases and bundles, too."""
    cluster = connect(repo, name)
    running = cluster.services()
    services.remove(cluster, running)
    if purge:
        records.purge(cluster)
        bundles.sweep(cluster, [])
        edges.sweep(cluster)
        cluster.drop_network()
    return ", ".join(label(one, "service") or "a one-off" for one in running) or "nothing ran"
