"""What runs against its release: hand edits, strays, and what is gone."""

from collections.abc import Iterator
from typing import Any

from ci.delivery.engines.swarm import bundles, proxy, services, specs
from ci.delivery.engines.swarm.cluster import Cluster, label
from ci.delivery.release import UNFINISHED, Release, current

NOUNS = {  # the part of a spec that differs, and what a person calls it
    "Image": "image",
    "Env": "environment",
    "Secrets": "secrets",
    "Replicas": "replicas",
    "Networks": "networks",
    "EndpointSpec": "ports",
    "Args": "command",
    "Command": "command",
    "Constraints": "placement",
    "Limits": "resources",
    "Configs": "configuration",
}


def look(cluster: Cluster, past: list[Release]) -> list[str]:
    """Say, one line each, where the swarm differs from the current release."""
    unfinished = [f"release {one.number} was not finished" for one in past if one.result == UNFINISHED]
    release = current(past)
    return unfinished + (list(_differences(cluster, release)) if release else [])


def touched(cluster: Cluster, release: Release) -> bool:
    """Say whether anything of a release is not as it should be."""
    return any(_differences(cluster, release))


def _differences(cluster: Cluster, release: Release) -> Iterator[str]:
    live = {one["Spec"]["Name"]: one["Spec"] for one in cluster.services()}
    ids = bundles.ids(cluster)
    wanted = {name: specs.service(cluster, release, name, ids) for name in release.services}
    if release.settings["proxy"]:
        wanted[proxy.NAME] = proxy.wanted(cluster, release)
    for name, spec in wanted.items():
        now = live.pop(spec["Name"], None)
        yield from [f"{name} does not run"] if now is None else _service(name, now, spec)
    yield from (
        f"service {name} is of no release" for name, one in live.items() if label({"Spec": one}, "kind") != "job"
    )
    for service in release.services.values():
        if service.bundle not in ids:
            yield f"the secret {service.bundle} is gone"
    yield from (f"container {name} was started by hand" for name in services.stray(cluster))


def _service(name: str, now: dict[str, Any], spec: dict[str, Any]) -> Iterator[str]:
    found = list(proxy.differences(now, spec))
    if any(part.endswith("Env") for part in found):
        yield from _env(name, now, spec)
        found = [part for part in found if not part.endswith("Env")]
    if any(part.endswith("Replicas") for part in found):
        have, want = (one["Mode"]["Replicated"]["Replicas"] for one in (now, spec))
        yield f"{name} has {have} replicas, {want} wanted"
        found = [part for part in found if not part.endswith("Replicas")]
    nouns = {next((noun for part, noun in NOUNS.items() if part in path.split(".")), path) for path in found}
    yield from (f"{name} differs in its {what}" for what in sorted(nouns))


def _env(name: str, now: dict[str, Any], spec: dict[str, Any]) -> Iterator[str]:
    """Name the variables that differ; a value put in by hand may be a secret, and is not shown."""
    have, want = (
        dict(pair.partition("=")[::2] for pair in one["TaskTemplate"]["ContainerSpec"].get("Env") or ())
        for one in (now, spec)
    )
    changed = sorted(key for key in {*have, *want} if have.get(key) != want.get(key))
    yield f"{name} differs in its environment: {', '.join(changed)}"
