"""Bundles, kept in the swarm as secrets: one per service and release, in no inspect, on no disk in clear."""

from collections.abc import Iterable

from ci.delivery.engines import Sealed
from ci.delivery.engines.swarm.cluster import Cluster, absent
from ci.delivery.release import HEALTHY, UNFINISHED, Release
from ci.ground import errors


def store(cluster: Cluster, release: Release, sealed: Sealed) -> None:
    """Keep the bundles of a new release; those that a rollback needs exist already."""
    for name, service in release.services.items():
        data = release.bundle_for(name, sealed).reveal().encode()
        cluster.api.create_secret(service.bundle, data, cluster.labels(kind="bundle", service=name))


def ids(cluster: Cluster) -> dict[str, str]:
    """Return the id of each bundle by name."""
    stored = cluster.api.secrets(filters=cluster.filters(kind="bundle"))
    return {bundle["Spec"]["Name"]: str(bundle["ID"]) for bundle in stored}


def require(cluster: Cluster, release: Release) -> None:
    """Raise EngineError unless the swarm has every bundle of a release."""
    if missing := {service.bundle for service in release.services.values()} - ids(cluster).keys():
        hint = f"inv deploy --env={cluster.environment} makes new ones"
        raise errors.EngineError(f"the swarm has lost {', '.join(sorted(missing))}", hint)


def sweep(cluster: Cluster, past: Iterable[Release]) -> None:
    """Remove the bundles that no healthy or unfinished release needs and no service still uses."""
    usable = [release for release in past if release.result in (HEALTHY, UNFINISHED)]
    needed = {service.bundle for release in usable for service in release.services.values()}
    for service in cluster.services():
        container = service["Spec"]["TaskTemplate"]["ContainerSpec"]
        needed |= {secret["SecretName"] for secret in container.get("Secrets") or ()}
    for name, identifier in ids(cluster).items():
        if name not in needed:
            with absent():
                cluster.api.remove_secret(identifier)
