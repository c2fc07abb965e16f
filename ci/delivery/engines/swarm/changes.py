"""How the swarm's part of two releases differs."""

from collections.abc import Iterator

from ci.delivery.engines.swarm import proxy
from ci.delivery.engines.swarm.cluster import Cluster
from ci.delivery.release import Release


def between(cluster: Cluster, before: Release | None, after: Release) -> Iterator[str]:
    """Yield one line for each difference; ConfigurationError when the routes of the new release are wrong."""
    for service in after.services if before else ():
        old, new = (release.settings for release in (before, after) if release)
        if any(old[kind].get(service) != new[kind].get(service) for kind in ("placement", "resources")):
            yield f"placement or resources of {service}"
    was, will = _proxy(before), _proxy(after)
    drops = ", which drops its connections" if was != "none" else ""
    if was != will:
        yield f"proxy     {was} → {will}{drops}"
    elif before and will != "none" and proxy.text(cluster, before) != proxy.text(cluster, after):
        yield f"proxy     its routes or health checks{drops}"


def _proxy(release: Release | None) -> str:
    if release is None or not proxy.present(release):
        return "none"
    settings = release.settings["proxy"]
    return f"port {settings['port']} by {settings['image']}"
