"""Releases and the deploy lock, kept in the swarm as configs: they outlive the operator's laptop.

A config cannot be changed, and its name is unique. So the deploy that creates the lock's config holds the lock,
and the one that creates a release's config has its number. How a release ended is a second config; the current
release is the last one whose second config says `healthy`.
"""

import base64
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psutil
from docker.errors import APIError

from ci.delivery import release as releases
from ci.delivery.engines.swarm.cluster import CONFLICT, Cluster, absent, label
from ci.delivery.release import FAILED, HEALTHY, Release
from ci.ground import errors, machine, processes


@contextmanager
def lock(cluster: Cluster) -> Iterator[None]:
    """Hold the environment; the lock of a process that has ended on this machine is taken over."""
    identifier = _create(cluster, "lock", _me(), kind="lock") or _take_over(cluster)
    try:
        yield
    finally:
        with absent():
            cluster.api.remove_config(identifier)


def unlock(cluster: Cluster) -> str:
    """Remove the lock and return who held it."""
    holder = _lock(cluster)
    if holder is None:
        return "nobody held it"
    with absent():
        cluster.api.remove_config(holder["ID"])
    return _described(_data(holder))


def history(cluster: Cluster) -> list[Release]:
    """Return the recorded releases, oldest first."""
    configs = cluster.api.configs(filters=cluster.filters())
    ends = {label(config, "number"): _data(config) for config in configs if label(config, "kind") == "result"}
    begun = [config for config in configs if label(config, "kind") == "release"]
    past = [_data(config) | ends.get(label(config, "number"), {}) for config in begun]
    return sorted(map(Release.parse, past), key=lambda release: release.number)


def claim(cluster: Cluster, release: Release) -> None:
    """Record the release before anything is done for it; LockedError when its number is taken."""
    number = release.number
    if not _create(cluster, f"release.{number}", release.document(), kind="release", number=number):
        hint = "inv history, then try again"
        raise errors.LockedError(f"somebody else made release {number} of {cluster.environment}", hint)


def end(cluster: Cluster, release: Release) -> None:
    """Record how a release ended; only the first call has an effect."""
    ended = release.ended or releases.now()
    data = {"result": release.result, "ended": ended, "lives_with": list(release.lives_with)}
    _create(cluster, f"result.{release.number}", data, kind="result", number=release.number)


def fail(cluster: Cluster, release: Release, why: str) -> None:
    """Record why a release failed."""
    end(cluster, replace(release, result=f"{FAILED}: {why}"))


def kept(history: list[Release], count: int) -> list[Release]:
    """Return the releases that retention keeps: the last `count` healthy ones, and all since the first of them."""
    healthy = [release.number for release in history if release.result == HEALTHY][-count:]
    return [release for release in history if not healthy or release.number >= healthy[0]]


def prune(cluster: Cluster, count: int) -> None:
    """Forget the releases that retention does not keep; with a count of 0 all of them, whatever their format."""
    keep = {str(release.number) for release in kept(history(cluster), count)} if count else set()
    for config in cluster.api.configs(filters=cluster.filters()):
        if label(config, "kind") in ("release", "result") and label(config, "number") not in keep:
            with absent():
                cluster.api.remove_config(config["ID"])


def _take_over(cluster: Cluster) -> str:
    holder = _lock(cluster)
    if holder is not None:
        if not _dead(_data(holder)):
            hint = f"wait until it is done; if it is gone for good, inv unlock --env={cluster.environment}"
            raise errors.LockedError(f"{_described(_data(holder))} is at work on {cluster.environment}", hint)
        with absent():  # by id: if another process took it over meanwhile, its lock stays
            cluster.api.remove_config(holder["ID"])
    identifier = _create(cluster, "lock", _me(), kind="lock")
    if identifier is None:
        raise errors.LockedError(f"somebody else just began to work on {cluster.environment}", "try again later")
    return identifier


def _me() -> dict[str, Any]:
    process = psutil.Process()
    return {
        "who": machine.user(),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "born": processes.began(process),
        "since": releases.now(),
    }


def _dead(holder: dict[str, Any]) -> bool:
    if holder["host"] != socket.gethostname():
        return False
    try:
        return not processes.is_from(psutil.Process(holder["pid"]), holder["born"])
    except psutil.NoSuchProcess:
        return True


def _described(holder: dict[str, Any]) -> str:
    return f"{holder['who']} on {holder['host']}, process {holder['pid']}, since {holder['since']},"


def _lock(cluster: Cluster) -> dict[str, Any] | None:
    configs = cluster.api.configs(filters=cluster.filters(kind="lock"))
    return configs[0] if configs else None


def _create(cluster: Cluster, name: str, data: dict[str, Any], **labels: object) -> str | None:
    """Make a config and return its id; None when its name is taken."""
    try:
        config = cluster.api.create_config(cluster.key(name), json.dumps(data).encode(), cluster.labels(**labels))
    except APIError as error:
        if error.status_code == CONFLICT:
            return None
        raise
    return str(config["ID"])


def _data(config: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads(base64.b64decode(config["Spec"]["Data"])))
