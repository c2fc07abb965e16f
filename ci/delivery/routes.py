"""Which requests the proxy of an environment leads to which service."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ci.delivery.release import Release
from ci.ground import errors

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


@dataclass(frozen=True)
class Route:
    """Requests of a host (empty: of any) below a path lead to a service, except for its private paths."""

    service: str
    host: str
    path: str
    private: tuple[str, ...] = ()


def of(release: Release) -> list[Route]:
    """Return a release's routes in the order of their precedence: the longest path first, a host before any host.

    Raises ConfigurationError when a host is not the name of one, or when two services have the same place.
    """
    routes = sorted(public(release), key=lambda route: (-len(route.path), not route.host, route.service))
    places: dict[tuple[str, str], str] = {}
    for route in routes:
        if other := places.get((route.host, route.path)):
            place = f"{route.host or 'any host'}, {route.path or '/'}"
            hint = "give one of them another host or path in config/schema.yaml"
            raise errors.ConfigurationError(f"{other} and {route.service} are both public at {place}", hint)
        places[route.host, route.path] = route.service
    return routes


def public(release: Release) -> Iterator[Route]:
    """Yield the route of each public service, in the order of the services."""
    for name, service in release.services.items():
        if about := service.declared.public:
            if about.host and not _HOST.fullmatch(about.host.lower()):
                hint = f"host in config/schema.yaml, or the plain key of {release.environment} that it names"
                raise errors.ConfigurationError(f"the host of {name} is not a host's name: {about.host}", hint)
            private = tuple(path.rstrip("/") for path in about.private)
            yield Route(name, about.host.lower(), about.path.rstrip("/"), private)
