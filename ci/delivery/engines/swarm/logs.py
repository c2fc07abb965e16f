"""The logs of an environment's services, together."""

import queue
import threading
from collections.abc import Iterator

from ci.delivery.engines.swarm import services
from ci.delivery.engines.swarm.cluster import Cluster, label
from ci.ground import errors


def read(cluster: Cluster, service: str | None, *, follow: bool) -> Iterator[str]:
    """Yield the last lines of each service, or of one, then what is added while following.

    Raises NotRunningError when there is no such service.
    """
    running = sorted(filter(None, (label(service, "service") for service in cluster.services())))
    names = [name for name in running if service in (None, name)]
    if not names:
        deploy = f"inv deploy --env={cluster.environment} starts it"
        hint = f"there is {', '.join(running)}" if running else deploy
        raise errors.NotRunningError(f"no log of {service or cluster.environment}", hint)
    width = max(map(len, names))
    if follow:
        yield from _followed(cluster, names, width)
        return
    for name in names:
        yield from (f"{name:<{width}} | {line}" for line in services.lines(cluster, name))


def _followed(cluster: Cluster, names: list[str], width: int) -> Iterator[str]:
    """Yield the lines as they arrive; each service is read by a thread of its own."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def follow(name: str) -> None:
        try:
            for line in services.lines(cluster, name, follow=True):
                lines.put(f"{name:<{width}} | {line}")
        finally:
            lines.put(None)

    for name in names:
        threading.Thread(target=follow, args=[name], daemon=True).start()
    left = len(names)
    while left:
        line = lines.get()
        if line is None:
            left -= 1
        else:
            yield line
