"""Rollback: image and config of an old release, as the engine kept them; no repository's values, no identity."""

from collections.abc import Sequence

from ci.delivery import migrations
from ci.delivery import release as releases
from ci.delivery.release import HEALTHY, Release
from ci.ground import errors
from ci.ground.repo import Repo


def make(repo: Repo, before: Sequence[Release], to: int | None, why: str) -> Release:
    """Return a new release that repeats release `to`, or the one before the current; RefusedError if it cannot."""
    target = _target(before, to)
    _valid(before, target)
    why = why or f"rollback to release {target.number}"
    return migrations.behind(releases.again(repo, target, releases.following(before), why), before[-1].lives_with)


def _target(before: Sequence[Release], to: int | None) -> Release:
    healthy = [release for release in before if release.result == HEALTHY]
    if to is None:
        earlier = [release for release in healthy[:-1] if not _same(release, healthy[-1])]
        if not earlier:
            raise errors.RefusedError("there is no release to go back to", "inv history shows what there is")
        return earlier[-1]
    for release in healthy:
        if release.number == to:
            return release
    kept = ", ".join(str(release.number) for release in healthy) or "none"
    raise errors.RefusedError(f"release {to} is not one that was healthy and is kept", f"these are: {kept}")


def _valid(before: Sequence[Release], target: Release) -> None:
    """Raise RefusedError when a later release replaced a secret: the target has the old value, now revoked."""
    for later in reversed(before):
        if later.number > target.number and later.result == HEALTHY and later.rotates in target.sealed:
            raise errors.RefusedError(
                f"release {target.number} has a value of {later.rotates} that release {later.number} replaced",
                f"its image, with today's values: "
                f"inv deploy --env={later.environment} --sha={target.sha} --force=…",
            )


def _same(release: Release, other: Release) -> bool:
    return [s.bundle for s in release.services.values()] == [s.bundle for s in other.services.values()]
