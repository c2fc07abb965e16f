"""How the swarm's part of two releases differs."""

from collections.abc import Iterator, Mapping

from ci.delivery.release import Release


def between(before: Release | None, after: Release) -> Iterator[str]:
    """Yield one line for each difference."""
    if before is None:
        yield from _proxy({}, after.settings["proxy"])
        return
    old, new = before.settings, after.settings
    for service in after.services:
        if any(old[kind].get(service) != new[kind].get(service) for kind in ("placement", "resources")):
            yield f"placement or resources of {service}"
    yield from _proxy(old["proxy"], new["proxy"])


def _proxy(old: Mapping[str, object], new: Mapping[str, object]) -> Iterator[str]:
    if old != new:
        yield f"proxy     {_port(old)} → {_port(new)}" + (", which drops its connections" if old else "")


def _port(proxy: Mapping[str, object]) -> str:
    return f"port {proxy['port']} by {proxy['image']}" if proxy else "none"
