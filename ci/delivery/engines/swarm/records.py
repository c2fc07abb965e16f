"""Releases and the deploy lock, kept in the swarm as configs: they outlive the operator's laptop.

A config cannot be changed, and its name is there once. So a lock is had by whoever made it, a number by whoever
made its release; how that ended is a second config, and the current release is the last whose says `healthy`.
"""

import base64
import getpass
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
from ci.ground import errors

SAME_START = 2.0  # seconds; when a process began is reckoned from the clock


@contextmanager
def lock(cluster: Cluster) -> Iterator[None]:
    """Hold the environment; the lock of a process of this machine that is gone is taken over."""
    mine = _create(cluster, "lock", _me(), kind="lock") or _take_over(cluster)
    try:
        yield
    finally:
        with absent():
            cluster.api.remove_config(mine)


def unlock(cluster: Cluster) -> str:
    """Take away the lock, whoever has it, and say who that was."""
    held = _lock(cluster)
    if held is None:
        return "nobody held it"
    with absent():
        cluster.api.remove_config(held["ID"])
    return _described(_data(held))


def history(cluster: Cluster) -> list[Release]:
    """Return the recorded releases, oldest first."""
    found = cluster.api.configs(filters=cluster.filters())
    ends = {label(one, "number"): _data(one) for one in found if label(one, "kind") == "result"}
    past = [_data(one) | ends.get(label(one, "number"), {}) for one in found if label(one, "kind") == "release"]
    return sorted(map(Release.parse, past), key=lambda one: one.number)


def claim(cluster: Cluster, release: Release) -> None:
    """Write the release down before anything is done for it; LockedError when its number is taken."""
    if not _create(
        cluster, f"release.{release.number}", release.document(), kind="release", number=release.number
    ):
        raise errors.LockedError(
            f"somebody else made release {release.number} of {cluster.environment}", "inv history, then try again"
        )


def end(cluster: Cluster, release: Release) -> None:
    """Write down how a release ended; the first word stands."""
    ended = release.ended or releases.now()
    data = {"result": release.result, "ended": ended, "lives_with": list(release.lives_with)}
    _create(cluster, f"result.{release.number}", data, kind="result", number=release.number)


def fail(cluster: Cluster, release: Release, why: str) -> None:
    """Write down why a release failed."""
    end(cluster, replace(release, result=f"{FAILED}: {why}"))


def kept(history: list[Release], count: int) -> list[Release]:
    """Return the releases that retention keeps: the last `count` healthy ones, and what came after the first."""
    good = [one.number for one in history if one.result == HEALTHY][-count:]
    return [one for one in history if not good or one.number >= good[0]]


def prune(cluster: Cluster, count: int) -> None:
    """Forget the releases that retention does not keep."""
    past = history(cluster)
    gone = {str(one.number) for one in past} - {str(one.number) for one in kept(past, count)}
    for one in cluster.api.configs(filters=cluster.filters()):
        if label(one, "kind") in ("release", "result") and label(one, "number") in gone:
            with absent():
                cluster.api.remove_config(one["ID"])


def purge(cluster: Cluster) -> None:
    """Forget every release."""
    for one in cluster.api.configs(filters=cluster.filters()):
        if label(one, "kind") in ("release", "result"):
            with absent():
                cluster.api.remove_config(one["ID"])


def _take_over(cluster: Cluster) -> str:
    held = _lock(cluster)
    if held is not None:
        if not _dead(_data(held)):
            hint = f"wait until it is done; if it is gone for good, inv unlock --env={cluster.environment}"
            raise errors.LockedError(f"{_described(_data(held))} is at work on {cluster.environment}", hint)
        with absent():  # by id: if somebody else took it over meanwhile, theirs stays
            cluster.api.remove_config(held["ID"])
    mine = _create(cluster, "lock", _me(), kind="lock")
    if mine is None:
        raise errors.LockedError(f"somebody else just began to work on {cluster.environment}", "try again later")
    return mine


def _me() -> dict[str, Any]:
    process = psutil.Process()
    return {
        "who": getpass.getuser(),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "born": process.create_time(),
        "since": releases.now(),
    }


def _dead(holder: dict[str, Any]) -> bool:
    if holder["host"] != socket.gethostname():
        return False
    try:
        return bool(abs(psutil.Process(holder["pid"]).create_time() - holder["born"]) > SAME_START)
    except psutil.NoSuchProcess:
        return True


def _described(holder: dict[str, Any]) -> str:
    return f"{holder['who']} on {holder['host']}, process {holder['pid']}, since {holder['since']},"


def _lock(cluster: Cluster) -> dict[str, Any] | None:
    found = cluster.api.configs(filters=cluster.filters(kind="lock"))
    return found[0] if found else None


def _create(cluster: Cluster, name: str, data: dict[str, Any], **labels: object) -> str | None:
    """Make a config and return its id; None when its name is taken."""
    try:
        made = cluster.api.create_config(cluster.key(name), json.dumps(data).encode(), cluster.labels(**labels))
    except APIError as error:
        if error.status_code == CONFLICT:
            return None
        raise
    return str(made["ID"])


def _data(config: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads(base64.b64decode(config["Spec"]["Data"])))
