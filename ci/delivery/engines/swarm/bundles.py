"""Bundles, kept in the swarm as secrets: one per service, job and release, in no inspect, on no disk in clear."""

from collections.abc import Iterable

from ci.delivery.engines import Sealed
from ci.delivery.engines.swarm.cluster import Cluster, absent
from ci.delivery.release import HEALTHY, UNFINISHED, Release
from ci.ground import errors
from ci.ground.services import python_module


def held(release: Release) -> dict[str, str]:
    """Return the bundles by reader, without those that are empty: the swarm keeps no empty secret."""
    return {
        reader: bundle
        for reader, bundle in release.bundles().items()
        if python_module(release.reader(reader).declared.command)  # whose bundle is at least {}
        or not set(release.sealed).isdisjoint(release.reader(reader).keys)
    }


def store(cluster: Cluster, release: Release, sealed: Sealed) -> None:
    """Keep the bundles of a new release; a rollback comes without sealed values, and its bundles exist already."""
    known = ids(cluster)
    for reader, bundle in held(release).items():
        if bundle not in known and (sealed or not release.sealed):
            data = release.bundle_for(reader, sealed).reveal().encode()
            cluster.api.create_secret(bundle, data, cluster.labels(kind="bundle", service=reader))


def again(cluster: Cluster, release: Release, reader: str, sealed: Sealed) -> bool:
    """Keep one bundle once more that was removed with its release, for a hook; say whether that was needed."""
    bundle = held(release).get(reader)
    if bundle is None or not sealed or bundle in ids(cluster):
        return False
    data = release.bundle_for(reader, sealed).reveal().encode()
    cluster.api.create_secret(bundle, data, cluster.labels(kind="bundle", service=reader))
    return True


def ids(cluster: Cluster) -> dict[str, str]:
    """Return the id of each bundle by name."""
    stored = cluster.api.secrets(filters=cluster.filters(kind="bundle"))
    return {bundle["Spec"]["Name"]: str(bundle["ID"]) for bundle in stored}


def require(cluster: Cluster, release: Release) -> None:
    """Raise EngineError unless the swarm has every bundle of a release."""
    if missing := set(held(release).values()) - ids(cluster).keys():
        hint = f"inv deploy --env={cluster.environment} makes new ones"
        raise errors.EngineError(f"the swarm has lost {', '.join(sorted(missing))}", hint)


def sweep(cluster: Cluster, past: Iterable[Release]) -> None:
    """Remove the bundles that no healthy or unfinished release needs and no service still uses."""
    usable = [release for release in past if release.result in (HEALTHY, UNFINISHED)]
    needed = {bundle for release in usable for bundle in held(release).values()}
    for service in cluster.services():
        container = service["Spec"]["TaskTemplate"]["ContainerSpec"]
        needed |= {secret["SecretName"] for secret in container.get("Secrets") or ()}
    for name, identifier in ids(cluster).items():
        if name not in needed:
            with absent():
                cluster.api.remove_secret(identifier)
