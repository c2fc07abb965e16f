"""The engine `swarm`: Docker Swarm, from one node to many. All that it keeps is in the swarm itself.

Everything is named by project, environment and release number. A release is recorded before anything is done for
it, and becomes the current one by a single write after all of it is healthy: whenever a deploy is killed, the next
one sees what was begun and not ended.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from functools import cached_property
from typing import Any, Self

from docker import DockerClient
from docker.errors import APIError

from ci.delivery import docker
from ci.delivery.engines import Replica, Sealed
from ci.delivery.engines.swarm import (
    bundles,
    changes,
    drifts,
    jobs,
    logs,
    proxy,
    records,
    services,
    specs,
    transfer,
)
from ci.delivery.engines.swarm.cluster import Cluster, connect, label
from ci.delivery.engines.swarm.settings import Settings
from ci.delivery.release import UNFINISHED, Image, Release, current, tag, version
from ci.ground import errors, git
from ci.ground.environments import Environment
from ci.ground.repo import Repo


class Swarm:
    """One environment's part of a swarm."""

    versioned = True

    def __init__(self, repo: Repo, environment: Environment) -> None:
        self._settings = Settings(**environment.settings)
        self.recorded = self._settings.recorded
        self.images: str | None = self._settings.docker
        self._repo, self._environment, self._name = repo, environment, environment.name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection, if there is one."""
        if "_client" in vars(self):
            self._client.close()
            del self._client
            vars(self).pop("_cluster", None)

    @cached_property
    def _client(self) -> DockerClient:
        return docker.connect(self._settings.docker)

    @cached_property
    def _cluster(self) -> Cluster:
        return connect(self._client, self._repo.environments.project, self._name)

    @property
    def _clients(self) -> transfer.Clients:
        """The Docker clients that may have an image: its own, this machine's, the followed environment's."""
        before = self._repo.environments.by_name.get(self._environment.follows or "")
        same = before is not None and before.engine == self._environment.engine
        others = ["", before.settings.get("docker", "")] if before and same else [""]
        return transfer.Clients(self._client, self._settings.docker, others)

    def lock(self) -> AbstractContextManager[None]:
        """Hold the environment against other deploys, on this machine and on others."""
        return records.lock(self._cluster)

    def unlock(self) -> str:
        """Remove the lock, and return whose it was."""
        return records.unlock(self._cluster)

    def image(self, sha: str, names: Sequence[str]) -> Image:
        """Return the images that were built from a commit: the registry's, where there is one, else a client's."""
        commit = git.commit(self._repo.root, sha or "HEAD")
        find = self._pushed if self._repo.environments.registry else self._built
        return Image(commit[: git.SHORT], {name: find(commit, name) for name in names})

    def _built(self, commit: str, name: str) -> str:
        return transfer.find(self._clients, tag(self._repo, commit, name))

    def _pushed(self, commit: str, name: str) -> str:
        """Ask through the manager: the image was built on another machine."""
        registry, wanted = self._repo.environments.registry, version(commit, name)
        try:
            image = self._cluster.api.inspect_distribution(f"{registry}:{wanted}")
        except APIError:
            hint = f"inv build --push={registry} brings it there"
            raise errors.EngineError(f"{registry} has no image {wanted}", hint) from None
        return f"{registry}@{image['Descriptor']['digest']}"

    def prepare(self, release: Release, sealed: Sealed) -> str:
        """Note what was interrupted before, claim the number, and keep the bundles."""
        cluster = self._cluster
        unfinished = [earlier for earlier in records.history(cluster) if earlier.result == UNFINISHED]
        for earlier in unfinished:
            records.fail(cluster, earlier, "interrupted")
        jobs.sweep(cluster, [str(earlier.number) for earlier in unfinished])
        services.sweep_strays(cluster)
        records.claim(cluster, release)
        bundles.store(cluster, release, sealed)
        bundles.require(cluster, release)
        brought = transfer.bring(self._clients, cluster, release)
        interrupted = ", ".join(f"release {earlier.number} was interrupted" for earlier in unfinished)
        return ", ".join(filter(None, [f"release {release.number} has its bundles", brought, interrupted]))

    def apply(self, release: Release, sealed: Sealed) -> list[Replica]:
        """Have the swarm replace every service's replicas one by one."""
        cluster = self._cluster
        ids = bundles.ids(cluster)
        for name in release.services:
            services.put(cluster, specs.service(cluster, release, name, ids))
        wanted = {proxy.NAME, *release.services}
        others = (service for service in cluster.services() if label(service, "service") not in wanted)
        services.remove(cluster, [service for service in others if label(service, "kind") != "job"])
        proxy.put(cluster, release)
        return []

    def wait(self, release: Release, replicas: Iterable[Replica]) -> None:
        """Wait until every replica is of this release and healthy."""
        services.wait(self._cluster, release, strict=True)

    def url(self, release: Release, service: str) -> str:
        """Return where the proxy is reached from here."""
        if not proxy.present(release):
            return ""
        settings = release.settings["proxy"]
        scheme = "https" if settings.get("certificate") else "http"
        return f"{scheme}://{self._settings.address}:{settings['port']}"

    def record(self, release: Release) -> None:
        """Make it the current release, let the previous one drain, and forget what retention does not keep."""
        cluster = self._cluster
        records.end(cluster, release)
        records.prune(cluster, self._environment.keep_releases)
        services.drain(cluster, release)
        jobs.sweep(cluster)  # the migration of a killed deploy may have run until now, with its bundle
        bundles.sweep(cluster, records.history(cluster))
        proxy.sweep(cluster)

    def undo(self, release: Release, why: str) -> None:
        """Restore the current release's services, or remove all when there is none, and note why."""
        cluster = self._cluster
        jobs.sweep(cluster)
        runs = current(records.history(cluster))
        if runs is None:
            services.remove(cluster, cluster.services())
        elif drifts.touched(cluster, runs):
            self.apply(runs, {})
            services.wait(cluster, runs, strict=False)
        records.fail(cluster, release, why)
        bundles.sweep(cluster, records.history(cluster))
        proxy.sweep(cluster)

    def history(self) -> list[Release]:
        """Return the recorded releases, oldest first."""
        return records.history(self._cluster)

    def changes(self, before: Release | None, after: Release) -> list[str]:
        """Return how proxy, placement and resources differ."""
        return list(changes.between(self._cluster, before, after))

    def replicas(self) -> list[Replica]:
        """Return what runs now, and what should run and does not yet."""
        cluster = self._cluster
        nodes = {node["ID"]: node["Description"]["Hostname"] for node in cluster.api.nodes()}
        running = [
            _replica(label(service, "service"), task, nodes)
            for service in cluster.services()
            if label(service, "kind") != "job"
            for task in services.tasks(cluster, service["Spec"]["Name"])
            if task["DesiredState"] == "running"
        ]
        return sorted(running, key=lambda replica: (replica.service, replica.release, replica.pid))

    def healthy(self, replica: Replica) -> bool:
        """Return whether a replica is ready: the swarm calls it running when its health check passed."""
        return replica.state == "running"

    def drift(self) -> list[str]:
        """Return, one line each, where what runs differs from the current release."""
        return drifts.look(self._cluster, records.history(self._cluster))

    def logs(self, service: str | None, *, follow: bool) -> Iterator[str]:
        """Yield the last lines of each service, or of one, then what is added while following."""
        yield from logs.read(self._cluster, service, follow=follow)

    def run(self, release: Release, reader: str, argv: Sequence[str], sealed: Sealed) -> tuple[int, list[str]]:
        """Run a job, or a command with the environment of a service or job, in its image, once."""
        cluster = self._cluster
        removed = bundles.again(cluster, release, reader, sealed)  # of a release that failed, whose hook this is
        try:
            return jobs.run(cluster, release, reader, argv)
        finally:
            if removed:
                bundles.sweep(cluster, records.history(cluster))

    def stop(self, *, purge: bool) -> str:
        """Stop everything of the environment; `purge` forgets its releases, bundles and kept folders as well."""
        cluster = self._cluster
        running = cluster.services()
        services.remove(cluster, running)
        if purge:
            records.prune(cluster, 0)
            bundles.sweep(cluster, [])
            proxy.sweep(cluster)
            cluster.drop_network()
            cluster.drop_volumes()
        return ", ".join(label(service, "service") or "a one-off" for service in running) or "nothing ran"


def _replica(service: str, task: Mapping[str, Any], nodes: Mapping[str, str]) -> Replica:
    status = task["Status"]
    pid = (status.get("ContainerStatus") or {}).get("PID", 0)
    since = datetime.fromisoformat(status["Timestamp"][:19] + "+00:00").timestamp()
    node = nodes.get(task.get("NodeID", ""), "")
    return Replica(service, specs.release_of(task), pid, node, since, status["State"])
