"""What runs against its release: hand edits, strays, and what is missing."""

from collections.abc import Iterator
from typing import Any

from ci.delivery.engines.swarm import bundles, proxy, services, specs
from ci.delivery.engines.swarm.cluster import Cluster, label
from ci.delivery.release import UNFINISHED, Release, current

NOUNS = {  # the parts of a spec, and what a person calls them
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
    "Healthcheck": "health check",
    "Mounts": "folders",
    "UpdateConfig": "updates",
}


def look(cluster: Cluster, past: list[Release]) -> list[str]:
    """Say, one line each, where the swarm differs from the current release."""
    unfinished = [f"release {record.number} was not finished" for record in past if record.result == UNFINISHED]
    release = current(past)
    return unfinished + (list(_differences(cluster, release)) if release else [])


def touched(cluster: Cluster, release: Release) -> bool:
    """Say whether anything of a release is not as it should be."""
    return any(_differences(cluster, release))


def _differences(cluster: Cluster, release: Release) -> Iterator[str]:
    live = {service["Spec"]["Name"]: service["Spec"] for service in cluster.services()}
    ids = bundles.ids(cluster)
    wanted = {name: specs.service(cluster, release, name, ids) for name in release.services}
    if proxy.present(release):
        wanted[proxy.NAME] = proxy.wanted(cluster, release)
    for name, spec in wanted.items():
        actual = live.pop(spec["Name"], None)
        yield from [f"{name} does not run"] if actual is None else _service(name, actual, spec)
    yield from (
        f"service {name} is of no release" for name, spec in live.items() if label({"Spec": spec}, "kind") != "job"
    )
    yield from (f"the secret {bundle} is gone" for bundle in bundles.held(release).values() if bundle not in ids)
    yield from (f"container {name} was started by hand" for name in services.stray(cluster))


def _service(name: str, actual: dict[str, Any], spec: dict[str, Any]) -> Iterator[str]:
    paths = list(proxy.differences(actual, spec))
    if any(path.endswith("Env") for path in paths):
        yield from _env(name, actual, spec)
        paths = [path for path in paths if not path.endswith("Env")]
    if any(path.endswith("Replicas") for path in paths):
        running, wanted = (side["Mode"]["Replicated"]["Replicas"] for side in (actual, spec))
        yield f"{name} has {running} replicas, {wanted} wanted"
        paths = [path for path in paths if not path.endswith("Replicas")]
    nouns = {next((noun for part, noun in NOUNS.items() if part in path.split(".")), path) for path in paths}
    yield from (f"{name} differs in its {noun}" for noun in sorted(nouns))


def _env(name: str, actual: dict[str, Any], spec: dict[str, Any]) -> Iterator[str]:
    """Name the variables that differ; a value that was set by hand may be a secret, and is not shown."""
    actual_env, wanted_env = (
        dict(pair.partition("=")[::2] for pair in side["TaskTemplate"]["ContainerSpec"].get("Env") or ())
        for side in (actual, spec)
    )
    changed = sorted(key for key in {*actual_env, *wanted_env} if actual_env.get(key) != wanted_env.get(key))
    yield f"{name} differs in its environment: {', '.join(changed)}"
